#include "host/enclave/ring_client.hpp"

#include "core/check.hpp"
#include "core/prefetch.hpp"
#include "host/enclave/ring_bell.hpp"

#include <sched.h>
#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace caisson::host::enclave {
namespace {

using airlock::Slot;
using airlock::SlotStatus;
using Call = Enclave::Call;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t nap_ms = 10; // between two looks whether the chamber still serves
// Whoever gets no CPU at all is given this long, and four times its patience if that is more.
constexpr auto starved_max = std::chrono::seconds(10);
// To be woken costs the chamber an exit and an entry. While it is awake, and so at work, who has spun enough first
// looks again after sleeps as short as the kernel makes them (50 us more than is asked for): most of what takes longer
// than the spin budget, a batch of keys or a handshake, ends then.
constexpr auto short_sleep = std::chrono::microseconds(1);
constexpr int short_sleeps_max = 8;
constexpr int ways_max = 8; // given to others on this CPU before we sleep
constexpr std::size_t batch_max = 64;
constexpr std::uint32_t group_slots = 8;                   // published together
constexpr std::uint32_t slots_ahead = 32;                  // asked for before they are written or looked at
constexpr std::size_t ahead_bytes = std::size_t{2} << 10U; // of answers, asked for before they are looked at
static_assert(2 * airlock::payload_bytes_max + 128 <= airlock::lane_arena_bytes &&
              batch_max <= airlock::slots_per_lane);
// More is not lent. What is left is in two parts at most, and the larger one takes any call.
constexpr std::size_t lent_bytes_max = airlock::lane_arena_bytes / 2;
static_assert(2 * airlock::payload_bytes_max + 128 <= (airlock::lane_arena_bytes - lent_bytes_max) / 2);

constexpr Error gone_error{Kind::unavailable, "the chamber has ended or does not answer"};

constexpr std::size_t rounded_up(std::size_t size) noexcept
{
    return (size + 63) & ~std::size_t{63};
}

std::size_t input_bytes_of(const Call& call) noexcept
{
    return call.input.size() + call.more_input.bytes();
}

bool fits_the_airlock(const Call& call) noexcept
{
    return input_bytes_of(call) <= airlock::payload_bytes_max;
}

std::size_t capacity_of(const Call& call) noexcept
{
    return call.lent_bytes > 0 ? call.lent_bytes : call.output.size() + call.more_output.bytes();
}

// What a call gets of the arena for its answer, however large its own buffer is.
std::size_t room_of(const Call& call) noexcept
{
    return std::min(capacity_of(call), airlock::payload_bytes_max);
}

// Never nothing, so that no two flights begin at the same place.
std::size_t arena_bytes_of(const Call& call) noexcept
{
    return std::max<std::size_t>(rounded_up(input_bytes_of(call)) + rounded_up(room_of(call)), 64);
}

// One copy of what the chamber wrote, then the judgement.
Result<std::size_t> outcome_of(Slot& slot, std::size_t capacity) noexcept
{
    const auto word = __atomic_load_n(reinterpret_cast<std::uint64_t*>(&slot.status), __ATOMIC_ACQUIRE);
    const auto status = static_cast<std::uint32_t>(word);
    const auto size = static_cast<std::size_t>(word >> 32U);
    if (status == static_cast<std::uint32_t>(SlotStatus::answered)) {
        if (size > capacity) {
            return fail(Kind::unavailable, "the chamber's answer is out of bounds");
        }
        return size;
    }
    if (status >= static_cast<std::uint32_t>(Kind::truncated) &&
        status <= static_cast<std::uint32_t>(Kind::unavailable)) {
        return fail(static_cast<Kind>(status), "the chamber refused a request");
    }
    return fail(Kind::forbidden, "the chamber does not permit this request now");
}

// The answer at `arena`, to where the call wants it.
Result<std::size_t> take_answer(const Call& call, const std::uint8_t* arena, std::size_t size) noexcept
{
    if (size > call.output.size() + call.more_output.bytes()) {
        return fail(Kind::unavailable, "the chamber's answer is out of bounds");
    }
    Bytes rest(arena, size);
    const auto take = [&rest](MutableBytes to) {
        const auto count = std::min(rest.size(), to.size());
        copy_bytes(to, rest.first(count));
        rest = rest.subspan(count);
    };
    take(call.output);
    for (const auto& piece : call.more_output.list()) {
        take(piece);
    }
    return size;
}

void withdraw_requests(airlock::Lane& lane) noexcept
{
    const auto head = lane.head.load(std::memory_order_acquire);
    const auto waiting = std::min(head - lane.tail.load(std::memory_order_relaxed), airlock::slots_per_lane);
    for (std::uint32_t back = waiting; back > 0; --back) {
        auto& slot = lane.slots[(head - back) % airlock::slots_per_lane];
        const std::uint64_t word = static_cast<std::uint32_t>(Kind::unavailable); // and no output
        __atomic_store_n(reinterpret_cast<std::uint64_t*>(&slot.status), word, __ATOMIC_RELEASE);
    }
    lane.tail.store(head, std::memory_order_seq_cst);
}

} // namespace

