#include "core/crypto/kernels/aes.hpp"

#include <immintrin.h>

#include <algorithm>

// Compiled with -maes; called only where the CPU has it.
namespace caisson::crypto::kernels {
namespace {

constexpr std::size_t keys_max = 15;
constexpr std::size_t group_blocks = 8; // enough to hide the latency of aesenc

// A template argument would drop the attributes of __m128i.
struct Lane {
    __m128i value;
};
using Keys = std::array<Lane, keys_max>;

__m128i load(const AesBlock& block) noexcept
{
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(block.data()));
}

void store(AesBlock& block, __m128i value) noexcept
{
    _mm_storeu_si128(reinterpret_cast<__m128i*>(block.data()), value);
}

} // namespace

void aes_encrypt_ni(std::span<const AesBlock> round_keys, std::span<AesBlock> blocks, std::uint64_t rounds) noexcept
{
    Keys keys{};
    const std::size_t last = round_keys.size() - 1;
    for (std::size_t round = 0; round <= last; ++round) {
        keys[round].value = load(round_keys[round]);
    }
    for (std::size_t at = 0; at < blocks.size(); at += group_blocks) {
        const std::size_t count = std::min(group_blocks, blocks.size() - at);
        std::array<Lane, group_blocks> state{};
        for (std::size_t index = 0; index < count; ++index) {
            state[index].value = load(blocks[at + index]);
        }
        for (std::uint64_t repetition = 0; repetition < rounds; ++repetition) {
            for (std::size_t index = 0; index < count; ++index) {
                state[index].value = _mm_xor_si128(state[index].value, keys[0].value);
            }
            for (std::size_t round = 1; round < last; ++round) {
                for (std::size_t index = 0; index < count; ++index) {
                    state[index].value = _mm_aesenc_si128(state[index].value, keys[round].value);
                }
            }
            for (std::size_t index = 0; index < count; ++index) {
                state[index].value = _mm_aesenclast_si128(state[index].value, keys[last].value);
            }
        }
        for (std::size_t index = 0; index < count; ++index) {
            store(blocks[at + index], state[index].value);
        }
        wipe({reinterpret_cast<std::uint8_t*>(state.data()), sizeof state});
    }
    wipe({reinterpret_cast<std::uint8_t*>(keys.data()), sizeof keys});
}

void aes_decrypt_ni(std::span<const AesBlock> round_keys, std::span<AesBlock> blocks) noexcept
{
    Keys keys{}; // the equivalent inverse cipher (FIPS 197, section 5.3.5)
    const std::size_t last = round_keys.size() - 1;
    for (std::size_t round = 0; round <= last; ++round) {
        const auto key = load(round_keys[last - round]);
        keys[round].value = round == 0 || round == last ? key : _mm_aesimc_si128(key);
    }
    for (auto& block : blocks) {
        auto state = _mm_xor_si128(load(block), keys[0].value);
        for (std::size_t round = 1; round < last; ++round) {
            state = _mm_aesdec_si128(state, keys[round].value);
        }
        store(block, _mm_aesdeclast_si128(state, keys[last].value));
    }
    wipe({reinterpret_cast<std::uint8_t*>(keys.data()), sizeof keys});
}

} // namespace caisson::crypto::kernels
