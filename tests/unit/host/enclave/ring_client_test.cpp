// The outside end of the ring against a thread that plays the chamber, honest and not.
#include "host/enclave/ring_client.hpp"

#include <gtest/gtest.h>

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
    FakeChamber(const FakeChamber&) = delete;
    FakeChamber& operator=(const FakeChamber&) = delete;

  private:
    void serve()
    {
        auto& lane = ring_.lanes[0];
        while (!stopped_) {
            const auto tail = lane.tail.load();
            if (tail == lane.head.load()) {
                std::this_thread::yield();
                continue;
            }
            auto& slot = lane.slots[tail % airlock::slots_per_lane];
            const auto size = std::min(slot.input_size, slot.output_capacity);
            copy_bytes({ring_.arenas[0] + slot.output_offset, size}, {ring_.arenas[0] + slot.input_offset, size});
            slot.status = SlotStatus::answered;
            slot.output_size = size;
            if (falsify_ != nullptr) {
                falsify_(slot);
            }
            lane.tail.store(tail + 1);
        }
    }

    airlock::Ring& ring_;
    Falsify falsify_;
    std::atomic<bool> stopped_ = false;
    std::thread thread_;
};

class RingClientTest : public testing::Test {
  protected:
    static bool alive() { return true; }

    std::unique_ptr<airlock::Ring> ring_ = std::make_unique<airlock::Ring>();
    Buffer input_ = Buffer(100, 7);
    Buffer output_ = Buffer(100);
};

TEST_F(RingClientTest, an_answer_arrives_and_leaves_no_copy_in_the_arena)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive);
    EXPECT_EQ(client.call(1, input_, output_).value_or(0), input_.size());
    EXPECT_EQ(output_, input_);
    for (std::size_t index = 0; index < 512; ++index) {
        ASSERT_EQ(ring_->arenas[0][index], 0) << index;
    }
}

TEST_F(RingClientTest, more_calls_than_slots_and_arena_hold_are_all_answered)
{
    const FakeChamber chamber(*ring_);
    RingClient client(*ring_, alive);
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
    RingClient client(*ring_, alive);
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

TEST_F(RingClientTest, an_answer_larger_than_its_room_is_not_believed)
{
    const FakeChamber chamber(*ring_, [](Slot& slot) { slot.output_size = slot.output_capacity + 1; });
    RingClient client(*ring_, alive);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::unavailable);
}

TEST_F(RingClientTest, an_answer_beyond_the_ring_is_not_believed_for_a_huge_buffer)
{
    const FakeChamber chamber(
        *ring_, [](Slot& slot) { slot.output_size = static_cast<std::uint32_t>(sizeof(airlock::Ring::arenas)); });
    RingClient client(*ring_, alive);
    Buffer huge(sizeof(airlock::Ring::arenas));
    EXPECT_EQ(client.call(1, input_, huge).error().kind, Kind::unavailable);
}

TEST_F(RingClientTest, a_status_outside_the_table_is_forbidden)
{
    const FakeChamber chamber(*ring_, [](Slot& slot) { slot.status = static_cast<SlotStatus>(4711); });
    RingClient client(*ring_, alive);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::forbidden);
}

TEST_F(RingClientTest, the_kind_a_chamber_gave_is_passed_on)
{
    const FakeChamber chamber(*ring_, [](Slot& slot) { slot.status = static_cast<SlotStatus>(Kind::expired); });
    RingClient client(*ring_, alive);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::expired);
}

TEST_F(RingClientTest, a_late_answer_is_not_taken_for_the_next_one)
{
    std::atomic<bool> lives = false;
    RingClient client(*ring_, [&lives] { return lives.load(); });
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::unavailable);
    lives = true;
    const FakeChamber late(*ring_);
    EXPECT_EQ(client.call(1, input_, output_).error().kind, Kind::unavailable);
}

} // namespace
} // namespace caisson::host::enclave
