// Integers mod 2^255 - 19 in eight lanes of AVX-512 IFMA, in five limbs of 51 bits each.
// Included by x25519_avx512.cpp alone, which is compiled with the flags for it.
#pragma once

#include "core/secret.hpp"

#include <immintrin.h>

namespace caisson::crypto::kernels::field25519 {

inline constexpr std::size_t lanes = 8;
inline constexpr std::size_t limbs = 5;
inline constexpr std::uint64_t mask51 = (std::uint64_t{1} << 51U) - 1;

// Reduced enough for every operation here: limbs below 2^51 + 2^15.
struct alignas(64) Field {
    __m512i limb[limbs];
};

[[gnu::always_inline]] inline __m512i splat(std::uint64_t value) noexcept
{
    return _mm512_set1_epi64(static_cast<long long>(value));
}

[[gnu::always_inline]] inline __m512i sum(__m512i left, __m512i right) noexcept
{
    return _mm512_add_epi64(left, right);
}

// Limbs below 2^61 to what Field promises.
[[gnu::always_inline]] inline void carry(Field& a) noexcept
{
    __m512i over[limbs];
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        over[i] = _mm512_srli_epi64(a.limb[i], 51);
        a.limb[i] = _mm512_and_si512(a.limb[i], splat(mask51));
    }
#pragma GCC unroll 5
    for (std::size_t i = 1; i < limbs; ++i) {
        a.limb[i] = sum(a.limb[i], over[i - 1]);
    }
    a.limb[0] = _mm512_madd52lo_epu64(a.limb[0], over[4], splat(19));
}

// Ten columns of a product, the upper five times 2^255 = 19.
[[gnu::always_inline]] inline void fold(Field& out, const __m512i* column) noexcept
{
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        out.limb[i] = sum(column[i], _mm512_mullo_epi64(column[i + limbs], splat(19)));
    }
    carry(out);
}

[[gnu::always_inline]] inline void multiply(Field& out, const Field& a, const Field& b) noexcept
{
    __m512i column[2 * limbs];
#pragma GCC unroll 10
    for (auto& one : column) {
        one = _mm512_setzero_si512();
    }
    // The multiplier splits at bit 52 and the limbs at 51, so the upper halves count twice.
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
#pragma GCC unroll 5
        for (std::size_t j = 0; j < limbs; ++j) {
            column[i + j + 1] = _mm512_madd52hi_epu64(column[i + j + 1], a.limb[i], b.limb[j]);
        }
    }
#pragma GCC unroll 10
    for (std::size_t k = 1; k < 2 * limbs; ++k) {
        column[k] = sum(column[k], column[k]);
    }
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
#pragma GCC unroll 5
        for (std::size_t j = 0; j < limbs; ++j) {
            column[i + j] = _mm512_madd52lo_epu64(column[i + j], a.limb[i], b.limb[j]);
        }
    }
    fold(out, column);
}

[[gnu::always_inline]] inline void square(Field& out, const Field& a) noexcept
{
    __m512i column[2 * limbs];
#pragma GCC unroll 10
    for (auto& one : column) {
        one = _mm512_setzero_si512();
    }
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
#pragma GCC unroll 5
        for (std::size_t j = i + 1; j < limbs; ++j) {
            column[i + j + 1] = _mm512_madd52hi_epu64(column[i + j + 1], a.limb[i], a.limb[j]);
        }
    }
#pragma GCC unroll 10
    for (std::size_t k = 2; k < 2 * limbs - 1; ++k) {
        column[k] = sum(column[k], column[k]);
    }
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
#pragma GCC unroll 5
        for (std::size_t j = i + 1; j < limbs; ++j) {
            column[i + j] = _mm512_madd52lo_epu64(column[i + j], a.limb[i], a.limb[j]);
        }
    }
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        column[2 * i + 1] = _mm512_madd52hi_epu64(column[2 * i + 1], a.limb[i], a.limb[i]);
    }
#pragma GCC unroll 10
    for (std::size_t k = 1; k < 2 * limbs; ++k) {
        column[k] = sum(column[k], column[k]);
    }
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        column[2 * i] = _mm512_madd52lo_epu64(column[2 * i], a.limb[i], a.limb[i]);
    }
    fold(out, column);
}

[[gnu::always_inline]] inline void add(Field& out, const Field& a, const Field& b) noexcept
{
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        out.limb[i] = sum(a.limb[i], b.limb[i]);
    }
    carry(out);
}

[[gnu::always_inline]] inline __m512i limb_of_two_p(std::size_t i) noexcept
{
    return splat(i == 0 ? 2 * (mask51 - 18) : 2 * mask51);
}

[[gnu::always_inline]] inline void subtract(Field& out, const Field& a, const Field& b) noexcept
{
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        out.limb[i] = sum(a.limb[i], _mm512_sub_epi64(limb_of_two_p(i), b.limb[i]));
    }
    carry(out);
}

