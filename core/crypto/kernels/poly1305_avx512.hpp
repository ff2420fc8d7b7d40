// Poly1305 in eight lanes of AVX-512 IFMA, in limbs of 44, 44 and 42 bits. The lanes are eight messages, each with its
// own key, or eight blocks of one message. Included by kernels alone that are compiled with the flags for it.
#pragma once

#include "core/crypto/kernels/salsa20_avx512.hpp"

namespace caisson::crypto::kernels::avx512 {

struct PolyLanes {
    __m512i limb0, limb1, limb2;
};

[[gnu::always_inline]] inline __m512i twenty_times(__m512i value) noexcept
{
    return _mm512_add_epi64(_mm512_slli_epi64(value, 4), _mm512_slli_epi64(value, 2));
}

[[gnu::always_inline]] inline PolyLanes poly_zero() noexcept
{
    return {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
}

// state += the block of each lane, whose bit 128 is `high_bit`'s bit 40.
[[gnu::always_inline]] inline void poly_add(PolyLanes& state, __m512i low, __m512i high, __m512i high_bit) noexcept
{
    const auto m44 = splat64(mask44);
    state.limb0 = _mm512_add_epi64(state.limb0, _mm512_and_si512(low, m44));
    state.limb1 = _mm512_add_epi64(state.limb1, _mm512_and_si512(_mm512_shrdi_epi64(low, high, 44), m44));
    state.limb2 = _mm512_add_epi64(state.limb2, _mm512_or_si512(_mm512_srli_epi64(high, 24), high_bit));
}

[[gnu::always_inline]] inline __m512i whole_block_bit() noexcept
{
    return splat64(std::uint64_t{1} << 40U);
}

// A full power of r needs one carry more than a clamped r, whose limbs are short, to stay within the multiplier's 52
// bits.
enum class PolyFactor : std::uint8_t { clamped, power };

// state *= factor.
template <PolyFactor kind>
[[gnu::always_inline]] inline void poly_multiply(PolyLanes& state, const PolyLanes& factor) noexcept
{
    const auto m44 = splat64(mask44);
    const auto zero = _mm512_setzero_si512();
    const auto folded1 = twenty_times(factor.limb1);
    const auto folded2 = twenty_times(factor.limb2);
    const auto a0 = state.limb0;
    const auto a1 = state.limb1;
    const auto a2 = state.limb2;
    const auto sum_low = [&](__m512i by2, __m512i by1, __m512i by0) __attribute__((always_inline)) {
        return _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(_mm512_madd52lo_epu64(zero, a2, by2), a1, by1), a0, by0);
    };
    const auto sum_high = [&](__m512i by2, __m512i by1, __m512i by0) __attribute__((always_inline)) {
        return _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(_mm512_madd52hi_epu64(zero, a2, by2), a1, by1), a0, by0);
    };
    const auto low0 = sum_low(folded1, folded2, factor.limb0);
    const auto high0 = sum_high(folded1, folded2, factor.limb0);
    auto low1 = sum_low(folded2, factor.limb0, factor.limb1);
    const auto high1 = sum_high(folded2, factor.limb0, factor.limb1);
    auto low2 = sum_low(factor.limb0, factor.limb1, factor.limb2);
    const auto high2 = sum_high(factor.limb0, factor.limb1, factor.limb2);
    low1 = _mm512_add_epi64(_mm512_add_epi64(low1, _mm512_slli_epi64(high0, 8)), _mm512_srli_epi64(low0, 44));
    low2 = _mm512_add_epi64(_mm512_add_epi64(low2, _mm512_slli_epi64(high1, 8)), _mm512_srli_epi64(low1, 44));
    const auto carry = _mm512_add_epi64(_mm512_slli_epi64(high2, 10), _mm512_srli_epi64(low2, 42));
    state.limb0 = _mm512_add_epi64(_mm512_and_si512(low0, m44), _mm512_add_epi64(carry, _mm512_slli_epi64(carry, 2)));
    state.limb1 = _mm512_and_si512(low1, m44);
    state.limb2 = _mm512_and_si512(low2, splat64(mask42));
    if constexpr (kind == PolyFactor::power) {
        state.limb1 = _mm512_add_epi64(state.limb1, _mm512_srli_epi64(state.limb0, 44));
        state.limb0 = _mm512_and_si512(state.limb0, m44);
    }
}

// Of eight messages: r, and s as two words.
struct PolyKeys {
    PolyLanes r;
    __m512i s_low, s_high;
};

