// How a loader enters a chamber image and why the chamber leaves (EENTER and EEXIT registers).
//
// EENTER: RDI = EntryOperation, RSI = the Ring, RDX = the EntryFacts, both outside the enclave.
// EEXIT:  RDI = ExitReason, RSI = for `idle` the doorbell value to wait on.
#pragma once

#include "core/bytes.hpp"
#include "protocol/sgx.hpp"

namespace caisson::airlock {

enum class EntryOperation : std::uint64_t { serve = 1 };

enum class ExitReason : std::uint64_t {
    idle = 1,    // nothing to do: wait for the doorbell to change, then enter again with the same arguments
    stopped = 2, // the ring's stop flag was seen
    wake = 4,    // answers are there and a producer sleeps: wake it, then enter again
    failed = 3,  // a CHECK failed, or the chamber refused to start; it never answers again
};

// How a chamber's code leaves: MOV $4 (EEXIT) to EAX, ENCLU, and three UD2 that are never reached. On a CPU with SGX it
// is just that; an emulator may put a jump of the same length in its place, which costs no trap.
inline constexpr ByteArray<14> direct_exit{0xb8, 4, 0, 0, 0, 0x0f, 0x01, 0xd7, 0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b};

// CPU features a chamber may use when its own XFRM allows them; nothing sealed runs CPUID.
enum class CpuFeature : std::uint32_t {
    rdrand = 1U << 0U,
    rdseed = 1U << 1U,
    aes_ni = 1U << 2U,
    pclmul = 1U << 3U,
    ssse3 = 1U << 4U,
    sse41 = 1U << 5U,
    avx = 1U << 6U,
    avx2 = 1U << 7U,
    avx512 = 1U << 8U, // F, BW, DQ, VL
    avx512_ifma = 1U << 9U,
    avx512_vbmi2 = 1U << 10U,
};

inline constexpr std::uint64_t entry_magic = 0x3159525445434143; // "CACETRY1"

// Copied in once, at the first entry. A hostile host can lie in all of it and gains: a chamber that stops, one that is
// slower, or one that opens older copies; the seed only ever adds to RDRAND.
struct EntryFacts {
    std::uint64_t magic;
    std::uint32_t features; // CpuFeature bits
    std::uint32_t spin_budget_ticks;
    std::uint64_t arena_bytes; // how much of the arena the host has memory for
    ByteArray<64> seed; // from the loader's getrandom, zeros on sgx; the loader wipes its copy after the first entry
    // [SEAL-5] The root's rollback counter: blobs that say less are an older copy, new ones say `counter_sealed`.
    // Zeros: it has none.
    std::uint64_t counter_least = 0;
    std::uint64_t counter_sealed = 0;
};
static_assert(sizeof(EntryFacts) == 104);

} // namespace caisson::airlock
