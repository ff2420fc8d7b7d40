#include "trusted/runtime/random.hpp"

#include "core/check.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::trusted {
namespace {

constexpr std::size_t words_per_mix = 8;
constexpr int hardware_tries = 32;
constexpr std::size_t chunk_bytes = 2016; // and the next key: 32 blocks
constexpr std::uint64_t bytes_between_mixes = std::uint64_t{1} << 20U;
constexpr ByteArray<crypto_stream_chacha20_NONCEBYTES> zero_nonce{};
static_assert(SourceHealth::startup_words % words_per_mix == 0);

bool is_zero(Bytes bytes) noexcept
{
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool read_word(Random::HardwareSource read, std::uint64_t& word) noexcept
{
    for (int tries = 0; tries < hardware_tries; ++tries) {
        if (read(word)) {
            return true;
        }
        __builtin_ia32_pause();
    }
    return false;
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

Random::Drawn Random::draw(Source& source, std::size_t word_count) noexcept
{
    std::array<std::uint64_t, words_per_mix> words{};
    const MutableBytes bytes(reinterpret_cast<std::uint8_t*>(words.data()), sizeof words);
    auto drawn = Drawn::words;
    for (std::size_t done = 0; done < word_count && drawn == Drawn::words; done += words.size()) {
        for (auto& word : words) {
            if (!read_word(source.read, word)) {
                drawn = Drawn::nothing_ready;
                break;
            }
            if (!source.health.accept(word)) {
                drawn = Drawn::broken;
                break;
            }
        }
        mix(bytes);
    }
    wipe(bytes);
    return drawn;
}

// [RANDOM-2]
bool Random::draw_all(std::size_t word_count) noexcept
{
    until_mix_ = bytes_between_mixes;
    if (rdseed_.read != nullptr && draw(rdseed_, word_count) == Drawn::broken) {
        return false;
    }
    return hardware_.read == nullptr || draw(hardware_, word_count) == Drawn::words;
}

Status Random::start(const Seed& seed, HardwareSource hardware, HardwareSource rdseed) noexcept
{
    hardware_ = {hardware, {}};
    rdseed_ = {rdseed, {}};
    const bool seeded = !is_zero(seed.expose());
    mix(seed.expose());
    if (!draw_all(SourceHealth::startup_words)) {
        return fail(Kind::unavailable, "the CPU's random number generator fails its health test");
    }
    if (hardware == nullptr && !seeded) { // [RANDOM-1]
        return fail(Kind::unavailable, "there is no source of random numbers");
    }
    started_ = true;
    return {};
}

// [RANDOM-4]
void Random::fill(MutableBytes bytes) noexcept
{
    CHECK(started_);
    while (!bytes.empty()) {
        const auto count = std::min(bytes.size(), chunk_bytes);
        if (hardware_.read != nullptr && until_mix_ < count) {
            CHECK(draw_all(words_per_mix));
        }
        ByteArray<32 + chunk_bytes> memory;
        const auto stream = MutableBytes(memory).first(32 + count);
        crypto_stream_chacha20(stream.data(), stream.size(), zero_nonce.data(), key_.expose().data());
        copy_bytes(key_.expose(), stream.first(32));
        copy_bytes(bytes, stream.subspan(32));
        wipe(stream);
        until_mix_ -= std::min<std::uint64_t>(until_mix_, count);
        bytes = bytes.subspan(count);
    }
}

} // namespace caisson::trusted
