// Salsa20/20 in 16 or 32 lanes of AVX-512: the state word w of sixteen blocks lies in one vector.
// Included by kernels alone that are compiled with the flags for it.
#pragma once

#include "core/crypto/constant_time.hpp"
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

[[gnu::always_inline]] inline void quarter_round(Vector* x, int a, int b, int c, int d) noexcept
{
    step<7>(x, b, a, d);
    step<9>(x, c, b, a);
    step<13>(x, d, c, b);
    step<18>(x, a, d, c);
}

[[gnu::always_inline]] inline void columns(Vector* x) noexcept
{
    step<7>(x, 4, 0, 12), step<7>(x, 9, 5, 1), step<7>(x, 14, 10, 6), step<7>(x, 3, 15, 11);
    step<9>(x, 8, 4, 0), step<9>(x, 13, 9, 5), step<9>(x, 2, 14, 10), step<9>(x, 7, 3, 15);
    step<13>(x, 12, 8, 4), step<13>(x, 1, 13, 9), step<13>(x, 6, 2, 14), step<13>(x, 11, 7, 3);
    step<18>(x, 0, 12, 8), step<18>(x, 5, 1, 13), step<18>(x, 10, 6, 2), step<18>(x, 15, 11, 7);
}

[[gnu::always_inline]] inline void rows(Vector* x) noexcept
{
    step<7>(x, 1, 0, 3), step<7>(x, 6, 5, 4), step<7>(x, 11, 10, 9), step<7>(x, 12, 15, 14);
    step<9>(x, 2, 1, 0), step<9>(x, 7, 6, 5), step<9>(x, 8, 11, 10), step<9>(x, 13, 12, 15);
    step<13>(x, 3, 2, 1), step<13>(x, 4, 7, 6), step<13>(x, 9, 8, 11), step<13>(x, 14, 13, 12);
    step<18>(x, 0, 3, 2), step<18>(x, 5, 4, 7), step<18>(x, 10, 9, 8), step<18>(x, 15, 14, 13);
}

// What two groups of sixteen lanes start from. They differ in word 8 alone (the block's number; its upper half, word 9,
// is zero), so after the first column round they differ in the words of that column alone, and the three other columns
// are made once for all blocks of a message, and of a session.
struct LaneState {
    Vector initial[state_words];
    Vector second_block;       // word 8 of the second group
    Vector begun[state_words]; // after the first column round
    Vector second_column[4];   // words 0, 4, 8 and 12 of the second group

    // The column of words 5, 9, 13 and 1, and that of 10, 14, 2 and 6: key, constants, and the nonce's first half.
    [[gnu::always_inline]] void begin_common_columns() noexcept
    {
        begin_column(5, 9, 13, 1);
        begin_column(10, 14, 2, 6);
    }
    // The column with the second half of the nonce, which counts up.
    [[gnu::always_inline]] void begin_nonce_column() noexcept { begin_column(15, 3, 7, 11); }
    // The column with the block's number, of both groups.
    [[gnu::always_inline]] void begin_block_column(__m512i first, __m512i second) noexcept
    {
        initial[8].value = first;
        second_block.value = second;
        begin_column(0, 4, 8, 12);
        Vector x[4] = {initial[0], initial[4], second_block, initial[12]};
        quarter_round(x, 0, 1, 2, 3);
        for (int word = 0; word < 4; ++word) {
            second_column[word] = x[word];
        }
    }

  private:
    [[gnu::always_inline]] void begin_column(int a, int b, int c, int d) noexcept
    {
        Vector x[4] = {initial[a], initial[b], initial[c], initial[d]};
        quarter_round(x, 0, 1, 2, 3);
        begun[a] = x[0];
        begun[b] = x[1];
        begun[c] = x[2];
        begun[d] = x[3];
    }
};

// The rounds after the first column round on both groups, and the addition of what they started from: x[0..15] becomes
// the first group's key stream, x[16..31] the second's; x[32] is scratch. One group alone waits for the latency of its
// own additions; two need 33 registers, and compilers spill far more than the one word that does not fit. So this is
// assembly: word 2 of the second group shares a register with word 10 (columns) or word 0 (rows), whose uses do not
// overlap; while it waits it lies in memory.
// clang-format off
#define CAISSON_STEP(T, U, V, K)                                                                                       \
    "vpaddd " U "," V ",%%zmm31\n vprold $" #K ",%%zmm31,%%zmm31\n vpxord %%zmm31," T "," T "\n"
