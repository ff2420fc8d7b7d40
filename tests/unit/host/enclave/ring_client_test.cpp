// The outside end of the ring against a thread that plays the chamber, honest and not.
#include "host/enclave/ring_client.hpp"

#include <gtest/gtest.h>

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace caisson::host::enclave {
namespace {

using airlock::Slot;
using airlock::SlotStatus;
using Buffer = std::vector<std::uint8_t>;

// Echoes each input, then lets a test falsify what it wrote.
class FakeChamber {
  public:
    using Falsify = void (*)(Slot&);

    explicit FakeChamber(airlock::Ring& ring, Falsify falsify = nullptr)
        : ring_(ring)
        , falsify_(falsify)
        , thread_([this] { serve(); })
    {
    }
    ~FakeChamber()
    {
        stopped_ = true;
        thread_.join();
    }
    [[nodiscard]] int answered() const { return answered_; }
    FakeChamber(const FakeChamber&) = delete;
    FakeChamber& operator=(const FakeChamber&) = delete;

  private:
    void serve()
    {
        auto& lane = ring_.lanes[0];
        while (!stopped_) {
            const auto tail = lane.tail.load();
            auto& slot = lane.slots[tail % airlock::slots_per_lane];
            if (!airlock::is_published(slot, tail)) {
                std::this_thread::yield();
                continue;
            }
            const auto size = std::min(slot.input_size, slot.output_capacity);
            copy_bytes({ring_.arenas[0] + slot.output_offset, size}, {ring_.arenas[0] + slot.input_offset, size});
            Slot outcome = slot;
            outcome.status = SlotStatus::answered;
            outcome.output_size = size;
            if (falsify_ != nullptr) {
                falsify_(outcome);
            }
            const auto word = std::uint64_t{outcome.output_size} << 32U | static_cast<std::uint32_t>(outcome.status);
            __atomic_store_n(reinterpret_cast<std::uint64_t*>(&slot.status), word, __ATOMIC_RELEASE);
            lane.tail.store(tail + 1);
            ++answered_;
        }
    }

    airlock::Ring& ring_;
    Falsify falsify_;
    std::atomic<bool> stopped_ = false;
    std::atomic<int> answered_ = 0;
    std::thread thread_;
};

class RingClientTest : public testing::Test {
  protected:
    static bool alive(const Stall& /*stall*/) { return true; }
    static constexpr std::uint32_t spin = 1000;

    std::unique_ptr<airlock::Ring> ring_ = std::make_unique<airlock::Ring>();
    Buffer input_ = Buffer(100, 7);
    Buffer output_ = Buffer(100);
};

// `count` calls that echo their number.
struct Numbers {
    explicit Numbers(std::size_t count, std::uint32_t first = 0)
        : values(count)
        , answers(count)
    {
        for (std::size_t index = 0; index < count; ++index) {
            values[index] = first + static_cast<std::uint32_t>(index);
            calls.push_back({1,
                             {reinterpret_cast<std::uint8_t*>(&values[index]), 4},
                             {reinterpret_cast<std::uint8_t*>(&answers[index]), 4},
                             std::size_t{0}});
        }
    }
    std::vector<std::uint32_t> values, answers;
    std::vector<Enclave::Call> calls;
};

TEST_F(RingClientTest, an_answer_arrives_and_leaves_no_copy_in_the_arena)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    EXPECT_EQ(client.call(1, input_, output_).value_or(0), input_.size());
    EXPECT_EQ(output_, input_);
    for (std::size_t index = 0; index < 512; ++index) {
        ASSERT_EQ(ring_->arenas[0][index], 0) << index;
    }
}

TEST_F(RingClientTest, who_wakes_a_sleeping_chamber_brings_it_to_the_own_cpu_once)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, 0);
    std::vector<int> brought;
    client.bring_beside([&brought](int cpu) { brought.push_back(cpu); });
    EXPECT_TRUE(client.call(1, input_, output_));
    EXPECT_TRUE(brought.empty()) << "it was awake";
    ring_->chamber_asleep = 1;
    cpu_set_t before;
    ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
    const int cpu = ::sched_getcpu();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(cpu), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_TRUE(client.call(1, input_, output_));
    EXPECT_TRUE(client.call(1, input_, output_));
    EXPECT_EQ(brought, std::vector{cpu});
    client.abandon();
    client.reopen();
    ring_->chamber_asleep = 1; // another process
    EXPECT_TRUE(client.call(1, input_, output_));
    EXPECT_EQ(brought, (std::vector{cpu, cpu}));
    ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

