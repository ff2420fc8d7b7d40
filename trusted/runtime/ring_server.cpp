#include "trusted/runtime/ring_server.hpp"

#include "core/check.hpp"
#include "core/prefetch.hpp"
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
constexpr std::uint32_t slots_per_turn = 128;

// Two aligned 8-byte words: host memory is written in such words only (the stale-data advice for SGX).
// The attributes are the alias's own: clang drops an alignment that stands behind the type.
using Words __attribute__((vector_size(16), aligned(8), may_alias)) = long long;
using Octets __attribute__((vector_size(16), aligned(1), may_alias)) = long long;

void write_outside(std::uint8_t* outside, Bytes inside) noexcept
{
    constexpr auto step = sizeof(Words);
    constexpr auto word_bytes = sizeof(std::uint64_t);
    const auto* from = inside.data();
    auto size = inside.size();
    for (; size >= step; size -= step, from += step, outside += step) {
        *reinterpret_cast<volatile Words*>(outside) = *reinterpret_cast<const Octets*>(from);
    }
    while (size > 0) {
        const auto count = std::min(size, word_bytes);
        std::uint64_t word = 0;
        if (count == word_bytes) {
            __builtin_memcpy(&word, from, word_bytes);
        }
        for (auto at = count == word_bytes ? 0 : count; at > 0; --at) {
            word = word << 8U | from[at - 1];
        }
        *reinterpret_cast<volatile std::uint64_t*>(outside) = word;
        from += count;
        outside += word_bytes;
        size -= count;
    }
}

// Short as most are, without a call.
void copy_inside(std::uint8_t* inside, const std::uint8_t* outside, std::size_t size) noexcept
{
    constexpr auto step = sizeof(Octets);
    if (size < step || size > 8 * step) {
        copy_bytes({inside, size}, {outside, size});
        return;
    }
    const auto last = *reinterpret_cast<const Octets*>(outside + size - step);
    for (std::size_t at = 0; at < size - step; at += step) {
        *reinterpret_cast<Octets*>(inside + at) = *reinterpret_cast<const Octets*>(outside + at);
    }
    *reinterpret_cast<Octets*>(inside + size - step) = last;
}

void write_outcome(Slot& outside, std::uint32_t status, std::uint32_t output_size) noexcept
{
    const std::uint64_t word = (std::uint64_t{output_size} << 32U) | status;
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(&outside.status), word, __ATOMIC_RELEASE);
}

// So much is wiped at one go, the room between the answers with them; where a group has large buffers, only its
// answers.
constexpr std::size_t wiped_whole_max = std::size_t{32} << 10U;
// What a group brings in and takes out. Sixteen requests may share much, for they fill the lanes of a kernel, and more
// of them little: the lines of the next group travel while this one is worked on, and all of it stays in the nearest
// cache. A large request, which may hold many messages itself, is a group of its own.
constexpr std::size_t lanes = 16;
constexpr std::size_t lanes_bytes_max = std::size_t{36} << 10U;
constexpr std::size_t group_bytes_max = std::size_t{8} << 10U;

bool inside_arena(std::uint64_t offset, std::uint64_t size) noexcept
{
    return offset <= airlock::lane_arena_bytes && size <= airlock::lane_arena_bytes - offset;
}

std::uint64_t rounded_up(std::uint64_t size) noexcept
{
    return (size + 7U) & ~std::uint64_t{7};
}