#define CAISSON_SWAP_IN(X, OTHER, K)                                                                                   \
    "vpaddd " OTHER "," X ",%%zmm31\n vmovdqa64 " X ",2048(%[x])\n"                                                    \
    "vprold $" #K ",%%zmm31,%%zmm31\n vpxord 1152(%[x]),%%zmm31," X "\n"
#define CAISSON_SWAP_OUT(X, OTHER, K)                                                                                  \
    "vpaddd " OTHER "," X ",%%zmm31\n vmovdqa64 " X ",1152(%[x])\n"                                                    \
    "vprold $" #K ",%%zmm31,%%zmm31\n vpxord 2048(%[x]),%%zmm31," X "\n"
// Offset in `begun` (or in `second_column` behind it), register.
#define CAISSON_LOAD(OFFSET, REGISTER) "vmovdqa64 " #OFFSET "(%[begun]),%%zmm" #REGISTER "\n"
// Offset in `initial` (or in `second_block` behind it), register, offset in x.
#define CAISSON_STORE(OFFSET, REGISTER, TO)                                                                            \
    "vpaddd " #OFFSET "(%[initial]),%%zmm" #REGISTER ",%%zmm" #REGISTER "\n"                                           \
    "vmovdqa64 %%zmm" #REGISTER "," #TO "(%[x])\n"
