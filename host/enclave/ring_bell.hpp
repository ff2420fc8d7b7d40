// How who keeps a chamber sleeps for it and wakes for it: a chamber itself makes no system calls.
#pragma once

#include "airlock/ring.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>

#include <ctime>

namespace caisson::host::enclave {

// `timeout_ms` 0: none. The ring is shared between processes, so no FUTEX_PRIVATE. Below 0: -errno; errno itself is
// left alone, since a thread that is given to its enclave has none.
inline long ring_futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value,
                       std::uint32_t timeout_ms = 0) noexcept
{
    const timespec timeout{timeout_ms / 1000, static_cast<long>(timeout_ms % 1000) * 1'000'000};
    long result = SYS_futex;
    register const timespec* fourth __asm__("r10") = timeout_ms == 0 ? nullptr : &timeout;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(&word), "S"(static_cast<long>(operation)), "d"(static_cast<unsigned long>(value)),
                       "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}

inline void wake_producers(airlock::Ring& ring) noexcept
{
    for (auto& lane : ring.lanes) {
        if (lane.producer_asleep.load(std::memory_order_seq_cst) != 0) {
            ring_futex(lane.tail, FUTEX_WAKE, 1);
        }
    }
}

// Until a producer changed the doorbell from `value`; then the chamber is awake.
inline void wait_for_doorbell(airlock::Ring& ring, std::uint32_t value) noexcept
{
    ring_futex(ring.doorbell, FUTEX_WAIT, value);
    ring.chamber_asleep.store(0, std::memory_order_relaxed);
}

} // namespace caisson::host::enclave
