#include "trusted/runtime/sodium_glue.hpp"

#include "airlock/entry.hpp"
#include "core/check.hpp"
#include "core/crypto/constant_time.hpp"
#include "core/secret.hpp"

namespace caisson::trusted {
namespace {

std::uint32_t features_in_use = 0;

int has(airlock::CpuFeature feature) noexcept
{
    return (features_in_use & static_cast<std::uint32_t>(feature)) != 0 ? 1 : 0;
}

} // namespace
} // namespace caisson::trusted

// libsodium's own names and signatures; defined here, before its archive, so that its utils, core, runtime and
// randombytes objects (which need an operating system) stay out of the image.
extern "C" {

using caisson::airlock::CpuFeature;

[[noreturn]] void abort()
{
    caisson::check_failed("abort", 0);
}
[[noreturn]] void __stack_chk_fail()
{
    caisson::check_failed("stack protector", 0);
}
[[noreturn]] void __assert_fail(const char* /*condition*/, const char* /*file*/, unsigned /*line*/,
                                const char* /*where*/)
{
    caisson::check_failed("assertion", 0);
}
[[noreturn]] void sodium_misuse()
{
    caisson::check_failed("sodium_misuse", 0);
}
// Randomness comes from the Runtime alone; nothing we use of libsodium may ask for it.
void randombytes_buf(void* /*buffer*/, std::size_t /*size*/)
{
    caisson::check_failed("randombytes_buf", 0);
}
void sodium_memzero(void* memory, std::size_t size)
{
    caisson::wipe({static_cast<std::uint8_t*>(memory), size});
}
void sodium_stackzero(std::size_t /*size*/) {}
int sodium_memcmp(const void* left, const void* right, std::size_t size)
{
    const auto bytes = [size](const void* from) {
        return caisson::Bytes(static_cast<const std::uint8_t*>(from), size);
    };
    return caisson::crypto::equal(bytes(left), bytes(right)) ? 0 : -1;
}
int sodium_is_zero(const unsigned char* bytes, std::size_t size)
{
    unsigned char all = 0;
    for (std::size_t index = 0; index < size; ++index) {
        all = static_cast<unsigned char>(all | bytes[index]);
    }
    return all == 0 ? 1 : 0;
}
int sodium_runtime_has_ssse3()
{
    return caisson::trusted::has(CpuFeature::ssse3);
}
int sodium_runtime_has_sse2()
{
    return 1;
}
int sodium_runtime_has_sse41()
{
    return caisson::trusted::has(CpuFeature::sse41);
}
int sodium_runtime_has_avx()
{
    return caisson::trusted::has(CpuFeature::avx);
}
int sodium_runtime_has_avx2()
{
    return caisson::trusted::has(CpuFeature::avx2);
}
int sodium_runtime_has_avx512f()
{
    return caisson::trusted::has(CpuFeature::avx512);
}

int _crypto_scalarmult_curve25519_pick_best_implementation();
int _crypto_stream_salsa20_pick_best_implementation();
int _crypto_stream_chacha20_pick_best_implementation();
int _crypto_onetimeauth_poly1305_pick_best_implementation();
int _crypto_generichash_blake2b_pick_best_implementation();

} // extern "C"

namespace caisson::trusted {

void choose_sodium_implementations(std::uint32_t features) noexcept
{
    features_in_use = features;
    _crypto_scalarmult_curve25519_pick_best_implementation();
    _crypto_stream_salsa20_pick_best_implementation();
    _crypto_stream_chacha20_pick_best_implementation();
    _crypto_onetimeauth_poly1305_pick_best_implementation();
    _crypto_generichash_blake2b_pick_best_implementation();
}

} // namespace caisson::trusted