TEST_F(RingClientTest, what_the_caller_does_not_wipe_either_is_left_to_be_written_over)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    Enclave::Call call{1, input_, output_};
    call.is_wiped = false;
    client.call_many({&call, 1});
    EXPECT_EQ(output_, input_);
    EXPECT_EQ(ring_->arenas[0][0], 7);
    EXPECT_EQ(client.call(1, Bytes(input_).first(64), output_).value_or(0), 64U);
    EXPECT_EQ(ring_->arenas[0][0], 0) << "the next one's place is wiped as ever";
}

// A call whose answer is lent.
struct Borrower {
    explicit Borrower(std::size_t size, std::uint8_t octet = 3)
        : text(size, octet)
        , call{1, text, {}}
    {
        call.lent_bytes = size;
        call.is_wiped = false;
    }
    [[nodiscard]] bool has_its_answer() const { return std::ranges::equal(call.answer, text); }

    Buffer text;
    Enclave::Call call;
};

bool lies_in(const airlock::Ring& ring, Bytes answer)
{
    return answer.data() >= ring.arenas[0] && answer.data() + answer.size() <= ring.arenas[0] + sizeof ring.arenas[0];
}

TEST_F(RingClientTest, a_lent_answer_lies_in_the_ring_and_nobody_gets_its_place_until_it_is_released)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    for (const std::size_t size : {std::size_t{1}, std::size_t{65'536}, airlock::payload_bytes_max}) {
        Borrower borrower(size);
        const auto flight = client.submit({&borrower.call, 1});
        ASSERT_EQ(flight.taken, 1U);
        client.reap(flight);
        ASSERT_EQ(borrower.call.result.value_or(0), size);
        EXPECT_TRUE(lies_in(*ring_, borrower.call.answer));
        const Buffer largest(airlock::payload_bytes_max, 9);
        Buffer answer(largest.size());
        for (std::size_t count = 0; count < 20; ++count) {
            ASSERT_EQ(client.call(1, Bytes(largest).first(largest.size() - count), answer).value_or(0),
                      largest.size() - count);
            ASSERT_TRUE(borrower.has_its_answer()) << size;
        }
        client.release(flight);
    }
}

TEST_F(RingClientTest, several_answers_are_lent_and_flights_go_around_them)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    for (std::size_t round = 0; round < 50; ++round) {
        std::vector<Borrower> borrowers;
        borrowers.reserve(4);
        std::vector<Enclave::Flight> flights;
        for (std::size_t count = 0; count < 4; ++count) {
            borrowers.emplace_back(20'000 + 7919 * ((round + count) % 20), static_cast<std::uint8_t>(round + count));
            flights.push_back(client.submit({&borrowers.back().call, 1}));
            ASSERT_EQ(flights.back().taken, 1U);
        }
        client.reap(flights[1]);
        Numbers between(10, static_cast<std::uint32_t>(round));
        client.call_many(between.calls); // lands the others too, for whom that is too early
        EXPECT_EQ(between.answers, between.values);
        client.reap(flights[3]);
        for (std::size_t count = 0; count < 4; ++count) {
            EXPECT_TRUE(borrowers[count].has_its_answer()) << round << ' ' << count;
            EXPECT_EQ(lies_in(*ring_, borrowers[count].call.answer), count < 2);
        }
        client.release(flights[3]);
    }
}

TEST_F(RingClientTest, no_more_than_half_of_the_arena_is_lent)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    std::vector<Borrower> borrowers(6, Borrower(0));
    std::vector<Enclave::Flight> flights;
    for (auto& borrower : borrowers) {
        borrower.text.assign(airlock::payload_bytes_max, 4);
        borrower.call.input = borrower.text;
        borrower.call.lent_bytes = borrower.text.size();
        flights.push_back(client.submit({&borrower.call, 1}));
        ASSERT_EQ(flights.back().taken, 1U);
    }
    client.reap(flights.back());
    const auto lent = std::count_if(borrowers.begin(), borrowers.end(),
                                    [this](const Borrower& borrower) { return lies_in(*ring_, borrower.call.answer); });
    EXPECT_EQ(lent, 3); // 260 KiB there and 260 KiB back
    EXPECT_EQ(client.call(1, input_, output_).value_or(0), input_.size());
    for (const auto& borrower : borrowers) {
        EXPECT_TRUE(borrower.has_its_answer());
    }
}

