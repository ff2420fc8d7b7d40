// The end of every kernel: what it has left below its caller is overwritten. Destructors wipe what has a name; a
// compiler also spills keys and key stream where no name reaches, and leaves them in vector registers.
// What is left is looked for by tests/unit/core/crypto/left_behind_test.cpp, which fails where `stack_bytes` is too
// little.
#pragma once

#include "core/bytes.hpp"

namespace caisson::crypto::kernels {

// Each kernel's own, with the instructions that it is compiled for.
[[gnu::always_inline]] static inline void clear_vector_registers() noexcept
{
#if defined(__AVX512F__)
    __asm__ volatile("vzeroall\n"
                     ".irp number,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
                     "vpxord %%zmm\\number,%%zmm\\number,%%zmm\\number\n"
                     ".endr\n"
                     ".irp number,1,2,3,4,5,6,7\n"
                     "kxorw %%k\\number,%%k\\number,%%k\\number\n"
                     ".endr"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21",
                       "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1",
                       "k2", "k3", "k4", "k5", "k6", "k7");
#elif defined(__AVX__)
    __asm__ volatile("vzeroall"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15");
#else
    __asm__ volatile(".irp number,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
                     "pxor %%xmm\\number,%%xmm\\number\n"
                     ".endr"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15");
#endif
}

// Overwrites as much of the stack below the caller's frame, and every vector register. Where the kernel was called from
// the same function just before, that is all it used. Out of line, so that it stands where the kernel stood, and
// without an alignment of its own, which would leave a gap at the top.
template <std::size_t stack_bytes>
[[gnu::noinline]] static void forget_call() noexcept
{
#if defined(__AVX512F__)
    constexpr std::size_t widest = 64;
#elif defined(__AVX__)
    constexpr std::size_t widest = 32;
#else
    constexpr std::size_t widest = 16;
#endif
    typedef std::uint64_t Line __attribute__((vector_size(widest), may_alias));
    typedef std::uint64_t LineAnywhere __attribute__((vector_size(widest), aligned(8), may_alias));
    alignas(16) std::uint8_t below[stack_bytes];
    auto* const top = below + stack_bytes;
    *reinterpret_cast<volatile LineAnywhere*>(below) = LineAnywhere{};
    *reinterpret_cast<volatile LineAnywhere*>(top - sizeof(Line)) = LineAnywhere{};
    auto* line = below + sizeof(Line) - reinterpret_cast<std::uintptr_t>(below) % sizeof(Line);
    // Volatile, or it becomes a call of memset, which takes twice as long as stores in a row.
#pragma GCC unroll 16
    for (std::size_t index = 1; index < stack_bytes / sizeof(Line); ++index, line += sizeof(Line)) {
        *reinterpret_cast<volatile Line*>(line) = Line{};
    }
    __asm__ volatile("" : : "r"(below) : "memory");
    clear_vector_registers();
}

} // namespace caisson::crypto::kernels
