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
constexpr std::size_t cache_line_bytes = 64;

// The builtins are spelled out here: freestanding, the standard's names are calls, and this is the way of every
// message.
std::uint64_t load_word(const std::uint8_t* from) noexcept
{
    std::uint64_t word = 0;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

void store_outside(std::uint8_t* outside, std::uint64_t word) noexcept
{
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(outside), word, __ATOMIC_RELAXED);
}

// Host memory is written in aligned 8-byte words only (the stale-data advice for SGX).
void write_outside(std::uint8_t* outside, Bytes inside) noexcept
{
    constexpr auto word_bytes = sizeof(std::uint64_t);
    const auto whole = inside.size() / word_bytes * word_bytes;
    for (std::size_t at = 0; at < whole; at += word_bytes) {
        store_outside(outside + at, load_word(inside.data() + at));
    }
    if (whole < inside.size()) {
        std::uint64_t word = 0;
        for (std::size_t at = inside.size(); at > whole; --at) {
            word = word << 8U | inside[at - 1];
        }
        store_outside(outside + whole, word);
    }
}

void write_outcome(Slot& outside, std::uint32_t status, std::uint32_t output_size) noexcept
{
    const std::uint64_t word = (std::uint64_t{output_size} << 32U) | status;
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(&outside.status), word, __ATOMIC_RELEASE);
}

constexpr int for_reading = 0;
constexpr int for_writing = 1;

// The first lines of what lies outside; most messages are short.
template <int purpose>
void call_near(const std::uint8_t* outside, std::size_t size) noexcept
{
    if (size > 0) {
        __builtin_prefetch(outside, purpose);
        __builtin_prefetch(outside + std::min(size - 1, cache_line_bytes), purpose);
    }
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

bool RingServer::is_sound(const Slot& slot) const noexcept
{
    const auto output_room = std::min<std::uint64_t>(slot.output_capacity, chamber_.output.size());
    return inside_arena(slot.input_offset, slot.input_size) && slot.input_size <= chamber_.input.size() &&
           inside_arena(slot.output_offset, rounded_up(output_room)) && slot.output_offset % 8 == 0;
}

// `slot` is our copy of `outside`, and nothing of `outside` is read again. One handler call for each request: a chamber
// that answers a run of equal requests with one call takes the run from the group that take_slots has copied.
void RingServer::answer(std::uint32_t lane, const Slot& slot, Slot& outside) noexcept
{
    if (!is_sound(slot)) {
        write_outcome(outside, static_cast<std::uint32_t>(SlotStatus::bad_slot), 0);
        return;
    }
    auto* arena = ring_.arenas[lane];
    const auto input = chamber_.input.first(slot.input_size);
    copy_bytes(input, {arena + slot.input_offset, slot.input_size});
    const auto output = chamber_.output.first(std::min<std::size_t>(slot.output_capacity, chamber_.output.size()));

    const auto answer = chamber_.answer(chamber_.self, slot.request, input, output);
    const auto written = answer.refusal == airlock::Refusal::none && answer.result ? *answer.result : 0;
    CHECK(written <= output.size());
    write_outside(arena + slot.output_offset, output.first(written));
    write_outcome(outside, status_of(answer), static_cast<std::uint32_t>(written));
    wipe(input);
    wipe(output.first(written));
}

// One copy of each slot that is published, together, so that their cache lines travel at the same time; then hints for
// what will be touched next, to be there when it is: they change nothing, and only lines of the ring are named.
void RingServer::take_slots(std::uint32_t lane_index, std::uint32_t position, Group& group) const noexcept
{
    const auto& slots = ring_.lanes[lane_index].slots;
    group.first = position;
    group.count = 0;
    for (; group.count < slots_per_publish; ++group.count) {
        const auto& outside = slots[(position + group.count) % airlock::slots_per_lane];
        if (!airlock::is_published(outside, position + group.count)) {
            break;
        }
        __builtin_memcpy(&group.slots[group.count], &outside, sizeof(Slot));
    }
    __asm__ volatile("" : : : "memory"); // one copy: the compiler may not look outside again
    if (group.count < 2) {
        return;
    }
    for (std::uint32_t index = 0; index < group.count; ++index) {
        const auto& slot = group.slots[index];
        if (is_sound(slot)) {
            call_near<for_reading>(ring_.arenas[lane_index] + slot.input_offset, slot.input_size);
            call_near<for_writing>(ring_.arenas[lane_index] + slot.output_offset, slot.output_capacity);
        }
        const auto next = position + group.count + index;
        __builtin_prefetch(&slots[next % airlock::slots_per_lane], for_writing);
    }
}

void RingServer::answer_group(std::uint32_t lane_index, const Group& group) noexcept
{
    auto& lane = ring_.lanes[lane_index];
    for (std::uint32_t index = 0; index < group.count; ++index) {
        answer(lane_index, group.slots[index], lane.slots[(group.first + index) % airlock::slots_per_lane]);
    }
    tails_[lane_index] = group.first + group.count;
}

// A few at a time, the next few taken before these are answered. The tail moves once for the run: who waits awake looks
// at the status of its slot. A bounded run, so that a producer who never pauses does not keep the others waiting.
bool RingServer::serve_lane(std::uint32_t lane_index) noexcept
{
    std::uint32_t served = 0;
    auto* group = &groups_[0];
    auto* next = &groups_[1];
    take_slots(lane_index, tails_[lane_index], *group);
    while (group->count > 0) {
        served += group->count;
        next->count = 0;
        if (served < slots_per_turn) {
            take_slots(lane_index, group->first + group->count, *next);
        }
        answer_group(lane_index, *group);
        std::swap(group, next);
    }
    if (served > 0) {
        ring_.lanes[lane_index].tail.store(tails_[lane_index], std::memory_order_release);
    }
    return served > 0;
}

bool RingServer::anything_waits() const noexcept
{
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (std::uint32_t lane = 0; lane < airlock::lane_count; ++lane) {
        const auto position = tails_[lane];
        if (airlock::is_published(ring_.lanes[lane].slots[position % airlock::slots_per_lane], position)) {
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