TEST_F(RingClientTest, what_is_refused_or_out_of_bounds_is_not_lent)
{
    {
        const FakeChamber chamber(*ring_, [](Slot& slot) { slot.status = static_cast<SlotStatus>(Kind::expired); });
        RingClient client(*ring_, alive, spin);
        Borrower borrower(100);
        client.reap(client.submit({&borrower.call, 1}));
        EXPECT_EQ(borrower.call.result.error().kind, Kind::expired);
        EXPECT_TRUE(borrower.call.answer.empty());
    }
    const FakeChamber liar(*ring_, [](Slot& slot) { slot.output_size = slot.output_capacity + 1; });
    RingClient client(*ring_, alive, spin);
    Borrower borrower(100);
    client.reap(client.submit({&borrower.call, 1}));
    EXPECT_EQ(borrower.call.result.error().kind, Kind::unavailable);
    EXPECT_TRUE(borrower.call.answer.empty());
}

TEST_F(RingClientTest, more_calls_than_slots_and_arena_hold_are_all_answered)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    Buffer large(airlock::payload_bytes_max, 9);
    std::vector<Buffer> answers(300, Buffer(large.size()));
    std::vector<Enclave::Call> calls(answers.size());
    for (std::size_t index = 0; index < calls.size(); ++index) {
        calls[index].input = Bytes(large).first(index % 10 == 0 ? large.size() : 64);
        calls[index].output = answers[index];
    }
    client.call_many(calls);
    for (const auto& call : calls) {
        EXPECT_EQ(call.result.value_or(0), call.input.size());
    }
}

TEST_F(RingClientTest, a_call_too_large_fails_alone_in_its_batch)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    Buffer too_large(airlock::payload_bytes_max + 1);
    Buffer second(100);
    std::vector<Enclave::Call> calls(3);
    calls[0].input = input_;
    calls[0].output = output_;
    calls[1].input = too_large;
    calls[2].input = input_;
    calls[2].output = second;
    client.call_many(calls);
    EXPECT_EQ(calls[0].result.value_or(0), input_.size());
    EXPECT_EQ(calls[1].result.error().kind, Kind::exhausted);
    EXPECT_EQ(calls[2].result.value_or(0), input_.size());
    EXPECT_EQ(output_, input_);
    EXPECT_EQ(second, input_);
}

TEST_F(RingClientTest, pieces_cross_behind_the_input_and_answers_go_on_in_pieces)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    const Buffer head(5, 3);
    Buffer first(7);
    Buffer second(50);
    const std::vector<Bytes> inputs{Bytes(input_).first(40), {}, Bytes(input_).first(60)};
    const std::vector<MutableBytes> outputs{second, {}, output_};
    Enclave::Call call{1, head, first, std::size_t{0}, 60, {}, {}};
    call.more_input = Enclave::Pieces<Bytes>(inputs);
    call.more_output = Enclave::Pieces<MutableBytes>(outputs);
    client.call_many({&call, 1});
    EXPECT_EQ(call.result.value_or(0), 105U);
    EXPECT_EQ(first, (Buffer{3, 3, 3, 3, 3, 7, 7}));
    EXPECT_EQ(second, Buffer(50, 7));
    EXPECT_EQ(Buffer(output_.begin(), output_.begin() + 48), Buffer(48, 7));
    EXPECT_EQ(output_[48], 0) << "nothing is written behind the answer";
    for (std::size_t index = 0; index < 512; ++index) {
        ASSERT_EQ(ring_->arenas[0][index], 0) << index;
    }
}

TEST_F(RingClientTest, pieces_that_are_larger_than_a_request_are_refused)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    const Buffer large(airlock::payload_bytes_max, 1);
    const std::vector<Bytes> inputs{large, Bytes(large).first(1)};
    Enclave::Call call{1, {}, output_, std::size_t{0}, 60, Enclave::Pieces<Bytes>(inputs), {}};
    client.call_many({&call, 1});
    EXPECT_EQ(call.result.error().kind, Kind::exhausted);
    EXPECT_EQ(chamber.answered(), 0);
}

