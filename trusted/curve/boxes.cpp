#include "trusted/curve/boxes.hpp"

#include "airlock/entry.hpp"
#include "core/check.hpp"
#include "core/crypto/box.hpp"
#include "core/crypto/constant_time.hpp"
#include "core/crypto/x25519.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

using airlock::CpuFeature;

bool has_avx512 = false;
bool has_avx2 = false;
// Fewer messages than these are libsodium's faster way where there is AVX2 alone.
constexpr std::size_t avx2_batch_min = 3;

constexpr std::uint32_t needed_features = static_cast<std::uint32_t>(CpuFeature::avx512) |
                                          static_cast<std::uint32_t>(CpuFeature::avx512_ifma) |
                                          static_cast<std::uint32_t>(CpuFeature::avx512_vbmi2);
constexpr std::size_t prefix_bytes = 16;
static_assert(crypto::box_tag_bytes == protocol::curve::tag_bytes);
static_assert(std::tuple_size_v<Nonce> == prefix_bytes + sizeof(std::uint64_t));

crypto::BoxSubkey subkey_of(const SharedKey& key, const Nonce& nonce) noexcept
{
    return crypto::derive_box_subkey(key.expose(), std::span(nonce).first<prefix_bytes>());
}

// The key of a pair from its product, in place. False: a point of low order made that, all zeros.
bool derive_from_product(SharedKey& key) noexcept
{
    if (crypto::public_verdict(crypto::equal(key.expose(), ByteArray<SharedKey::size>{}))) {
        return false;
    }
    const auto subkey = crypto::derive_box_subkey(key.expose(), ByteArray<prefix_bytes>{});
    copy_bytes(key.expose(), subkey.expose());
    return true;
}

std::uint64_t counter_of(const Nonce& nonce) noexcept
{
    std::uint64_t counter = 0;
    std::memcpy(&counter, nonce.data() + prefix_bytes, sizeof counter);
    return __builtin_bswap64(counter);
}

} // namespace

void choose_box_kernel(std::uint32_t features) noexcept
{
    has_avx2 = (features & static_cast<std::uint32_t>(CpuFeature::avx2)) != 0;
    has_avx512 = (features & needed_features) == needed_features;
}

crypto::BoxKernel box_kernel() noexcept
{
    if (has_avx512) {
        return crypto::BoxKernel::avx512;
    }
    return has_avx2 ? crypto::BoxKernel::avx2 : crypto::BoxKernel::portable;
}

StreamPosition stream_position(const SharedKey& key, const Nonce& nonce) noexcept
{
    return {subkey_of(key, nonce), counter_of(nonce)};
}

CurveKey public_key_of(const CurveSecretKey& secret) noexcept
{
    CurveKey key;
    if (has_avx512) {
        const crypto::X25519Job job{secret.expose().data(), nullptr, key.bytes.data()};
        crypto::make_public_keys({&job, 1});
        return key;
    }
    crypto_scalarmult_base(key.bytes.data(), secret.expose().data());
    return key;
}

void make_public_keys(std::span<const PublicKeyJob> jobs) noexcept
{
    std::array<crypto::X25519Job, crypto::x25519_best_count> lanes;
    while (has_avx512 && !jobs.empty()) {
        const auto count = std::min(jobs.size(), lanes.size());
        for (std::size_t index = 0; index < count; ++index) {
            lanes[index] = {jobs[index].secret->expose().data(), nullptr, jobs[index].public_key->bytes.data()};
        }
        crypto::make_public_keys(std::span(lanes).first(count));
        jobs = jobs.subspan(count);
    }
    for (const auto& job : jobs) {
        *job.public_key = public_key_of(*job.secret);
    }
}

CurveKey make_key_pair(Runtime& runtime, CurveSecretKey& secret) noexcept
{
    runtime.random(secret.expose());
    return public_key_of(secret);
}

Result<SharedKey> shared_key(const CurveKey& theirs, const CurveSecretKey& own) noexcept
{
    SharedKey key;
    SharedKeyJob job{&theirs, &own, &key};
    make_shared_keys({&job, 1});
    if (!job.made) {
        return fail(Kind::unauthentic, "a public key is a point of low order");
    }
    return key;
}

