#include "trusted/runtime/random.hpp"

#include "core/check.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::trusted {
namespace {

constexpr std::size_t hardware_words = 8;
constexpr int hardware_tries = 32;
constexpr std::size_t chunk_bytes = 512;
constexpr std::uint64_t bytes_between_mixes = std::uint64_t{1} << 20U;
constexpr ByteArray<crypto_stream_chacha20_NONCEBYTES> zero_nonce{};

bool is_zero(Bytes bytes) noexcept
{
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

} // namespace

void Random::mix(Bytes input) noexcept
{
    ByteArray<32> next;
    crypto_generichash(next.data(), next.size(), input.data(), input.size(), key_.expose().data(),
                       key_.expose().size());
    copy_bytes(key_.expose(), next);
    wipe(next);
}

// A word that repeats, or is all zeros or ones, is what a broken source gives.
bool Random::mix_hardware() noexcept
{
    std::array<std::uint64_t, hardware_words> words{};
    std::uint64_t previous = 0;
    for (auto& word : words) {
        int tries = 0;
        while (!hardware_(word)) {
            if (++tries == hardware_tries) {
                return false;
            }
        }
        if (word == previous || word == 0 || word == ~std::uint64_t{0}) {
            return false;
        }
        previous = word;
    }
    const MutableBytes bytes(reinterpret_cast<std::uint8_t*>(words.data()), sizeof words);
    mix(bytes);
    wipe(bytes);
    until_mix_ = bytes_between_mixes;
    return true;
}

Status Random::start(const Seed& seed, HardwareSource hardware) noexcept
{
    hardware_ = hardware;
    const bool seeded = !is_zero(seed.expose());
    mix(seed.expose());
    const bool healthy = hardware_ != nullptr && mix_hardware();
    if (hardware_ != nullptr && !healthy) {
        return fail(Kind::unavailable, "the CPU's random number generator fails its health test");
    }
    if (!healthy && !seeded) {
        return fail(Kind::unavailable, "there is no source of random numbers");
    }
    started_ = true;
    return {};
}

void Random::fill(MutableBytes bytes) noexcept
{
    CHECK(started_);
    while (!bytes.empty()) {
        if (hardware_ != nullptr && until_mix_ < chunk_bytes) {
            CHECK(mix_hardware());
        }
        ByteArray<32 + chunk_bytes> stream;
        crypto_stream_chacha20(stream.data(), stream.size(), zero_nonce.data(), key_.expose().data());
        copy_bytes(key_.expose(), Bytes(stream).first(32));
        const auto count = std::min(bytes.size(), chunk_bytes);
        copy_bytes(bytes, Bytes(stream).subspan(32, count));
        wipe(stream);
        until_mix_ -= std::min<std::uint64_t>(until_mix_, count);
        bytes = bytes.subspan(count);
    }
}

} // namespace caisson::trusted