TEST_F(RingClientTest, an_answer_longer_than_all_its_pieces_is_not_believed)
{
    const FakeChamber chamber(*ring_, [](Slot& slot) { slot.output_size = slot.output_capacity + 1; });
    RingClient client(*ring_, alive, spin);
    const std::vector<MutableBytes> outputs{MutableBytes(output_).first(30), MutableBytes(output_).subspan(30, 20)};
    Enclave::Call call{1, input_, {}, std::size_t{0}, 60, {}, Enclave::Pieces<MutableBytes>(outputs)};
    client.call_many({&call, 1});
    EXPECT_EQ(call.result.error().kind, Kind::unavailable);
    EXPECT_EQ(output_, Buffer(100));
}

TEST_F(RingClientTest, an_answer_larger_than_its_room_is_not_believed)
{
    const FakeChamber chamber(*ring_, [](Slot& slot) { slot.output_size = slot.output_capacity + 1; });
    RingClient client(*ring_, alive, spin);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::unavailable);
}

TEST_F(RingClientTest, an_answer_beyond_the_ring_is_not_believed_for_a_huge_buffer)
{
    const FakeChamber chamber(
        *ring_, [](Slot& slot) { slot.output_size = static_cast<std::uint32_t>(sizeof(airlock::Ring::arenas)); });
    RingClient client(*ring_, alive, spin);
    Buffer huge(sizeof(airlock::Ring::arenas));
    EXPECT_EQ(client.call(1, input_, huge).error().kind, Kind::unavailable);
}

TEST_F(RingClientTest, a_status_outside_the_table_is_forbidden)
{
    const FakeChamber chamber(*ring_, [](Slot& slot) { slot.status = static_cast<SlotStatus>(4711); });
    RingClient client(*ring_, alive, spin);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::forbidden);
}

TEST_F(RingClientTest, the_kind_a_chamber_gave_is_passed_on)
{
    const FakeChamber chamber(*ring_, [](Slot& slot) { slot.status = static_cast<SlotStatus>(Kind::expired); });
    RingClient client(*ring_, alive, spin);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::expired);
}

TEST_F(RingClientTest, several_flights_are_under_way_and_each_gets_its_own_answers)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    for (std::uint32_t round = 0; round < 200; ++round) {
        Numbers first(64, round * 1000);
        Numbers second(17, round * 1000 + 100);
        Numbers third(64, round * 1000 + 200);
        const auto one = client.submit(first.calls);
        const auto two = client.submit(second.calls);
        const auto three = client.submit(third.calls);
        ASSERT_EQ(one.taken + two.taken + three.taken, 145U);
        client.reap(three); // and with it the earlier ones
        EXPECT_EQ(first.answers, first.values);
        EXPECT_EQ(third.answers, third.values);
        client.reap(one);
        client.reap(two);
        EXPECT_EQ(second.answers, second.values);
    }
}

TEST_F(RingClientTest, a_full_ring_takes_nothing_more_until_a_flight_is_reaped)
{
    RingClient client(*ring_, alive, spin);
    std::vector<std::unique_ptr<Numbers>> batches;
    std::vector<Enclave::Flight> flights;
    while (true) {
        ASSERT_LT(flights.size(), airlock::slots_per_lane);
        batches.push_back(std::make_unique<Numbers>(64));
        flights.push_back(client.submit(batches.back()->calls));
        if (flights.back().taken == 0) {
            break;
        }
    }
    EXPECT_EQ(flights.size(), airlock::slots_per_lane / 64 + 1);
    const FakeChamber chamber(*ring_); // only now
    client.reap(flights[0]);
    EXPECT_EQ(batches[0]->answers, batches[0]->values);
    EXPECT_EQ(client.submit(batches.back()->calls).taken, 64U);
    client.reap(flights[flights.size() - 2]);
}

