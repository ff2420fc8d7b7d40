// The ring: the shared memory through which all requests pass. Layout only; both sides include it.
//
// The whole region is one sealed memfd, mapped by host and chamber. Everything in it is hostile to the
// chamber and worthless to trust for the host: positions are offsets into the lane's own arena, never
// pointers; the chamber copies a slot once, and an input once, before it looks at them, and writes
// outwards only in aligned 8-byte words. A lane has one producer (host side) and one consumer (chamber).
//
// Producer: fills the slot of its next position, its status `pending`, and publishes it by its `turn` (release), last;
//           then moves `head`; then, behind a full fence, if `chamber_asleep`, changes `doorbell` and wakes it.
//           An answer is there when its slot's status is no longer pending.
// Chamber:  takes slots in order as long as the next one has its turn; writes each answer, then its status (release),
//           and after a run of them `tail` (release); then, behind a full fence, wakes `tail` if `producer_asleep`.
// So that a call moves one cache line each way: the slot's own.
#pragma once

#include "airlock/limits.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace caisson::airlock {

inline constexpr std::uint64_t ring_magic = 0x31676e6972636163; // "cacring1", little-endian

// How the chamber answered. `answered` means the handler ran and the output is there;
// 1..63 is a caisson::Kind; the rest are refusals of the door itself.
enum class SlotStatus : std::uint32_t {
    pending = 0xffffffffU,
    answered = 0,
    no_such_request = 64,
    not_in_this_state = 65,
    bad_slot = 66,
};

// 64 bytes, one cache line. The producer writes all but the last two, the chamber the last two
// (as one aligned 8-byte word).
struct alignas(64) Slot {
    std::uint32_t request;
    std::uint32_t input_size;
    std::uint64_t input_offset;  // into the lane's arena
    std::uint64_t output_offset; // into the lane's arena; a multiple of 8
    std::uint32_t output_capacity;
    std::uint32_t turn; // position + 1: published; anything else: not yet
    std::uint64_t tag;  // the producer's own id of it; the chamber does not read it
    SlotStatus status;
    std::uint32_t output_size;
};
static_assert(sizeof(Slot) == 64);
static_assert(offsetof(Slot, status) % 8 == 0 && offsetof(Slot, output_size) == offsetof(Slot, status) + 4);

inline void publish(Slot& slot, std::uint32_t position) noexcept
{
    __atomic_store_n(&slot.turn, position + 1, __ATOMIC_RELEASE);
}

[[nodiscard]] inline bool is_published(const Slot& slot, std::uint32_t position) noexcept
{
    return __atomic_load_n(&slot.turn, __ATOMIC_ACQUIRE) == position + 1;
}

struct Lane {
    alignas(64) std::atomic<std::uint32_t> head;            // written by the producer, for whoever takes the lane next
    alignas(64) std::atomic<std::uint32_t> tail;            // written by the chamber
    alignas(64) std::atomic<std::uint32_t> producer_asleep; // written by the producer
    alignas(64) std::atomic<std::uint32_t> owner_pid;       // 0 = free; host side only; lane 0: of the chamber
    Slot slots[slots_per_lane];
};

struct Ring {
    std::uint64_t magic;
    std::atomic<std::uint32_t> stop; // 1: the chamber ends
    std::uint32_t spin_budget_ticks; // a hint, bounded by the chamber: TSC ticks to spin before it sleeps
    alignas(64) std::atomic<std::uint32_t> doorbell;       // raised by a producer after `head`
    alignas(64) std::atomic<std::uint32_t> chamber_asleep; // 1: wake `doorbell`
    alignas(64) std::uint8_t scratch[4096];                // the loader's report to the host, before the first answer
    Lane lanes[lane_count];
    alignas(4096) std::uint8_t arenas[lane_count][lane_arena_bytes];
};

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

} // namespace caisson::airlock
