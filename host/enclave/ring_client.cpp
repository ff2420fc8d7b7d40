#include "host/enclave/ring_client.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace caisson::host::enclave {
namespace {

using airlock::Slot;
using airlock::SlotStatus;
using Clock = std::chrono::steady_clock;

constexpr auto spin_time = std::chrono::microseconds(10);
constexpr long nap_ns = 50'000'000; // between two looks whether the chamber still lives
constexpr auto answer_time_max = std::chrono::seconds(10);
constexpr std::size_t batch_max = 64;
static_assert(2 * airlock::payload_bytes_max + 128 <= airlock::lane_arena_bytes &&
              batch_max <= airlock::slots_per_lane);

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) noexcept
{
    return ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr, 0);
}

bool several_cpus_allowed() noexcept
{
    cpu_set_t allowed;
    return ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 1;
}

constexpr std::size_t rounded_up(std::size_t size) noexcept
{
    return (size + 63) & ~std::size_t{63};
}

// What a call gets of the arena for its answer, however large its own buffer is.
std::size_t room_of(const Enclave::Call& call) noexcept
{
    return std::min(call.output.size(), airlock::payload_bytes_max);
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

} // namespace

RingClient::RingClient(airlock::Ring& ring, std::function<bool()> alive)
    : ring_(ring)
    , lane_(ring.lanes[0])
    , alive_(std::move(alive))
    , may_spin_(several_cpus_allowed())
{
}

Result<std::size_t> RingClient::call(std::uint32_t request, Bytes input, MutableBytes output)
{
    Enclave::Call call{request, input, output, std::size_t{0}};
    call_many({&call, 1});
    return call.result;
}

void RingClient::call_many(std::span<Enclave::Call> calls)
{
    const std::scoped_lock lock(mutex_);
    while (!calls.empty()) {
        calls = calls.subspan(exchange(calls));
    }
}

std::size_t RingClient::exchange(std::span<Enclave::Call> calls)
{
    if (gone_) { // a late answer to an earlier request must not be taken for this one's
        calls[0].result = fail(Kind::unavailable, "the chamber has ended or does not answer");
        return 1;
    }
    auto* arena = ring_.arenas[0];
    std::array<std::size_t, batch_max> output_at{};
    const auto start = lane_.head.load(std::memory_order_relaxed);
    std::size_t used = 0;
    std::size_t count = 0;
    for (; count < std::min(calls.size(), batch_max); ++count) {
        auto& call = calls[count];
        const auto room = room_of(call);
        if (call.input.size() > airlock::payload_bytes_max) {
            if (count > 0) {
                break; // first those before it
            }
            call.result = fail(Kind::exhausted, "a request is larger than the airlock takes");
            return 1;
        }
        const auto needed = rounded_up(call.input.size()) + rounded_up(room);
        if (used + needed > airlock::lane_arena_bytes) {
            break;
        }
        copy_bytes({arena + used, call.input.size()}, call.input);
        output_at[count] = used + rounded_up(call.input.size());
        lane_.slots[(start + count) % airlock::slots_per_lane] =
            Slot{.request = call.request,
                 .input_size = static_cast<std::uint32_t>(call.input.size()),
                 .input_offset = used,
                 .output_offset = output_at[count],
                 .output_capacity = static_cast<std::uint32_t>(room),
                 .reserved = 0,
                 .tag = 0,
                 .status = SlotStatus::pending,
                 .output_size = 0};
        used += needed;
    }
    const auto end = start + static_cast<std::uint32_t>(count);
    lane_.head.store(end, std::memory_order_release);
    ring_doorbell();
    const auto answered = wait_for(end);
    for (std::size_t index = 0; index < count; ++index) {
        auto& call = calls[index];
        if (!answered) {
            call.result = std::unexpected(answered.error());
            continue;
        }
        call.result = outcome_of(lane_.slots[(start + index) % airlock::slots_per_lane], room_of(call));
        if (call.result) {
            copy_bytes(call.output, {arena + output_at[index], *call.result});
        }
    }
    wipe({arena, used});
    return count;
}

void RingClient::ring_doorbell() noexcept
{
    ring_.doorbell.fetch_add(1, std::memory_order_seq_cst);
    if (ring_.chamber_asleep.load(std::memory_order_seq_cst) != 0) {
        futex(ring_.doorbell, FUTEX_WAKE, 1, nullptr);
    }
}

Status RingClient::wait_for(std::uint32_t position)
{
    const auto began = Clock::now();
    auto tail = lane_.tail.load(std::memory_order_acquire);
    while (tail != position && may_spin_ && Clock::now() - began < spin_time) {
        for (int pauses = 0; pauses < 16; ++pauses) {
            __builtin_ia32_pause();
        }
        tail = lane_.tail.load(std::memory_order_acquire);
    }
    while (tail != position) {
        if (!alive_() || Clock::now() - began > answer_time_max) {
            gone_ = true;
            return fail(Kind::unavailable, "the chamber has ended or does not answer");
        }
        lane_.producer_asleep.store(1, std::memory_order_seq_cst);
        tail = lane_.tail.load(std::memory_order_seq_cst);
        if (tail != position) {
            const timespec nap{0, nap_ns};
            futex(lane_.tail, FUTEX_WAIT, tail, &nap);
            tail = lane_.tail.load(std::memory_order_acquire);
        }
        lane_.producer_asleep.store(0, std::memory_order_seq_cst);
    }
    return {};
}

void RingClient::stop() noexcept
{
    ring_.stop.store(1, std::memory_order_seq_cst);
    ring_.doorbell.fetch_add(1, std::memory_order_seq_cst);
    futex(ring_.doorbell, FUTEX_WAKE, 1, nullptr);
}

} // namespace caisson::host::enclave
