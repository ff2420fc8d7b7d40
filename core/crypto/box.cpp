#include "core/crypto/box.hpp"

#include "core/check.hpp"
#include "core/crypto/kernels/box.hpp"

namespace caisson::crypto {

BoxSubkey derive_box_subkey(std::span<const std::uint8_t, 32> shared_key,
                            std::span<const std::uint8_t, 16> nonce_prefix) noexcept
{
    BoxSubkey subkey;
    kernels::hsalsa20(subkey.expose(), nonce_prefix, shared_key);
    return subkey;
}

void seal_box(BoxKernel kernel, const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept
{
    CHECK(text.size() <= box_text_bytes_max);
    switch (kernel) {
    case BoxKernel::avx512: kernels::seal_box_avx512(at, text, output); return;
    case BoxKernel::avx2: kernels::seal_box_avx2(at, text, output); return;
    case BoxKernel::portable: break;
    }
    kernels::seal_box_portable(at, text, output);
}

bool open_box(BoxKernel kernel, const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept
{
    CHECK(box.size() >= box_tag_bytes && box.size() - box_tag_bytes <= box_text_bytes_max);
    switch (kernel) {
    case BoxKernel::avx512: return kernels::open_box_avx512(at, box, output);
    case BoxKernel::avx2: return kernels::open_box_avx2(at, box, output);
    case BoxKernel::portable: break;
    }
    return kernels::open_box_portable(at, box, output);
}

} // namespace caisson::crypto