RingClient::RingClient(airlock::Ring& ring, std::function<bool(const Stall&)> serves, std::uint32_t spin_ticks)
    : ring_(ring)
    , lane_(ring.lanes[0])
    , serves_(std::move(serves))
    , head_(ring.lanes[0].head.load(std::memory_order_relaxed))
    , freed_(head_)
    , spin_ticks_(spin_ticks)
{
}

Result<std::size_t> RingClient::call(std::uint32_t request, Bytes input, MutableBytes output)
{
    Call call{request, input, output, std::size_t{0}};
    call_many({&call, 1});
    return call.result;
}

void RingClient::call_many(std::span<Call> calls)
{
    const std::scoped_lock lock(mutex_);
    while (!calls.empty()) {
        const auto flight = take_off(calls);
        if (flight.taken == 0) {
            land_oldest(); // whoever's it is: its answers go where its owner will look for them
        }
        calls = calls.subspan(flight.taken);
    }
    const auto last = departed_;
    while (landed_ < last) {
        land_oldest();
    }
}

Enclave::Flight RingClient::submit(std::span<Call> calls)
{
    const std::scoped_lock lock(mutex_);
    return take_off(calls);
}

void RingClient::reap(const Enclave::Flight& flight)
{
    const std::scoped_lock lock(mutex_);
    while (landed_ < std::min(flight.number, departed_)) {
        land_oldest(true);
    }
}

void RingClient::release(const Enclave::Flight& flight)
{
    const std::scoped_lock lock(mutex_);
    if (flight.number >= lent_.last) {
        lent_ = {};
    }
}

Enclave::Flight RingClient::take_off(std::span<Call> calls)
{
    if (gone_) { // a late answer to an earlier request must not be taken for one of these
        for (auto& call : calls) {
            call.result = std::unexpected(gone_error);
        }
        return {0, calls.size()};
    }
    const auto slots_free = airlock::slots_per_lane - (head_ - freed_);
    const auto count = std::min({calls.size(), batch_max, std::size_t{slots_free}});
    if (count == 0 || in_flight() == flights_max) {
        return {};
    }
    std::size_t wanted = 0;
    for (const auto& call : calls.first(count)) {
        wanted += fits_the_airlock(call) ? arena_bytes_of(call) : 0;
    }
    const auto place = place_for(wanted);
    if (fits_the_airlock(calls[0]) && arena_bytes_of(calls[0]) > place.size) {
        return {};
    }
    const auto taken = publish(calls.first(count), place);
    return {departed_, taken};
}