// Words 0..7 of sixteen lanes as the keys of two times eight messages.
[[gnu::always_inline]] inline void take_poly_keys(const Vector* words, PolyKeys* keys) noexcept
{
    const auto first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const auto second = _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
    for (int group = 0; group < 2; ++group) {
        const auto pick = group == 0 ? first : second;
        const auto pair = [&](int word) __attribute__((always_inline)) {
            return _mm512_permutex2var_epi32(words[word].value, pick, words[word + 1].value);
        };
        const auto low = _mm512_and_si512(pair(0), splat64(0x0ffffffc0fffffffU));
        const auto high = _mm512_and_si512(pair(2), splat64(0x0ffffffc0ffffffcU));
        keys[group].r.limb0 = _mm512_and_si512(low, splat64(mask44));
        keys[group].r.limb1 = _mm512_and_si512(_mm512_shrdi_epi64(low, high, 44), splat64(mask44));
        keys[group].r.limb2 = _mm512_srli_epi64(high, 24);
        keys[group].s_low = pair(4);
        keys[group].s_high = pair(6);
    }
}

struct PolyTags {
    __m512i low, high;
};

// (state mod 2^130 - 5) + s mod 2^128 of each lane.
[[gnu::always_inline]] inline PolyTags poly_tags(const PolyLanes& state, const PolyKeys& keys) noexcept
{
    const auto m44 = splat64(mask44);
    auto h0 = state.limb0;
    auto h1 = state.limb1;
    auto h2 = state.limb2;
#pragma GCC unroll 2
    for (int round = 0; round < 2; ++round) {
        h1 = _mm512_add_epi64(h1, _mm512_srli_epi64(h0, 44));
        h0 = _mm512_and_si512(h0, m44);
        h2 = _mm512_add_epi64(h2, _mm512_srli_epi64(h1, 44));
        h1 = _mm512_and_si512(h1, m44);
        const auto carry = _mm512_srli_epi64(h2, 42);
        h2 = _mm512_and_si512(h2, splat64(mask42));
        h0 = _mm512_add_epi64(_mm512_add_epi64(h0, carry), _mm512_slli_epi64(carry, 2));
    }
    h1 = _mm512_add_epi64(h1, _mm512_srli_epi64(h0, 44));
    h0 = _mm512_and_si512(h0, m44);
    // Add 5: where that reaches 2^130 the sum is what is left of it.
    auto g0 = _mm512_add_epi64(h0, splat64(5));
    auto g1 = _mm512_add_epi64(h1, _mm512_srli_epi64(g0, 44));
    const auto g2 = _mm512_add_epi64(h2, _mm512_srli_epi64(g1, 44));
    g0 = _mm512_and_si512(g0, m44);
    g1 = _mm512_and_si512(g1, m44);
    const auto reached = _mm512_cmpge_epu64_mask(g2, splat64(std::uint64_t{1} << 42U));
    h0 = _mm512_mask_mov_epi64(h0, reached, g0);
    h1 = _mm512_mask_mov_epi64(h1, reached, g1);
    h2 = _mm512_mask_and_epi64(h2, reached, g2, splat64(mask42));
    const auto low = _mm512_or_si512(h0, _mm512_slli_epi64(h1, 44));
    const auto high = _mm512_or_si512(_mm512_srli_epi64(h1, 20), _mm512_slli_epi64(h2, 24));
    PolyTags tags;
    tags.low = _mm512_add_epi64(low, keys.s_low);
    const auto carried = _mm512_cmplt_epu64_mask(tags.low, low);
    tags.high = _mm512_add_epi64(high, keys.s_high);
    tags.high = _mm512_mask_add_epi64(tags.high, carried, tags.high, splat64(1));
    return tags;
}

// 8 x 8 words of 64 bits: from a row of each lane to "word w of every lane".
[[gnu::always_inline]] inline void transpose8(Vector* q) noexcept
{
    Vector t[8];
    Vector u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i].value = _mm512_unpacklo_epi64(q[i].value, q[i + 1].value);
        t[i + 1].value = _mm512_unpackhi_epi64(q[i].value, q[i + 1].value);
    }
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
        u[j].value = _mm512_shuffle_i64x2(t[j].value, t[2 + j].value, 0x88);
        u[2 + j].value = _mm512_shuffle_i64x2(t[j].value, t[2 + j].value, 0xdd);
        u[4 + j].value = _mm512_shuffle_i64x2(t[4 + j].value, t[6 + j].value, 0x88);
        u[6 + j].value = _mm512_shuffle_i64x2(t[4 + j].value, t[6 + j].value, 0xdd);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        q[j].value = _mm512_shuffle_i64x2(u[j].value, u[4 + j].value, 0x88);
        q[j + 4].value = _mm512_shuffle_i64x2(u[j].value, u[4 + j].value, 0xdd);
    }
}

} // namespace caisson::crypto::kernels::avx512