TEST_F(RingClientTest, a_full_arena_takes_nothing_more_and_a_call_waits_for_room)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    Buffer large(airlock::payload_bytes_max, 3);
    std::vector<Buffer> answers(8, Buffer(large.size()));
    std::vector<Enclave::Call> calls(answers.size());
    for (std::size_t index = 0; index < calls.size(); ++index) {
        calls[index].input = large;
        calls[index].output = answers[index];
    }
    const auto flight = client.submit(calls);
    EXPECT_EQ(flight.taken, 7U); // 4 MiB hold seven pairs
    EXPECT_EQ(client.submit(std::span(calls).subspan(7)).taken, 0U);
    EXPECT_EQ(client.call(1, input_, output_).value_or(0), input_.size()); // lands the flight on its way
    EXPECT_EQ(answers[6], large);
    client.reap(flight);
}

TEST_F(RingClientTest, flights_of_all_sizes_never_overlap)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive, spin);
    std::vector<Buffer> inputs;
    for (std::size_t index = 0; index < 60; ++index) {
        inputs.emplace_back((index * 7919) % 200'000, static_cast<std::uint8_t>(index));
    }
    std::vector<Buffer> outputs(inputs.size());
    std::vector<Enclave::Call> calls(inputs.size());
    std::vector<Enclave::Flight> flights;
    for (std::size_t index = 0; index < inputs.size(); ++index) {
        outputs[index].resize(inputs[index].size());
        calls[index].input = inputs[index];
        calls[index].output = outputs[index];
        auto flight = client.submit({&calls[index], 1});
        while (flight.taken == 0) {
            ASSERT_FALSE(flights.empty());
            client.reap(flights.front());
            flights.erase(flights.begin());
            flight = client.submit({&calls[index], 1});
        }
        flights.push_back(flight);
    }
    client.reap(flights.back());
    EXPECT_EQ(outputs, inputs);
}

TEST_F(RingClientTest, a_status_out_of_order_is_unavailable_for_those_it_overtook)
{
    RingClient client(*ring_, alive, spin);
    Numbers two(2);
    const auto flight = client.submit(two.calls);
    ring_->lanes[0].slots[1].status = SlotStatus::answered; // the last one only
    client.reap(flight);
    EXPECT_FALSE(two.calls[0].result);
}

TEST_F(RingClientTest, an_abandoned_ring_ends_what_is_in_flight_in_every_lane_and_a_reopened_one_goes_on)
{
    RingClient client(*ring_, alive, spin);
    Numbers lost(10);
    const auto flight = client.submit(lost.calls);
    auto& other = ring_->lanes[2];
    other.slots[0].status = SlotStatus::pending;
    airlock::publish(other.slots[0], 0);
    other.head = 1;
    client.abandon();
    client.reap(flight);
    for (const auto& call : lost.calls) {
        EXPECT_EQ(call.result.error().kind, Kind::unavailable);
    }
    EXPECT_EQ(static_cast<std::uint32_t>(other.slots[0].status), static_cast<std::uint32_t>(Kind::unavailable));
    EXPECT_EQ(other.tail, 1U);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::unavailable);
    client.reopen();
    const FakeChamber chamber(*ring_);
    EXPECT_EQ(client.call(1, input_, output_).value_or(0), input_.size());
    EXPECT_EQ(chamber.answered(), 1) << "nothing of before is served";
}

TEST_F(RingClientTest, while_an_answer_does_not_come_progress_is_told_apart_from_a_stall)
{
    std::vector<std::uint64_t> seen;
    const auto serves = [&](const Stall& stall) {
        seen.push_back(stall.progress);
        EXPECT_EQ(stall.patience_ms, 1234U);
        if (seen.size() == 2) {
            ring_->lanes[0].slots[0].status = SlotStatus::answered;
        }
        return seen.size() < 4;
    };
    RingClient client(*ring_, serves, spin);
    Numbers two(2);
    two.calls[1].patience_ms = 1234;
    client.call_many(two.calls);
    ASSERT_EQ(seen.size(), 4U);
    EXPECT_EQ(seen[0], seen[1]);
    EXPECT_NE(seen[1], seen[2]);
    EXPECT_EQ(seen[2], seen[3]);
}

TEST_F(RingClientTest, a_late_answer_is_not_taken_for_the_next_one)
{
    std::atomic<bool> lives = false;
    RingClient client(*ring_, [&lives](const Stall&) { return lives.load(); }, spin);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::unavailable);
    lives = true;
    const FakeChamber late(*ring_);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::unavailable);
}

} // namespace
} // namespace caisson::host::enclave