// Flights lie one behind the other. From the start again as soon as what is wanted fits there: few lines, always warm.
RingClient::Place RingClient::place_for(std::size_t wanted) const noexcept
{
    const bool lends = lent_.last != 0;
    if (in_flight() == 0 && !lends) {
        return {0, airlock::lane_arena_bytes};
    }
    const auto& newest = flights_[(departed_ - 1) % flights_max];
    const auto first = lends ? lent_.begin : oldest().begin;
    const auto last = in_flight() == 0 ? lent_.last_begin : newest.begin;
    const auto end = in_flight() == 0 ? lent_.end : newest.end;
    if (last < first) {
        return {end, first - end};
    }
    const Place front{0, first};
    const Place behind{end, airlock::lane_arena_bytes - end};
    if (front.size > 0 && (wanted <= front.size || front.size > behind.size)) {
        return front;
    }
    return behind;
}

// The chamber starts with the first few while the others are still being laid out.
std::size_t RingClient::publish(std::span<Call> calls, Place place)
{
    InFlight flight{departed_ + 1, {}, head_, head_, place.begin, place.begin, 0};
    std::size_t count = 0;
    for (; count < calls.size(); ++count) {
        auto& call = calls[count];
        if (!fits_the_airlock(call)) {
            call.result = fail(Kind::exhausted, "a request is larger than the airlock takes");
            continue;
        }
        if (flight.end - place.begin + arena_bytes_of(call) > place.size) {
            break;
        }
        lay_out(call, flight);
        flight.end += arena_bytes_of(call);
        flight.patience_ms = std::max(flight.patience_ms, call.patience_ms);
        ++flight.end_slot;
        if ((flight.end_slot - flight.first_slot) % group_slots == 0) {
            show(flight.end_slot - group_slots, flight.end_slot);
        }
    }
    if (flight.end_slot != flight.first_slot) {
        show(flight.end_slot - (flight.end_slot - flight.first_slot) % group_slots, flight.end_slot);
        flight.calls = calls.first(count);
        head_ = flight.end_slot;
        flights_[departed_ % flights_max] = flight;
        ++departed_;
        ring_doorbell();
    }
    return count;
}

void RingClient::lay_out(const Call& call, const InFlight& flight) noexcept
{
    auto* arena = ring_.arenas[0];
    take_over(&lane_.slots[(flight.end_slot + slots_ahead) % airlock::slots_per_lane]);
    auto* at = arena + flight.end;
    const auto put = [&at](Bytes from) {
        copy_bytes({at, from.size()}, from);
        at += from.size();
    };
    put(call.input);
    for (const auto& piece : call.more_input.list()) {
        put(piece);
    }
    auto& slot = lane_.slots[flight.end_slot % airlock::slots_per_lane];
    __atomic_store_n(&slot.turn, flight.end_slot, __ATOMIC_RELAXED); // not yet; the chamber may be looking at it
    slot.request = call.request;
    slot.input_size = static_cast<std::uint32_t>(input_bytes_of(call));
    slot.input_offset = flight.end;
    slot.output_offset = flight.end + rounded_up(input_bytes_of(call));
    slot.output_capacity = static_cast<std::uint32_t>(room_of(call));
    slot.tag = flight.number;
    slot.status = SlotStatus::pending;
    slot.output_size = 0;
}

// The first one last: the chamber, which waits for it, then finds all of them.
void RingClient::show(std::uint32_t first, std::uint32_t end) noexcept
{
    for (auto position = end; position != first; --position) {
        airlock::publish(lane_.slots[(position - 1) % airlock::slots_per_lane], position - 1);
    }
}