void make_shared_keys(std::span<SharedKeyJob> jobs) noexcept
{
    std::array<crypto::X25519Job, crypto::x25519_best_count> lanes;
    while (has_avx512 && !jobs.empty()) {
        const auto some = jobs.first(std::min(jobs.size(), lanes.size()));
        for (std::size_t index = 0; index < some.size(); ++index) {
            const auto& job = some[index];
            lanes[index] = {job.own->expose().data(), job.theirs->bytes.data(), job.key->expose().data()};
        }
        crypto::make_shared_secrets(std::span(lanes).first(some.size()));
        for (auto& job : some) {
            job.made = derive_from_product(*job.key);
        }
        jobs = jobs.subspan(some.size());
    }
    for (auto& job : jobs) {
        job.made =
            crypto_box_beforenm(job.key->expose().data(), job.theirs->bytes.data(), job.own->expose().data()) == 0;
    }
}

void seal_box(std::uint8_t* output, Bytes text, const Nonce& nonce, const SharedKey& key) noexcept
{
    if (has_avx512) {
        const auto subkey = subkey_of(key, nonce);
        crypto::seal_box(crypto::BoxKernel::avx512, {subkey, counter_of(nonce)}, text, output);
        return;
    }
    crypto_box_easy_afternm(output, text.data(), text.size(), nonce.data(), key.expose().data());
}

Status open_box(std::uint8_t* output, Bytes box, const Nonce& nonce, const SharedKey& key) noexcept
{
    if (box.size() < protocol::curve::tag_bytes) {
        return fail(Kind::truncated, "a box is shorter than its tag");
    }
    bool opened = false;
    if (has_avx512) {
        const auto subkey = subkey_of(key, nonce);
        opened = crypto::open_box(crypto::BoxKernel::avx512, {subkey, counter_of(nonce)}, box, output);
    } else {
        opened = crypto_box_open_easy_afternm(output, box.data(), box.size(), nonce.data(), key.expose().data()) == 0;
    }
    if (!opened) {
        return fail(Kind::unauthentic, "a box does not open");
    }
    return {};
}

crypto::BoxSubkey message_subkey(const SharedKey& key, std::string_view prefix) noexcept
{
    CHECK(prefix.size() == prefix_bytes);
    return crypto::derive_box_subkey(key.expose(), bytes_of(prefix).first<prefix_bytes>());
}

void seal_message(std::uint8_t* output, Bytes text, const MessageBox& box) noexcept
{
    if (has_avx512) {
        crypto::seal_box(crypto::BoxKernel::avx512, {box.subkey, box.counter}, text, output);
    } else {
        seal_box(output, text, protocol::curve::short_nonce(box.prefix, box.counter), box.key);
    }
}

Status open_message(std::uint8_t* output, Bytes sealed, const MessageBox& box) noexcept
{
    if (!has_avx512 || sealed.size() < protocol::curve::tag_bytes) {
        return open_box(output, sealed, protocol::curve::short_nonce(box.prefix, box.counter), box.key);
    }
    if (!crypto::open_box(crypto::BoxKernel::avx512, {box.subkey, box.counter}, sealed, output)) {
        return fail(Kind::unauthentic, "a box does not open");
    }
    return {};
}

bool seal_messages(std::span<const crypto::BoxJob> jobs) noexcept
{
    if (has_avx512) {
        crypto::seal_boxes(crypto::BoxKernel::avx512, jobs);
        return true;
    }
    if (has_avx2 && jobs.size() >= avx2_batch_min) {
        crypto::seal_boxes(crypto::BoxKernel::avx2, jobs);
        return true;
    }
    return false;
}

bool open_messages(std::span<const crypto::BoxJob> jobs, std::span<bool> opened) noexcept
{
    if (has_avx512) {
        crypto::open_boxes(crypto::BoxKernel::avx512, jobs, opened);
        return true;
    }
    if (has_avx2 && jobs.size() >= avx2_batch_min) {
        crypto::open_boxes(crypto::BoxKernel::avx2, jobs, opened);
        return true;
    }
    return false;
}

} // namespace caisson::trusted::curve
