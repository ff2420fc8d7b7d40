#include "host/enclave/image/sha256.hpp"

#include <immintrin.h>

// Compiled with -msha and -msse4.1; called only where the CPU has them.
namespace caisson::host::enclave::image {
namespace {

// FIPS 180-4, 4.2.2.
alignas(16) constexpr std::array<std::uint32_t, 64> round_constants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// The state as the instructions want it: A, B, E, F and C, D, G, H.
struct State {
    __m128i abef;
    __m128i cdgh;
};

State to_state(const Sha256::Words& words) noexcept
{
    const auto dcba = _mm_loadu_si128(reinterpret_cast<const __m128i*>(words.data()));
    const auto hgfe = _mm_loadu_si128(reinterpret_cast<const __m128i*>(words.data() + 4));
    const auto cdab = _mm_shuffle_epi32(dcba, 0xb1);
    const auto efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    return {_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

Sha256::Words from_state(const State& state) noexcept
{
    const auto feba = _mm_shuffle_epi32(state.abef, 0x1b);
    const auto dchg = _mm_shuffle_epi32(state.cdgh, 0xb1);
    Sha256::Words words{};
    _mm_storeu_si128(reinterpret_cast<__m128i*>(words.data()), _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(words.data() + 4), _mm_alignr_epi8(dchg, feba, 8));
    return words;
}

void absorb(State& state, const std::uint8_t* block) noexcept
{
    const auto big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const auto began = state;
    __m128i words[4]; // the last sixteen of the schedule
#pragma GCC unroll 16
    for (std::size_t step = 0; step < 16; ++step) {
        auto& word = words[step % 4];
        if (step < 4) {
            const auto* at = reinterpret_cast<const __m128i*>(block + 16 * step);
            word = _mm_shuffle_epi8(_mm_loadu_si128(at), big_endian);
        } else {
            const auto last = words[(step + 3) % 4];
            const auto seven_before = _mm_alignr_epi8(last, words[(step + 2) % 4], 4);
            const auto sum = _mm_add_epi32(_mm_sha256msg1_epu32(word, words[(step + 1) % 4]), seven_before);
            word = _mm_sha256msg2_epu32(sum, last);
        }
        const auto* constants = reinterpret_cast<const __m128i*>(round_constants.data() + 4 * step);
        const auto input = _mm_add_epi32(word, _mm_load_si128(constants));
        state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, input);
        state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, _mm_shuffle_epi32(input, 0x0e));
    }
    state.abef = _mm_add_epi32(state.abef, began.abef);
    state.cdgh = _mm_add_epi32(state.cdgh, began.cdgh);
}

} // namespace

void absorb_blocks(Sha256::Words& words, Bytes blocks) noexcept
{
    auto state = to_state(words);
    for (; blocks.size() >= Sha256::block_bytes; blocks = blocks.subspan(Sha256::block_bytes)) {
        absorb(state, blocks.data());
    }
    words = from_state(state);
}

} // namespace caisson::host::enclave::image