// Lines that the chamber has written travel many at once instead of one after the other; we read and then wipe them.
// Waits for the last answer of the flight, not for each few: a line that one side polls costs the other side's store.
void RingClient::land_oldest(bool lends)
{
    if (in_flight() == 0) {
        return;
    }
    const auto& flight = oldest();
    const auto answered = gone_ ? Status(std::unexpected(gone_error)) : wait_for(flight);
    lends = lends && answered && lend(flight);
    auto* arena = ring_.arenas[0];
    auto at = flight.begin;
    auto slot = flight.first_slot;
    auto near = at;
    for (auto& call : flight.calls) {
        if (!fits_the_airlock(call)) {
            continue;
        }
        const Where where{at, at + rounded_up(input_bytes_of(call))};
        const auto wanted = std::min(at + arena_bytes_of(call) + ahead_bytes, flight.end);
        near = std::max(near, call.lent_bytes > 0 ? wanted : (call.is_wiped ? where.input : where.output));
        take_over(arena + near, wanted - near);
        near = wanted;
        take_over(&lane_.slots[(slot + slots_ahead) % airlock::slots_per_lane]);
        finish(call, where, slot, answered);
        if (!lends && !call.answer.empty()) {
            call.kept.assign(call.answer.begin(), call.answer.end());
            call.answer = call.kept;
        }
        at += arena_bytes_of(call);
        ++slot;
    }
    if (!answered) {
        wipe({arena + flight.begin, flight.end - flight.begin});
    }
    freed_ = flight.end_slot;
    ++landed_;
}

void RingClient::finish(Call& call, Where where, std::uint32_t slot, const Status& answered)
{
    auto* arena = ring_.arenas[0];
    call.result = answered ? outcome_of(lane_.slots[slot % airlock::slots_per_lane], room_of(call))
                           : Result<std::size_t>(std::unexpected(answered.error()));
    call.answer = {};
    if (call.is_wiped) {
        wipe({arena + where.input, input_bytes_of(call)});
    }
    if (call.result && call.lent_bytes > 0) {
        call.answer = {arena + where.output, *call.result};
    } else if (call.result) {
        const auto size = *call.result;
        call.result = take_answer(call, arena + where.output, size);
        if (call.is_wiped) {
            wipe({arena + where.output, size});
        }
    }
}

// Whether what the flight answers may stay where it is: it has such answers, and enough room is left for others.
bool RingClient::lend(const InFlight& flight) noexcept
{
    if (std::none_of(flight.calls.begin(), flight.calls.end(), [](const Call& call) { return call.lent_bytes > 0; })) {
        return false;
    }
    const auto begin = lent_.last != 0 ? lent_.begin : flight.begin;
    const auto bytes = flight.end > begin ? flight.end - begin : airlock::lane_arena_bytes - begin + flight.end;
    if (bytes > lent_bytes_max) {
        return false;
    }
    lent_ = {flight.number, begin, flight.begin, flight.end};
    return true;
}

// The chamber looks at the turns after it has said that it sleeps, we look whether it sleeps after the turns are there:
// one of the two sees the other. Only who sleeps needs the bell.
void RingClient::ring_doorbell() noexcept
{
    lane_.head.exchange(head_, std::memory_order_seq_cst); // the full fence, too
    if (ring_.chamber_asleep.load(std::memory_order_seq_cst) != 0) {
        if (bring_) {
            bring();
        }
        ring_.doorbell.fetch_add(1, std::memory_order_seq_cst);
        ring_futex(ring_.doorbell, FUTEX_WAKE, 1);
    }
}

void RingClient::bring() noexcept
{
    if (const int cpu = ::sched_getcpu(); cpu >= 0 && cpu != beside_) {
        beside_ = cpu;
        bring_(cpu);
    }
}

// By the last slot's own status, which comes in one cache line with the answer's size. A chamber that answers out of
// order leaves others pending, and outcome_of refuses them.
bool RingClient::is_answered(std::uint32_t end_slot) const noexcept
{
    const auto& last = lane_.slots[(end_slot - 1) % airlock::slots_per_lane];
    return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(&last.status), __ATOMIC_ACQUIRE) !=
           static_cast<std::uint32_t>(SlotStatus::pending);
}

