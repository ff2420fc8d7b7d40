// Salsa20/20 in 16 or 32 lanes of AVX-512: the state word w of sixteen blocks lies in one vector.
// Included by box_avx512.cpp alone, which is compiled with the flags for it.
#pragma once

#include "core/crypto/kernels/box.hpp"

#include <immintrin.h>

namespace caisson::crypto::kernels::avx512 {

inline constexpr std::size_t lanes = 16;
inline constexpr std::size_t state_words = 16;

// A template argument would drop the attributes of __m512i.
struct alignas(64) Vector {
    __m512i value;
};

[[gnu::always_inline]] inline __m512i splat32(std::uint32_t value) noexcept
{
    return _mm512_set1_epi32(static_cast<int>(value));
}

[[gnu::always_inline]] inline __m512i splat64(std::uint64_t value) noexcept
{
    return _mm512_set1_epi64(static_cast<long long>(value));
}

// x[t] ^= rotl(x[u] + x[v], K)
template <int K>
[[gnu::always_inline]] inline void step(Vector* x, int t, int u, int v) noexcept
{
    x[t].value = _mm512_xor_si512(x[t].value, _mm512_rol_epi32(_mm512_add_epi32(x[u].value, x[v].value), K));
}

[[gnu::always_inline]] inline void double_round(Vector* x) noexcept
{
    // Columns, then rows; four independent chains each.
    step<7>(x, 4, 0, 12), step<7>(x, 9, 5, 1), step<7>(x, 14, 10, 6), step<7>(x, 3, 15, 11);
    step<9>(x, 8, 4, 0), step<9>(x, 13, 9, 5), step<9>(x, 2, 14, 10), step<9>(x, 7, 3, 15);
    step<13>(x, 12, 8, 4), step<13>(x, 1, 13, 9), step<13>(x, 6, 2, 14), step<13>(x, 11, 7, 3);
    step<18>(x, 0, 12, 8), step<18>(x, 5, 1, 13), step<18>(x, 10, 6, 2), step<18>(x, 15, 11, 7);
    step<7>(x, 1, 0, 3), step<7>(x, 6, 5, 4), step<7>(x, 11, 10, 9), step<7>(x, 12, 15, 14);
    step<9>(x, 2, 1, 0), step<9>(x, 7, 6, 5), step<9>(x, 8, 11, 10), step<9>(x, 13, 12, 15);
    step<13>(x, 3, 2, 1), step<13>(x, 4, 7, 6), step<13>(x, 9, 8, 11), step<13>(x, 14, 13, 12);
    step<18>(x, 0, 3, 2), step<18>(x, 5, 4, 7), step<18>(x, 10, 9, 8), step<18>(x, 15, 14, 13);
}

// Two groups side by side (x[0..15] and x[16..31], x[32] is scratch), in place. One group alone waits for the latency
// of its own additions; two need 33 registers, and compilers spill far more than the one word that does not fit. So
// this is assembly: word 2 of the second group shares a register with word 10 (columns) or word 0 (rows), whose uses do
// not overlap; while it waits it lies in memory.
// clang-format off
#define CAISSON_STEP(T, U, V, K)                                                                                       \
    "vpaddd " U "," V ",%%zmm31\n vprold $" #K ",%%zmm31,%%zmm31\n vpxord %%zmm31," T "," T "\n"
#define CAISSON_SWAP_IN(X, OTHER, K)                                                                                   \
    "vpaddd " OTHER "," X ",%%zmm31\n vmovdqa64 " X ",2048(%[x])\n"                                                    \
    "vprold $" #K ",%%zmm31,%%zmm31\n vpxord 1152(%[x]),%%zmm31," X "\n"
#define CAISSON_SWAP_OUT(X, OTHER, K)                                                                                  \
    "vpaddd " OTHER "," X ",%%zmm31\n vmovdqa64 " X ",1152(%[x])\n"                                                    \
    "vprold $" #K ",%%zmm31,%%zmm31\n vpxord 2048(%[x]),%%zmm31," X "\n"
#define CAISSON_MOVE_ALL(MOVE)                                                                                         \
    MOVE(0, 0)                                                                                                         \
    MOVE(64, 1)                                                                                                        \
    MOVE(128, 2) MOVE(192, 3) MOVE(256, 4) MOVE(320, 5) MOVE(384, 6) MOVE(448, 7) MOVE(512, 8) MOVE(576, 9)            \
        MOVE(640, 10) MOVE(704, 11) MOVE(768, 12) MOVE(832, 13) MOVE(896, 14) MOVE(960, 15) MOVE(1024, 16)             \
            MOVE(1088, 17) MOVE(1216, 18) MOVE(1280, 19) MOVE(1344, 20) MOVE(1408, 21) MOVE(1472, 22) MOVE(1536, 23)   \
                MOVE(1600, 24) MOVE(1664, 25) MOVE(1728, 26) MOVE(1792, 27) MOVE(1856, 28) MOVE(1920, 29)              \
                    MOVE(1984, 30)
#define CAISSON_LOAD(OFFSET, REGISTER) "vmovdqa64 " #OFFSET "(%[x]),%%zmm" #REGISTER "\n"
#define CAISSON_STORE(OFFSET, REGISTER) "vmovdqa64 %%zmm" #REGISTER "," #OFFSET "(%[x])\n"
#define Z(N) "%%zmm" #N
// Registers 0..15 hold group A's words 0..15; 16, 17 and 18..30 hold group B's words 0, 1 and 3..15.
[[gnu::always_inline]] inline void twenty_rounds_of_two(Vector* x) noexcept
{
    std::uint64_t double_rounds = 10;
    __asm__ volatile(
        CAISSON_MOVE_ALL(CAISSON_LOAD)
        ".p2align 5\n1:\n"
        CAISSON_STEP(Z(4), Z(0), Z(12), 7) CAISSON_STEP(Z(9), Z(5), Z(1), 7)
        CAISSON_STEP(Z(14), Z(10), Z(6), 7) CAISSON_STEP(Z(3), Z(15), Z(11), 7)
        CAISSON_STEP(Z(8), Z(4), Z(0), 9) CAISSON_STEP(Z(13), Z(9), Z(5), 9)
        CAISSON_STEP(Z(2), Z(14), Z(10), 9) CAISSON_STEP(Z(7), Z(3), Z(15), 9)
        CAISSON_STEP(Z(12), Z(8), Z(4), 13) CAISSON_STEP(Z(1), Z(13), Z(9), 13)
        CAISSON_STEP(Z(6), Z(2), Z(14), 13) CAISSON_STEP(Z(11), Z(7), Z(3), 13)
        CAISSON_STEP(Z(0), Z(12), Z(8), 18) CAISSON_STEP(Z(5), Z(1), Z(13), 18)
        CAISSON_STEP(Z(10), Z(6), Z(2), 18) CAISSON_STEP(Z(15), Z(11), Z(7), 18)
        CAISSON_STEP(Z(29), Z(25), Z(21), 7) CAISSON_STEP(Z(19), Z(16), Z(27), 7)
        CAISSON_STEP(Z(24), Z(20), Z(17), 7) CAISSON_STEP(Z(18), Z(30), Z(26), 7)
        CAISSON_SWAP_IN(Z(25), Z(29), 9) CAISSON_STEP(Z(23), Z(19), Z(16), 9)
        CAISSON_STEP(Z(28), Z(24), Z(20), 9) CAISSON_STEP(Z(22), Z(18), Z(30), 9)
        CAISSON_STEP(Z(21), Z(25), Z(29), 13) CAISSON_STEP(Z(27), Z(23), Z(19), 13)
        CAISSON_STEP(Z(17), Z(28), Z(24), 13) CAISSON_STEP(Z(26), Z(22), Z(18), 13)
        CAISSON_SWAP_OUT(Z(25), Z(21), 18) CAISSON_STEP(Z(16), Z(27), Z(23), 18)
        CAISSON_STEP(Z(20), Z(17), Z(28), 18) CAISSON_STEP(Z(30), Z(26), Z(22), 18)
        CAISSON_STEP(Z(1), Z(0), Z(3), 7) CAISSON_STEP(Z(6), Z(5), Z(4), 7)
        CAISSON_STEP(Z(11), Z(10), Z(9), 7) CAISSON_STEP(Z(12), Z(15), Z(14), 7)
        CAISSON_STEP(Z(2), Z(1), Z(0), 9) CAISSON_STEP(Z(7), Z(6), Z(5), 9)
        CAISSON_STEP(Z(8), Z(11), Z(10), 9) CAISSON_STEP(Z(13), Z(12), Z(15), 9)
        CAISSON_STEP(Z(3), Z(2), Z(1), 13) CAISSON_STEP(Z(4), Z(7), Z(6), 13)
        CAISSON_STEP(Z(9), Z(8), Z(11), 13) CAISSON_STEP(Z(14), Z(13), Z(12), 13)
        CAISSON_STEP(Z(0), Z(3), Z(2), 18) CAISSON_STEP(Z(5), Z(4), Z(7), 18)
        CAISSON_STEP(Z(10), Z(9), Z(8), 18) CAISSON_STEP(Z(15), Z(14), Z(13), 18)
        CAISSON_STEP(Z(17), Z(16), Z(18), 7) CAISSON_STEP(Z(21), Z(20), Z(19), 7)
        CAISSON_STEP(Z(26), Z(25), Z(24), 7) CAISSON_STEP(Z(27), Z(30), Z(29), 7)
        CAISSON_SWAP_IN(Z(16), Z(17), 9) CAISSON_STEP(Z(22), Z(21), Z(20), 9)
        CAISSON_STEP(Z(23), Z(26), Z(25), 9) CAISSON_STEP(Z(28), Z(27), Z(30), 9)
        CAISSON_STEP(Z(18), Z(16), Z(17), 13) CAISSON_STEP(Z(19), Z(22), Z(21), 13)
        CAISSON_STEP(Z(24), Z(23), Z(26), 13) CAISSON_STEP(Z(29), Z(28), Z(27), 13)
        CAISSON_SWAP_OUT(Z(16), Z(18), 18) CAISSON_STEP(Z(20), Z(19), Z(22), 18)
        CAISSON_STEP(Z(25), Z(24), Z(23), 18) CAISSON_STEP(Z(30), Z(29), Z(28), 18)
        "dec %[n]\n jnz 1b\n"
        CAISSON_MOVE_ALL(CAISSON_STORE)
        : [n] "+r"(double_rounds)
        : [x] "r"(x)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",
          "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}
// clang-format on
#undef CAISSON_STEP
#undef CAISSON_SWAP_IN
#undef CAISSON_SWAP_OUT
#undef CAISSON_MOVE_ALL
#undef CAISSON_LOAD
#undef CAISSON_STORE
#undef Z

// Sixteen blocks: x[w] holds word w of every lane, as `initial` does.
[[gnu::always_inline]] inline void salsa20_one(Vector* x, const Vector* initial) noexcept
{
    Vector state[state_words]; // a local array, unrolled, stays in registers
#pragma GCC unroll 16
    for (std::size_t word = 0; word < state_words; ++word) {
        state[word].value = initial[word].value;
    }
    for (int round = 0; round < 10; ++round) {
        double_round(state);
    }
#pragma GCC unroll 16
    for (std::size_t word = 0; word < state_words; ++word) {
        x[word].value = _mm512_add_epi32(state[word].value, initial[word].value);
    }
}

// Thirty-two blocks: x[0..15] for the first sixteen, x[16..31] for the second; x has 33 vectors.
[[gnu::always_inline]] inline void salsa20_two(Vector* x, const Vector* first, const Vector* second) noexcept
{
    for (std::size_t word = 0; word < state_words; ++word) {
        x[word].value = first[word].value;
        x[state_words + word].value = second[word].value;
    }
    twenty_rounds_of_two(x);
    for (std::size_t word = 0; word < state_words; ++word) {
        x[word].value = _mm512_add_epi32(x[word].value, first[word].value);
        x[state_words + word].value = _mm512_add_epi32(x[state_words + word].value, second[word].value);
    }
}

// 16 x 16 words: from "word w of every lane" to "block of lane l".
[[gnu::always_inline]] inline void transpose16(Vector* x) noexcept
{
    Vector t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i].value = _mm512_unpacklo_epi32(x[i].value, x[i + 1].value);
        t[i + 1].value = _mm512_unpackhi_epi32(x[i].value, x[i + 1].value);
    }
    Vector u[16]; // u[4k + j]: in 128-bit part p the words 4k..4k+3 of lane 4p + j
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        u[i].value = _mm512_unpacklo_epi64(t[i].value, t[i + 2].value);
        u[i + 1].value = _mm512_unpackhi_epi64(t[i].value, t[i + 2].value);
        u[i + 2].value = _mm512_unpacklo_epi64(t[i + 1].value, t[i + 3].value);
        u[i + 3].value = _mm512_unpackhi_epi64(t[i + 1].value, t[i + 3].value);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        const auto a = _mm512_shuffle_i32x4(u[j].value, u[4 + j].value, 0x88);
        const auto b = _mm512_shuffle_i32x4(u[j].value, u[4 + j].value, 0xdd);
        const auto c = _mm512_shuffle_i32x4(u[8 + j].value, u[12 + j].value, 0x88);
        const auto d = _mm512_shuffle_i32x4(u[8 + j].value, u[12 + j].value, 0xdd);
        x[j].value = _mm512_shuffle_i32x4(a, c, 0x88);
        x[8 + j].value = _mm512_shuffle_i32x4(a, c, 0xdd);
        x[4 + j].value = _mm512_shuffle_i32x4(b, d, 0x88);
        x[12 + j].value = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

} // namespace caisson::crypto::kernels::avx512