// Inside, inputs and outputs lie one behind the other, so that little is wiped.
std::size_t spaced(std::size_t size) noexcept
{
    constexpr std::size_t alignment = 16;
    return (size + alignment - 1) & ~(alignment - 1);
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
    , input_has_(chamber.arena == nullptr ? chamber.input.size() : 0)
    , output_has_(chamber.arena == nullptr ? chamber.output.size() : 0)
    , patience_(std::min(spin_budget_ticks, spin_budget_ticks_max))
{
    CHECK(chamber_.answer != nullptr && chamber_.group_requests <= group_requests_max);
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

// [ARENA-2]
bool RingServer::take_room(std::size_t input_bytes, std::size_t output_bytes) noexcept
{
    if (input_bytes <= input_has_ && output_bytes <= output_has_) {
        return true;
    }
    CHECK(chamber_.arena != nullptr);
    return chamber_.arena->grow(chamber_.input, input_has_, input_bytes) &&
           chamber_.arena->grow(chamber_.output, output_has_, output_bytes);
}

// Copies the inputs of sound slots from `first` on, as many as our buffers take, and lays out their outputs; returns
// the position behind them. What the slots say is our copy, and nothing outside is read again.
std::uint32_t RingServer::take_inputs(std::uint32_t lane, const Group& group, std::uint32_t first) noexcept
{
    const auto* arena = ring_.arenas[lane];
    std::size_t input_used = 0;
    std::size_t output_used = 0;
    auto index = first;
    for (; index < group.count && group.sound[index]; ++index) {
        const auto& slot = group.slots[index];
        const auto output_room = std::min<std::size_t>(slot.output_capacity, chamber_.output.size());
        if (index != first && (slot.input_size > chamber_.input.size() - input_used ||
                               output_room > chamber_.output.size() - output_used)) {
            break;
        }
        if (!take_room(input_used + slot.input_size, output_used + output_room)) {
            break;
        }
        auto& exchange = exchanges_[index - first];
        exchange.request = slot.request;
        exchange.input = chamber_.input.subspan(input_used, slot.input_size);
        exchange.output = chamber_.output.subspan(output_used, output_room);
        exchange.answer = {};
        copy_inside(exchange.input.data(), arena + slot.input_offset, slot.input_size);
        input_used = std::min(input_used + spaced(slot.input_size), chamber_.input.size());
        output_used = std::min(output_used + spaced(output_room), chamber_.output.size());
    }
    return index;
}

// Outwards go the answers, then each status, in the order of the slots.
void RingServer::give_answers(std::uint32_t lane_index, const Group& group, std::uint32_t first,
                              std::uint32_t end) noexcept
{
    auto& slots = ring_.lanes[lane_index].slots;
    const auto& newest = exchanges_[end - first - 1].output;
    const auto output_bytes = static_cast<std::size_t>(newest.data() - chamber_.output.data()) + newest.size();
    const bool whole = output_bytes <= wiped_whole_max;
    for (auto index = first; index < end; ++index) {
        const auto& exchange = exchanges_[index - first];
        const auto& answer = exchange.answer;
        const auto written = answer.refusal == airlock::Refusal::none && answer.result ? *answer.result : 0;
        CHECK(written <= exchange.output.size());
        write_outside(ring_.arenas[lane_index] + group.slots[index].output_offset, exchange.output.first(written));
        write_outcome(slots[(group.first + index) % airlock::slots_per_lane], status_of(answer),
                      static_cast<std::uint32_t>(written));
        if (!whole) {
            wipe(exchange.output.first(written));
        }
    }
    const auto& input = exchanges_[end - first - 1].input;
    wipe(chamber_.input.first(static_cast<std::size_t>(input.data() - chamber_.input.data()) + input.size()));
    if (whole) {
        wipe(chamber_.output.first(output_bytes));
    }
}

// One copy of each slot that is published, as many as make a group; then hints for what will be touched next, to be
// there when it is: they change nothing, and only lines of the ring are named. Slots further on are left alone: to ask
// for one takes it from the producer, who is about to write it.
void RingServer::take_slots(std::uint32_t lane_index, std::uint32_t position, Group& group) const noexcept
{
    const auto& slots = ring_.lanes[lane_index].slots;
    const auto* arena = ring_.arenas[lane_index];
    group.first = position;
    group.count = 0;
    std::size_t bytes = 0;
    while (group.count < chamber_.group_requests) {
        const auto& outside = slots[(position + group.count) % airlock::slots_per_lane];
        if (!airlock::is_published(outside, position + group.count)) {
            break;
        }
        auto& slot = group.slots[group.count];
        __builtin_memcpy(&slot, &outside, sizeof(Slot));
        __asm__ volatile("" : : : "memory"); // one copy: the compiler may not look outside again
        const bool sound = is_sound(slot);
        const auto output_room = std::min<std::size_t>(slot.output_capacity, chamber_.output.size());
        const auto own_bytes = sound ? slot.input_size + output_room : 0;
        bytes += own_bytes;
        const bool is_large = own_bytes > group_bytes_max;
        if (group.count > 0 && (is_large || bytes > (group.count < lanes ? lanes_bytes_max : group_bytes_max))) {
            break;
        }
        group.sound[group.count++] = sound;
        if (sound) {
            note_ahead(arena + slot.input_offset, std::min<std::size_t>(slot.input_size, group_bytes_max));
            note_ahead(arena + slot.output_offset, std::min(output_room, group_bytes_max));
        }
        if (is_large) {
            break;
        }
    }
}

void RingServer::note_ahead(const std::uint8_t* from, std::size_t size) const noexcept
{
    if (chamber_.ahead != nullptr) {
        chamber_.ahead->add(from, size);
    } else {
        take_over(from, size);
    }
}

void RingServer::ask_all_ahead() const noexcept
{
    if (chamber_.ahead != nullptr) {
        chamber_.ahead->ask_all();
    }
}

// The whole group in one call of the chamber, unless it is larger than our buffers or a slot of it is unsound.
// [ARENA-3] A request for which the buffers get no memory is refused alone.
void RingServer::answer_group(std::uint32_t lane_index, const Group& group) noexcept
{
    std::uint32_t index = 0;
    while (index < group.count) {
        const auto end = take_inputs(lane_index, group, index);
        if (end == index) {
            auto& outside = ring_.lanes[lane_index].slots[(group.first + index) % airlock::slots_per_lane];
            const auto status = group.sound[index] ? static_cast<std::uint32_t>(Kind::exhausted)
                                                   : static_cast<std::uint32_t>(SlotStatus::bad_slot);
            write_outcome(outside, status, 0);
            ask_all_ahead();
            ++index;
            continue;
        }
        chamber_.answer(chamber_.self, std::span(exchanges_).first(end - index));
        ask_all_ahead();
        give_answers(lane_index, group, index, end);
        index = end;
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
    ask_all_ahead();
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

bool RingServer::waits(std::uint32_t lane) const noexcept
{
    const auto position = tails_[lane];
    return airlock::is_published(ring_.lanes[lane].slots[position % airlock::slots_per_lane], position);
}

bool RingServer::anything_waits() const noexcept
{
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (std::uint32_t lane = 0; lane < airlock::lane_count; ++lane) {
        if (waits(lane)) {
            return true;
        }
    }
    return ring_.stop.load(std::memory_order_seq_cst) != 0;
}

bool RingServer::serve_all() noexcept
{
    bool served = false;
    for (std::uint32_t lane = 0; lane < airlock::lane_count; ++lane) {
        served |= waits(lane) && serve_lane(lane);
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
    std::uint64_t worked = 0;
    patience_.came_back(last_work);
    while (true) {
        if (ring_.stop.load(std::memory_order_acquire) != 0) {
            return {ExitReason::stopped, 0};
        }
        const auto now = read_tick_counter();
        if (serve_all()) {
            patience_.found_after(now - last_work);
            last_work = read_tick_counter();
            worked = last_work - now;
            if (producer_sleeps()) {
                return {ExitReason::wake, 0};
            }
            continue;
        }
        if (now - last_work < patience_.ticks()) {
            __builtin_ia32_pause();
            continue;
        }
        const auto doorbell = ring_.doorbell.load(std::memory_order_seq_cst);
        ring_.chamber_asleep.store(1, std::memory_order_seq_cst);
        if (!anything_waits()) {
            patience_.gave_up(now, worked);
            return {ExitReason::idle, doorbell};
        }
        ring_.chamber_asleep.store(0, std::memory_order_relaxed);
        last_work = read_tick_counter();
    }
}

} // namespace caisson::trusted