// As long as the chamber gets on with the flight, for the spin budget after each look that found more answers.
bool RingClient::spin_for(const InFlight& flight) const noexcept
{
    std::uint32_t answers = 0;
    auto began = __rdtsc();
    while (!is_answered(flight.end_slot)) {
        if (__rdtsc() - began >= spin_ticks_) {
            const auto now = answers_of(flight);
            if (spin_ticks_ == 0 || now == answers) {
                return false;
            }
            answers = now;
            began = __rdtsc();
        }
        __builtin_ia32_pause();
    }
    return true;
}

std::uint32_t RingClient::answers_of(const InFlight& flight) const noexcept
{
    auto end = flight.first_slot;
    while (end != flight.end_slot && is_answered(end + 1)) {
        ++end;
    }
    return end - flight.first_slot;
}

Status RingClient::wait_for(const InFlight& flight)
{
    if (spin_for(flight) || give_way_for(flight) || sleep_shortly_for(flight)) {
        return {};
    }
    const auto began = Clock::now();
    const auto longest = std::max<Clock::duration>(starved_max, std::chrono::milliseconds(4 * flight.patience_ms));
    while (true) {
        const auto slept_from = Clock::now();
        sleep_until_more(flight.end_slot);
        if (is_answered(flight.end_slot)) {
            return {};
        }
        const auto now = Clock::now();
        if (now - slept_from < std::chrono::milliseconds(nap_ms)) {
            continue; // woken by progress
        }
        const Stall stall{flight.number << 32U | answers_of(flight), flight.patience_ms};
        if (!serves_(stall) || now - began > longest) {
            gone_ = true;
            return std::unexpected(gone_error);
        }
    }
}

// The chamber is ready to run on this CPU, and asleep again when it has answered: neither side has to be woken.
bool RingClient::give_way_for(const InFlight& flight) const noexcept
{
    for (int count = 0; bring_ && count < ways_max; ++count) {
        ::sched_yield();
        if (is_answered(flight.end_slot)) {
            return true;
        }
    }
    return false;
}

bool RingClient::sleep_shortly_for(const InFlight& flight) noexcept
{
    for (int count = 0; spin_ticks_ != 0 && count < short_sleeps_max; ++count) {
        if (ring_.chamber_asleep.load(std::memory_order_relaxed) != 0) {
            break;
        }
        std::this_thread::sleep_for(short_sleep);
        if (is_answered(flight.end_slot)) {
            return true;
        }
    }
    return false;
}

void RingClient::sleep_until_more(std::uint32_t end_slot) noexcept
{
    lane_.producer_asleep.store(1, std::memory_order_seq_cst);
    const auto tail = lane_.tail.load(std::memory_order_seq_cst);
    if (!is_answered(end_slot)) {
        ring_futex(lane_.tail, FUTEX_WAIT, tail, nap_ms);
    }
    lane_.producer_asleep.store(0, std::memory_order_seq_cst);
}

void RingClient::stop() noexcept
{
    ring_.stop.store(1, std::memory_order_seq_cst);
    ring_.doorbell.fetch_add(1, std::memory_order_seq_cst);
    ring_futex(ring_.doorbell, FUTEX_WAKE, 1);
}

void RingClient::abandon()
{
    const std::scoped_lock lock(mutex_);
    gone_ = true;
    while (in_flight() > 0) {
        land_oldest();
    }
    lane_.owner_pid.store(0, std::memory_order_seq_cst); // before anybody hears of it: another chamber is another pid
    for (auto& lane : ring_.lanes) {
        withdraw_requests(lane);
        ring_futex(lane.tail, FUTEX_WAKE, 1);
    }
    ring_.chamber_asleep.store(0, std::memory_order_relaxed);
}

void RingClient::reopen()
{
    const std::scoped_lock lock(mutex_);
    head_ = lane_.head.load(std::memory_order_relaxed);
    freed_ = head_;
    gone_ = false;
    beside_ = -1; // another process
}

} // namespace caisson::host::enclave