#define Z(N) "%%zmm" #N
// Registers 0..15 hold the first group's words 0..15; 16, 17 and 18..30 hold the second's words 0, 1 and 3..15.
[[gnu::always_inline]] inline void salsa20_two(Vector* x, const LaneState& state) noexcept
{
#ifdef CAISSON_WATCHED_BY_MSAN // which cannot follow assembly
    for (int group = 0; group < 2; ++group) {
        Vector y[state_words];
        for (std::size_t word = 0; word < state_words; ++word) {
            y[word] = group == 1 && word % 4 == 0 ? state.second_column[word / 4] : state.begun[word];
        }
        for (int round = 0; round < 10; ++round) {
            if (round != 0) {
                columns(y);
            }
            rows(y);
        }
        for (std::size_t word = 0; word < state_words; ++word) {
            const auto& initial = group == 1 && word == 8 ? state.second_block : state.initial[word];
            x[static_cast<std::size_t>(group) * state_words + word].value =
                _mm512_add_epi32(y[word].value, initial.value);
        }
    }
#else
    std::uint64_t double_rounds = 10;
    __asm__ volatile(
        CAISSON_LOAD(128, 31) "vmovdqa64 %%zmm31,1152(%[x])\n"
        CAISSON_LOAD(0, 0) CAISSON_LOAD(64, 1) CAISSON_LOAD(128, 2) CAISSON_LOAD(192, 3)
        CAISSON_LOAD(256, 4) CAISSON_LOAD(320, 5) CAISSON_LOAD(384, 6) CAISSON_LOAD(448, 7)
        CAISSON_LOAD(512, 8) CAISSON_LOAD(576, 9) CAISSON_LOAD(640, 10) CAISSON_LOAD(704, 11)
        CAISSON_LOAD(768, 12) CAISSON_LOAD(832, 13) CAISSON_LOAD(896, 14) CAISSON_LOAD(960, 15)
        CAISSON_LOAD(1024, 16) CAISSON_LOAD(64, 17) CAISSON_LOAD(192, 18)
        CAISSON_LOAD(1088, 19) CAISSON_LOAD(320, 20) CAISSON_LOAD(384, 21) CAISSON_LOAD(448, 22)
        CAISSON_LOAD(1152, 23) CAISSON_LOAD(576, 24) CAISSON_LOAD(640, 25) CAISSON_LOAD(704, 26)
        CAISSON_LOAD(1216, 27) CAISSON_LOAD(832, 28) CAISSON_LOAD(896, 29) CAISSON_LOAD(960, 30)
        "jmp 2f\n"
        ".p2align 5\n1:\n"
        CAISSON_STEP(Z(4), Z(0), Z(12), 7) CAISSON_STEP(Z(9), Z(5), Z(1), 7)
        CAISSON_STEP(Z(14), Z(10), Z(6), 7) CAISSON_STEP(Z(3), Z(15), Z(11), 7)
        CAISSON_STEP(Z(29), Z(25), Z(21), 7) CAISSON_STEP(Z(19), Z(16), Z(27), 7)
        CAISSON_STEP(Z(24), Z(20), Z(17), 7) CAISSON_STEP(Z(18), Z(30), Z(26), 7)
        CAISSON_STEP(Z(8), Z(4), Z(0), 9) CAISSON_STEP(Z(13), Z(9), Z(5), 9)
        CAISSON_STEP(Z(2), Z(14), Z(10), 9) CAISSON_STEP(Z(7), Z(3), Z(15), 9)
        CAISSON_SWAP_IN(Z(25), Z(29), 9) CAISSON_STEP(Z(23), Z(19), Z(16), 9)
        CAISSON_STEP(Z(28), Z(24), Z(20), 9) CAISSON_STEP(Z(22), Z(18), Z(30), 9)
        CAISSON_STEP(Z(12), Z(8), Z(4), 13) CAISSON_STEP(Z(1), Z(13), Z(9), 13)
        CAISSON_STEP(Z(6), Z(2), Z(14), 13) CAISSON_STEP(Z(11), Z(7), Z(3), 13)
        CAISSON_STEP(Z(21), Z(25), Z(29), 13) CAISSON_STEP(Z(27), Z(23), Z(19), 13)
        CAISSON_STEP(Z(17), Z(28), Z(24), 13) CAISSON_STEP(Z(26), Z(22), Z(18), 13)
        CAISSON_STEP(Z(0), Z(12), Z(8), 18) CAISSON_STEP(Z(5), Z(1), Z(13), 18)
        CAISSON_STEP(Z(10), Z(6), Z(2), 18) CAISSON_STEP(Z(15), Z(11), Z(7), 18)
        CAISSON_SWAP_OUT(Z(25), Z(21), 18) CAISSON_STEP(Z(16), Z(27), Z(23), 18)
        CAISSON_STEP(Z(20), Z(17), Z(28), 18) CAISSON_STEP(Z(30), Z(26), Z(22), 18)
        "2:\n"
        CAISSON_STEP(Z(1), Z(0), Z(3), 7) CAISSON_STEP(Z(6), Z(5), Z(4), 7)
        CAISSON_STEP(Z(11), Z(10), Z(9), 7) CAISSON_STEP(Z(12), Z(15), Z(14), 7)
        CAISSON_STEP(Z(17), Z(16), Z(18), 7) CAISSON_STEP(Z(21), Z(20), Z(19), 7)
        CAISSON_STEP(Z(26), Z(25), Z(24), 7) CAISSON_STEP(Z(27), Z(30), Z(29), 7)
        CAISSON_STEP(Z(2), Z(1), Z(0), 9) CAISSON_STEP(Z(7), Z(6), Z(5), 9)
        CAISSON_STEP(Z(8), Z(11), Z(10), 9) CAISSON_STEP(Z(13), Z(12), Z(15), 9)
        CAISSON_SWAP_IN(Z(16), Z(17), 9) CAISSON_STEP(Z(22), Z(21), Z(20), 9)
        CAISSON_STEP(Z(23), Z(26), Z(25), 9) CAISSON_STEP(Z(28), Z(27), Z(30), 9)
        CAISSON_STEP(Z(3), Z(2), Z(1), 13) CAISSON_STEP(Z(4), Z(7), Z(6), 13)
        CAISSON_STEP(Z(9), Z(8), Z(11), 13) CAISSON_STEP(Z(14), Z(13), Z(12), 13)
        CAISSON_STEP(Z(18), Z(16), Z(17), 13) CAISSON_STEP(Z(19), Z(22), Z(21), 13)
        CAISSON_STEP(Z(24), Z(23), Z(26), 13) CAISSON_STEP(Z(29), Z(28), Z(27), 13)
        CAISSON_STEP(Z(0), Z(3), Z(2), 18) CAISSON_STEP(Z(5), Z(4), Z(7), 18)
        CAISSON_STEP(Z(10), Z(9), Z(8), 18) CAISSON_STEP(Z(15), Z(14), Z(13), 18)
        CAISSON_SWAP_OUT(Z(16), Z(18), 18) CAISSON_STEP(Z(20), Z(19), Z(22), 18)
        CAISSON_STEP(Z(25), Z(24), Z(23), 18) CAISSON_STEP(Z(30), Z(29), Z(28), 18)
        "dec %[n]\n jnz 1b\n"
        CAISSON_STORE(0, 0, 0) CAISSON_STORE(64, 1, 64) CAISSON_STORE(128, 2, 128) CAISSON_STORE(192, 3, 192)
        CAISSON_STORE(256, 4, 256) CAISSON_STORE(320, 5, 320) CAISSON_STORE(384, 6, 384) CAISSON_STORE(448, 7, 448)
        CAISSON_STORE(512, 8, 512) CAISSON_STORE(576, 9, 576) CAISSON_STORE(640, 10, 640) CAISSON_STORE(704, 11, 704)
        CAISSON_STORE(768, 12, 768) CAISSON_STORE(832, 13, 832) CAISSON_STORE(896, 14, 896) CAISSON_STORE(960, 15, 960)
        "vmovdqa64 1152(%[x]),%%zmm31\n"
        CAISSON_STORE(0, 16, 1024) CAISSON_STORE(64, 17, 1088) CAISSON_STORE(128, 31, 1152) CAISSON_STORE(192, 18, 1216)
        CAISSON_STORE(256, 19, 1280) CAISSON_STORE(320, 20, 1344) CAISSON_STORE(384, 21, 1408)
        CAISSON_STORE(448, 22, 1472)
        CAISSON_STORE(1024, 23, 1536) CAISSON_STORE(576, 24, 1600) CAISSON_STORE(640, 25, 1664)
        CAISSON_STORE(704, 26, 1728)
        CAISSON_STORE(768, 27, 1792) CAISSON_STORE(832, 28, 1856) CAISSON_STORE(896, 29, 1920)
        CAISSON_STORE(960, 30, 1984)
        : [n] "+r"(double_rounds)
        : [x] "r"(x), [begun] "r"(state.begun), [initial] "r"(state.initial)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",
          "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
#endif
}
// clang-format on
#undef CAISSON_STEP
#undef CAISSON_SWAP_IN
#undef CAISSON_SWAP_OUT
#undef CAISSON_LOAD
#undef CAISSON_STORE
#undef Z
static_assert(offsetof(LaneState, second_block) - offsetof(LaneState, initial) == 1024);
static_assert(offsetof(LaneState, second_column) - offsetof(LaneState, begun) == 1024);

// The first group alone: x[0..15].
[[gnu::always_inline]] inline void salsa20_one(Vector* x, const LaneState& state) noexcept
{
    Vector y[state_words]; // a local array, unrolled, stays in registers
#pragma GCC unroll 16
    for (std::size_t word = 0; word < state_words; ++word) {
        y[word].value = state.begun[word].value;
    }
    rows(y);
    for (int round = 1; round < 10; ++round) {
        columns(y);
        rows(y);
    }
#pragma GCC unroll 16
    for (std::size_t word = 0; word < state_words; ++word) {
        x[word].value = _mm512_add_epi32(y[word].value, state.initial[word].value);
    }
}

// 16 x 16 words: from "word w of every lane" (words 0..7 in `low`, 8..15 in `high`) to row l of lane l. `to` may be
// either source.
[[gnu::always_inline]] inline void transpose16(Vector* to, const Vector* low, const Vector* high) noexcept
{
    Vector t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2) {
        t[i].value = _mm512_unpacklo_epi32(low[i].value, low[i + 1].value);
        t[i + 1].value = _mm512_unpackhi_epi32(low[i].value, low[i + 1].value);
        t[8 + i].value = _mm512_unpacklo_epi32(high[i].value, high[i + 1].value);
        t[9 + i].value = _mm512_unpackhi_epi32(high[i].value, high[i + 1].value);
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
        to[j].value = _mm512_shuffle_i32x4(a, c, 0x88);
        to[8 + j].value = _mm512_shuffle_i32x4(a, c, 0xdd);
        to[4 + j].value = _mm512_shuffle_i32x4(b, d, 0x88);
        to[12 + j].value = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

} // namespace caisson::crypto::kernels::avx512