// b in the lanes of `mask`, a in the others.
[[gnu::always_inline]] inline void select(Field& out, __mmask8 mask, const Field& a, const Field& b) noexcept
{
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        out.limb[i] = _mm512_mask_mov_epi64(a.limb[i], mask, b.limb[i]);
    }
}

[[gnu::always_inline]] inline Field constant(std::uint64_t value) noexcept
{
    Field out;
    out.limb[0] = splat(value);
    for (std::size_t i = 1; i < limbs; ++i) {
        out.limb[i] = _mm512_setzero_si512();
    }
    return out;
}

// out = a^(2^count)
[[gnu::noinline]] inline void square_often(Field& out, const Field& a, int count) noexcept
{
    Field x = a;
    for (int round = 0; round < count; ++round) {
        square(x, x);
    }
    out = x;
}

[[gnu::noinline]] inline void multiply_apart(Field& out, const Field& a, const Field& b) noexcept
{
    multiply(out, a, b);
}

// a^(p - 2); zero stays zero. The names are the exponents, eN for 2^N - 1.
[[gnu::noinline]] inline void invert(Field& out, const Field& a) noexcept
{
    Field x2;
    Field x9;
    Field x11;
    Field e5;
    Field e10;
    Field e50;
    Field x;
    Field y;
    square_often(x2, a, 1);
    square_often(x, x2, 2);
    multiply_apart(x9, x, a);
    multiply_apart(x11, x9, x2);
    square_often(x, x11, 1);
    multiply_apart(e5, x, x9);
    square_often(x, e5, 5);
    multiply_apart(e10, x, e5);
    square_often(x, e10, 10);
    multiply_apart(y, x, e10); // e20
    square_often(x, y, 20);
    multiply_apart(x, x, y); // e40
    square_often(x, x, 10);
    multiply_apart(e50, x, e10);
    square_often(x, e50, 50);
    multiply_apart(y, x, e50); // e100
    square_often(x, y, 100);
    multiply_apart(x, x, y); // e200
    square_often(x, x, 50);
    multiply_apart(x, x, e50); // e250
    square_often(x, x, 5);
    multiply_apart(out, x, x11);
}

// One pass of carries from limb 0 upwards; what leaves the top comes back times 19.
[[gnu::always_inline]] inline void carry_along(Field& a, bool around) noexcept
{
    for (std::size_t i = 0; i + 1 < limbs; ++i) {
        a.limb[i + 1] = sum(a.limb[i + 1], _mm512_srli_epi64(a.limb[i], 51));
        a.limb[i] = _mm512_and_si512(a.limb[i], splat(mask51));
    }
    if (around) {
        a.limb[0] = _mm512_madd52lo_epu64(a.limb[0], _mm512_srli_epi64(a.limb[4], 51), splat(19));
        a.limb[4] = _mm512_and_si512(a.limb[4], splat(mask51));
    }
}

// The one representative below p.
[[gnu::noinline]] inline void freeze(Field& a) noexcept
{
    carry(a);
    carry_along(a, true);
    carry_along(a, true);
    carry_along(a, false);
    // a >= p where adding 19 reaches bit 255; then what is left of the sum is a - p.
    Field less = a;
    less.limb[0] = sum(less.limb[0], splat(19));
    carry_along(less, false);
    const auto reached = _mm512_test_epi64_mask(less.limb[4], splat(std::uint64_t{1} << 51U));
    less.limb[4] = _mm512_and_si512(less.limb[4], splat(mask51));
    select(a, reached, a, less);
}

// Words 0..3 of eight numbers; bit 255 is ignored, as RFC 7748 wants.
[[gnu::always_inline]] inline Field unpack(const __m512i* words) noexcept
{
    const auto mask = splat(mask51);
    Field out;
    out.limb[0] = _mm512_and_si512(words[0], mask);
    out.limb[1] = _mm512_and_si512(_mm512_shrdi_epi64(words[0], words[1], 51), mask);
    out.limb[2] = _mm512_and_si512(_mm512_shrdi_epi64(words[1], words[2], 38), mask);
    out.limb[3] = _mm512_and_si512(_mm512_shrdi_epi64(words[2], words[3], 25), mask);
    out.limb[4] = _mm512_and_si512(_mm512_srli_epi64(words[3], 12), mask);
    return out;
}

// Requires: frozen.
[[gnu::always_inline]] inline void pack(__m512i* words, const Field& a) noexcept
{
    words[0] = _mm512_or_si512(a.limb[0], _mm512_slli_epi64(a.limb[1], 51));
    words[1] = _mm512_or_si512(_mm512_srli_epi64(a.limb[1], 13), _mm512_slli_epi64(a.limb[2], 38));
    words[2] = _mm512_or_si512(_mm512_srli_epi64(a.limb[2], 26), _mm512_slli_epi64(a.limb[3], 25));
    words[3] = _mm512_or_si512(_mm512_srli_epi64(a.limb[3], 39), _mm512_slli_epi64(a.limb[4], 12));
}

} // namespace caisson::crypto::kernels::field25519
