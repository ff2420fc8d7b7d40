#include "trusted/runtime/ring_server.hpp"

#include "core/check.hpp"
#include "core/secret.hpp"
#include "trusted/runtime/clock.hpp"

#include <algorithm>

namespace caisson::trusted {
namespace {

using airlock::ExitReason;
using airlock::Slot;
using airlock::SlotStatus;

constexpr std::uint32_t spin_budget_ticks_max = 1'000'000;
// Between two looks at the stop flag and the other lanes.
constexpr std::uint32_t slots_per_turn = 64;

// Host memory is written in aligned 8-byte words only (the stale-data advice for SGX).
void write_outside(std::uint8_t* outside, Bytes inside) noexcept
{
    while (!inside.empty()) {
        std::uint64_t word = 0;
        const auto count = std::min(inside.size(), sizeof word);
        std::memcpy(&word, inside.data(), count);
        __atomic_store_n(reinterpret_cast<std::uint64_t*>(outside), word, __ATOMIC_RELAXED);
        outside += sizeof word;
        inside = inside.subspan(count);
    }
}

void write_outcome(Slot& outside, std::uint32_t status, std::uint32_t output_size) noexcept
{
    const std::uint64_t word = (std::uint64_t{output_size} << 32U) | status;
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(&outside.status), word, __ATOMIC_RELEASE);
}

bool inside_arena(std::uint64_t offset, std::uint64_t size) noexcept
{
    return offset <= airlock::lane_arena_bytes && size <= airlock::lane_arena_bytes - offset;
}

std::uint64_t rounded_up(std::uint64_t size) noexcept
{
    return (size + 7U) & ~std::uint64_t{7};
}

std::uint32_t status_of(const airlock::Answer& answer) noexcept
{
    switch (answer.refusal) {
    case airlock::Refusal::no_such_request: return static_cast<std::uint32_t>(SlotStatus::no_such_request);
    case airlock::Refusal::not_in_this_state: return static_cast<std::uint32_t>(SlotStatus::not_in_this_state);
    case airlock::Refusal::bad_size: return static_cast<std::uint32_t>(SlotStatus::bad_slot);
    case airlock::Refusal::none: break;
    }
    return answer.result ? static_cast<std::uint32_t>(SlotStatus::answered)
                         : static_cast<std::uint32_t>(answer.result.error().kind);
}

} // namespace

RingServer::RingServer(airlock::Ring& ring, const ChamberEntry& chamber, std::uint32_t spin_budget_ticks) noexcept
    : ring_(ring)
    , chamber_(chamber)
    , spin_budget_ticks_(std::min(spin_budget_ticks, spin_budget_ticks_max))
{
    CHECK(chamber_.answer != nullptr);
    for (std::uint32_t lane = 0; lane < airlock::lane_count; ++lane) {
        tails_[lane] = ring_.lanes[lane].tail.load(std::memory_order_relaxed);
    }
}

void RingServer::answer(std::uint32_t lane, Slot& outside) noexcept
{
    Slot slot;
    std::memcpy(&slot, &outside, sizeof slot);
    __asm__ volatile("" : : : "memory"); // one copy: the compiler may not look outside again
    const auto output_room = std::min<std::uint64_t>(slot.output_capacity, chamber_.output.size());
    if (!inside_arena(slot.input_offset, slot.input_size) || slot.input_size > chamber_.input.size() ||
        !inside_arena(slot.output_offset, rounded_up(output_room)) || slot.output_offset % 8 != 0) {
        write_outcome(outside, static_cast<std::uint32_t>(SlotStatus::bad_slot), 0);
        return;
    }
    auto* arena = ring_.arenas[lane];
    const auto input = chamber_.input.first(slot.input_size);
    copy_bytes(input, {arena + slot.input_offset, slot.input_size});
    const auto output = chamber_.output.first(output_room);

    const auto answer = chamber_.answer(chamber_.self, slot.request, input, output);
    const auto written = answer.refusal == airlock::Refusal::none && answer.result ? *answer.result : 0;
    CHECK(written <= output.size());
    write_outside(arena + slot.output_offset, output.first(written));
    write_outcome(outside, status_of(answer), static_cast<std::uint32_t>(written));
    wipe(input);
    wipe(output.first(written));
}

bool RingServer::serve_lane(std::uint32_t lane_index) noexcept
{
    auto& lane = ring_.lanes[lane_index];
    auto& tail = tails_[lane_index];
    const auto waiting = lane.head.load(std::memory_order_acquire) - tail;
    if (waiting == 0 || waiting > airlock::slots_per_lane) {
        return false; // nothing, or a head that no honest producer writes
    }
    const auto turn = std::min(waiting, slots_per_turn);
    for (std::uint32_t count = 0; count < turn; ++count) {
        answer(lane_index, lane.slots[tail % airlock::slots_per_lane]);
        ++tail;
        lane.tail.store(tail, std::memory_order_release);
    }
    return true;
}

bool RingServer::anything_waits() const noexcept
{
    for (std::uint32_t lane = 0; lane < airlock::lane_count; ++lane) {
        const auto waiting = ring_.lanes[lane].head.load(std::memory_order_seq_cst) - tails_[lane];
        if (waiting != 0 && waiting <= airlock::slots_per_lane) {
            return true;
        }
    }
    return ring_.stop.load(std::memory_order_seq_cst) != 0;
}

bool RingServer::serve_all() noexcept
{
    bool served = false;
    for (std::uint32_t lane = 0; lane < airlock::lane_count; ++lane) {
        served |= serve_lane(lane);
    }
    return served;
}

bool RingServer::producer_sleeps() const noexcept
{
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return std::any_of(std::begin(ring_.lanes), std::end(ring_.lanes), [](const airlock::Lane& lane) {
        return lane.producer_asleep.load(std::memory_order_relaxed) != 0;
    });
}

RingServer::Pause RingServer::serve() noexcept
{
    auto last_work = read_tick_counter();
    while (true) {
        if (ring_.stop.load(std::memory_order_acquire) != 0) {
            return {ExitReason::stopped, 0};
        }
        if (serve_all()) {
            if (producer_sleeps()) {
                return {ExitReason::wake, 0};
            }
            last_work = read_tick_counter();
            continue;
        }
        if (read_tick_counter() - last_work < spin_budget_ticks_) {
            __builtin_ia32_pause();
            continue;
        }
        const auto doorbell = ring_.doorbell.load(std::memory_order_seq_cst);
        ring_.chamber_asleep.store(1, std::memory_order_seq_cst);
        if (!anything_waits()) {
            return {ExitReason::idle, doorbell};
        }
        ring_.chamber_asleep.store(0, std::memory_order_relaxed);
        last_work = read_tick_counter();
    }
}

} // namespace caisson::trusted
