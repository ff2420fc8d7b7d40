#include "trusted/runtime/ring_server.hpp"

#include "tests/support/test_arena.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

namespace caisson::trusted {
namespace {

using airlock::ExitReason;
using airlock::SlotStatus;

constexpr std::uint8_t untouched = 0xaa;

// A ring with a hostile producer in front of it, and a chamber that echoes and counts.
class RingServerTest : public testing::Test {
  protected:
    // All of its 64 MiB, and for each test, would be most of the time.
    static std::unique_ptr<airlock::Ring> fresh_ring()
    {
        auto ring = std::make_unique_for_overwrite<airlock::Ring>();
        auto* const begin = reinterpret_cast<std::uint8_t*>(ring.get());
        auto* const arenas = &ring->arenas[0][0];
        std::memset(begin, 0, static_cast<std::size_t>(arenas - begin));
        std::memset(arenas, untouched, sizeof ring->arenas[0]);
        std::memset(ring->arenas[1], untouched, 4096);
        return ring;
    }

    static void echo(void* self, std::span<airlock::Exchange> group) noexcept
    {
        auto& test = *static_cast<RingServerTest*>(self);
        test.groups_.push_back(group.size());
        if (test.during_call_ != nullptr) {
            test.during_call_(*test.ring_);
        }
        for (auto& exchange : group) {
            ++test.calls_;
            exchange.answer = test.answer_;
            if (test.answer_.refusal == airlock::Refusal::none && test.answer_.result) {
                const auto size = std::min(exchange.input.size(), exchange.output.size());
                copy_bytes(exchange.output, exchange.input.first(size));
                exchange.answer.result = size;
            }
        }
    }

    airlock::Slot& slot(std::uint32_t index = 0) { return ring_->lanes[0].slots[index % airlock::slots_per_lane]; }

    // What an honest producer does with slots that are filled.
    void publish_to(std::uint32_t end, std::uint32_t lane = 0)
    {
        for (auto position = ring_->lanes[lane].head.load(); position != end; ++position) {
            airlock::publish(ring_->lanes[lane].slots[position % airlock::slots_per_lane], position);
        }
        ring_->lanes[lane].head = end;
    }

    void serve_to(std::uint32_t end)
    {
        publish_to(end);
        static_cast<void>(server_.serve());
    }

    void expect_refused()
    {
        slot().status = SlotStatus::pending;
        serve_to(1);
        EXPECT_EQ(slot().status, SlotStatus::bad_slot);
        EXPECT_EQ(slot().output_size, 0U);
        EXPECT_EQ(calls_, 0);
    }

    std::unique_ptr<airlock::Ring> ring_ = fresh_ring();
    std::vector<std::uint8_t> input_ = std::vector<std::uint8_t>(airlock::payload_bytes_max);
    std::vector<std::uint8_t> output_ = std::vector<std::uint8_t>(airlock::payload_bytes_max);
    int calls_ = 0;
    std::vector<std::size_t> groups_; // their sizes
    void (*during_call_)(airlock::Ring&) = nullptr;
    airlock::Answer answer_;
    RingServer server_{*ring_, {echo, this, input_, output_, group_requests_max}, 0};
};

TEST_F(RingServerTest, a_request_is_answered_and_its_buffers_inside_are_wiped)
{
    std::memset(ring_->arenas[0], 0x5c, 13);
    slot() = {1, 13, 0, 4096, 64, 0, 9, SlotStatus::pending, 0};
    serve_to(1);
    EXPECT_EQ(slot().status, SlotStatus::answered);
    EXPECT_EQ(slot().output_size, 13U);
    EXPECT_EQ(std::memcmp(ring_->arenas[0] + 4096, ring_->arenas[0], 13), 0);
    EXPECT_EQ(ring_->lanes[0].tail, 1U);
    EXPECT_EQ(input_[0], 0);
    EXPECT_EQ(output_[0], 0);
}

TEST_F(RingServerTest, an_answer_touches_no_word_behind_its_own)
{
    slot() = {1, 13, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    serve_to(1);
    EXPECT_EQ(ring_->arenas[0][4096 + 16], untouched);
}

TEST_F(RingServerTest, an_input_that_starts_behind_the_arena_is_refused)
{
    slot() = {1, 1, airlock::lane_arena_bytes, 0, 8, 0, 0, SlotStatus::pending, 0};
    expect_refused();
}

TEST_F(RingServerTest, an_input_that_ends_behind_the_arena_is_refused)
{
    slot() = {1, 2, airlock::lane_arena_bytes - 1, 0, 8, 0, 0, SlotStatus::pending, 0};
    expect_refused();
}

TEST_F(RingServerTest, an_input_offset_that_wraps_around_is_refused)
{
    slot() = {1, 16, ~std::uint64_t{0} - 7, 0, 8, 0, 0, SlotStatus::pending, 0};
    expect_refused();
}

TEST_F(RingServerTest, an_input_above_the_largest_payload_is_refused)
{
    slot() = {1, static_cast<std::uint32_t>(airlock::payload_bytes_max + 1), 0, 0, 8, 0, 0, SlotStatus::pending, 0};
    expect_refused();
}

TEST_F(RingServerTest, an_output_offset_that_is_not_a_multiple_of_eight_is_refused)
{
    slot() = {1, 8, 0, 4097, 64, 0, 0, SlotStatus::pending, 0};
    expect_refused();
}

TEST_F(RingServerTest, an_output_that_ends_behind_the_arena_is_refused)
{
    slot() = {1, 8, 0, airlock::lane_arena_bytes - 8, 9, 0, 0, SlotStatus::pending, 0};
    expect_refused();
}

TEST_F(RingServerTest, an_output_offset_that_wraps_around_is_refused)
{
    slot() = {1, 8, 0, ~std::uint64_t{0} - 7, 16, 0, 0, SlotStatus::pending, 0};
    expect_refused();
}

TEST_F(RingServerTest, what_the_head_says_makes_nothing_run)
{
    slot() = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    ring_->lanes[0].head = airlock::slots_per_lane + 1;
    EXPECT_EQ(server_.serve().reason, ExitReason::idle);
    EXPECT_EQ(calls_, 0);
    EXPECT_EQ(slot().status, SlotStatus::pending);
}

TEST_F(RingServerTest, a_turn_of_another_lap_or_position_is_not_served_and_hurts_no_other_lane)
{
    for (const std::uint32_t turn : {0U, 2U, airlock::slots_per_lane + 1, ~0U}) {
        slot() = {1, 8, 0, 4096, 64, turn, 0, SlotStatus::pending, 0};
        EXPECT_EQ(server_.serve().reason, ExitReason::idle);
    }
    ring_->lanes[1].slots[0] = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    publish_to(1, 1);
    static_cast<void>(server_.serve());
    EXPECT_EQ(calls_, 1);
    EXPECT_EQ(ring_->lanes[0].tail, 0U);
    EXPECT_EQ(ring_->lanes[1].slots[0].status, SlotStatus::answered);
}

TEST_F(RingServerTest, a_slot_behind_one_that_is_not_published_waits_for_it)
{
    slot(0) = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    slot(1) = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    airlock::publish(slot(1), 1);
    static_cast<void>(server_.serve());
    EXPECT_EQ(calls_, 0);
    airlock::publish(slot(0), 0);
    static_cast<void>(server_.serve());
    EXPECT_EQ(calls_, 2);
}

TEST_F(RingServerTest, an_answered_slot_is_not_served_again)
{
    slot() = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    serve_to(1);
    slot().status = SlotStatus::pending;
    airlock::publish(slot(), 0); // once more, as published before
    static_cast<void>(server_.serve());
    EXPECT_EQ(calls_, 1);
    EXPECT_EQ(ring_->lanes[0].tail, 1U);
}

TEST_F(RingServerTest, slots_that_change_while_the_group_before_them_is_answered_are_read_once)
{
    constexpr std::uint32_t taken = 2 * group_requests_max;
    for (std::uint32_t index = 0; index < taken; ++index) {
        slot(index) = {1, 8, 0, 4096 + std::uint64_t{64} * index, 64, 0, 0, SlotStatus::pending, 0};
    }
    during_call_ = [](airlock::Ring& ring) {
        for (std::uint32_t index = 0; index < taken; ++index) {
            auto& changed = ring.lanes[0].slots[index];
            changed.output_offset = ~std::uint64_t{0};
            changed.input_offset = ~std::uint64_t{0};
            changed.input_size = ~0U;
        }
    };
    serve_to(taken);
    for (std::uint32_t index = 0; index < taken; ++index) {
        EXPECT_EQ(slot(index).status, SlotStatus::answered) << index;
    }
}

TEST_F(RingServerTest, a_tail_that_the_host_rewrites_makes_nothing_run_twice)
{
    slot() = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    serve_to(1);
    ring_->lanes[0].tail = 0;
    serve_to(1);
    EXPECT_EQ(calls_, 1);
}

TEST_F(RingServerTest, a_slot_that_changes_after_the_copy_moves_no_output)
{
    slot() = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    during_call_ = [](airlock::Ring& ring) {
        auto& changed = ring.lanes[0].slots[0];
        changed.output_offset = ~std::uint64_t{0};
        changed.input_size = ~0U;
        changed.output_capacity = ~0U;
        std::memset(ring.arenas[0], 0x11, 8); // the input changes, too
    };
    serve_to(1);
    EXPECT_EQ(slot().status, SlotStatus::answered);
    EXPECT_EQ(ring_->arenas[0][4096], untouched);
    EXPECT_EQ(slot().output_size, 8U);
}

TEST_F(RingServerTest, a_refusal_writes_no_output)
{
    answer_.refusal = airlock::Refusal::not_in_this_state;
    slot() = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    std::memset(ring_->arenas[0] + 4096, 0x77, 8);
    serve_to(1);
    EXPECT_EQ(slot().status, SlotStatus::not_in_this_state);
    EXPECT_EQ(slot().output_size, 0U);
    EXPECT_EQ(ring_->arenas[0][4096], 0x77);
}

TEST_F(RingServerTest, a_failure_tells_its_kind_and_nothing_else)
{
    answer_.result = fail(Kind::forbidden, "for people inside");
    slot() = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    serve_to(1);
    EXPECT_EQ(static_cast<std::uint32_t>(slot().status), static_cast<std::uint32_t>(Kind::forbidden));
    EXPECT_EQ(slot().output_size, 0U);
}

TEST_F(RingServerTest, a_full_lane_is_answered_and_the_counters_wrap)
{
    for (std::uint32_t round = 1; round <= 3; ++round) {
        for (std::uint32_t index = 0; index < airlock::slots_per_lane; ++index) {
            slot(index) = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
        }
        serve_to(round * airlock::slots_per_lane);
        EXPECT_EQ(calls_, static_cast<int>(round * airlock::slots_per_lane));
    }
}

TEST_F(RingServerTest, what_waits_in_a_lane_is_answered_as_one_group_each_with_its_own_buffers)
{
    for (std::uint32_t index = 0; index < 5; ++index) {
        slot(index) = {1, 8, 64 * index, 4096 + std::uint64_t{64} * index, 64, 0, 0, SlotStatus::pending, 0};
        std::memset(ring_->arenas[0] + std::size_t{64} * index, static_cast<int>(index + 1), 8);
    }
    serve_to(5);
    EXPECT_EQ(groups_, std::vector<std::size_t>({5}));
    for (std::uint32_t index = 0; index < 5; ++index) {
        EXPECT_EQ(ring_->arenas[0][4096 + std::size_t{64} * index], index + 1);
    }
}

TEST_F(RingServerTest, a_group_that_the_buffers_do_not_hold_goes_in_parts)
{
    constexpr auto large = static_cast<std::uint32_t>(airlock::payload_bytes_max);
    slot(0) = {1, 8, 0, 0, 64, 0, 0, SlotStatus::pending, 0};
    slot(1) = {1, large, 0, airlock::lane_arena_bytes / 2, large, 0, 0, SlotStatus::pending, 0};
    slot(2) = {1, 8, 0, 0, large, 0, 0, SlotStatus::pending, 0};
    slot(3) = {1, 8, 0, 0, ~0U, 0, 0, SlotStatus::pending, 0};
    serve_to(4);
    EXPECT_EQ(groups_, std::vector<std::size_t>({1, 1, 1, 1}));
    EXPECT_EQ(slot(1).output_size, large);
    EXPECT_EQ(slot(3).status, SlotStatus::answered);
}

TEST_F(RingServerTest, sixteen_requests_share_36_kib_more_share_8_and_a_large_one_is_alone)
{
    const auto fill = [this](std::uint32_t first, std::uint32_t count, std::uint32_t bytes) {
        for (auto index = first; index < first + count; ++index) {
            const auto at = std::uint64_t{1024} * index;
            slot(index) = {1, bytes, at, airlock::lane_arena_bytes / 2 + at, bytes, 0, 0, SlotStatus::pending, 0};
        }
    };
    fill(0, 20, 1024);
    fill(20, 1, 4104);
    fill(21, 50, 96);
    serve_to(71);
    EXPECT_EQ(groups_, std::vector<std::size_t>({16, 4, 1, 42, 8}));
}

TEST_F(RingServerTest, an_unsound_slot_in_a_group_is_refused_and_its_neighbours_are_answered)
{
    slot(0) = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    slot(1) = {1, 8, airlock::lane_arena_bytes, 4160, 64, 0, 0, SlotStatus::pending, 0};
    slot(2) = {1, 8, 0, 4224, 64, 0, 0, SlotStatus::pending, 0};
    serve_to(3);
    EXPECT_EQ(slot(0).status, SlotStatus::answered);
    EXPECT_EQ(slot(1).status, SlotStatus::bad_slot);
    EXPECT_EQ(slot(2).status, SlotStatus::answered);
    EXPECT_EQ(calls_, 2);
}

TEST_F(RingServerTest, what_a_group_left_inside_is_wiped)
{
    std::memset(ring_->arenas[0], 0x5c, 4096);
    for (std::uint32_t index = 0; index < 5; ++index) {
        slot(index) = {1, 100, 64 * index, 4096 + std::uint64_t{128} * index, 128, 0, 0, SlotStatus::pending, 0};
    }
    serve_to(5);
    EXPECT_EQ(std::count(input_.begin(), input_.end(), 0), static_cast<std::ptrdiff_t>(input_.size()));
    EXPECT_EQ(std::count(output_.begin(), output_.end(), 0), static_cast<std::ptrdiff_t>(output_.size()));
}

TEST_F(RingServerTest, the_stop_flag_ends_serving)
{
    ring_->stop = 1;
    EXPECT_EQ(server_.serve().reason, ExitReason::stopped);
}

TEST_F(RingServerTest, before_it_sleeps_it_says_so_and_names_the_doorbell_it_saw)
{
    ring_->doorbell = 41;
    const auto pause = server_.serve();
    EXPECT_EQ(pause.reason, ExitReason::idle);
    EXPECT_EQ(pause.doorbell, 41U);
    EXPECT_EQ(ring_->chamber_asleep, 1U);
}

TEST_F(RingServerTest, a_sleeping_producer_is_woken_when_its_answer_is_there)
{
    slot() = {1, 8, 0, 4096, 64, 0, 0, SlotStatus::pending, 0};
    ring_->lanes[0].producer_asleep = 1;
    publish_to(1);
    EXPECT_EQ(server_.serve().reason, ExitReason::wake);
    EXPECT_EQ(slot().status, SlotStatus::answered);
}

// The same in front of a chamber that asks itself for what the next group will touch.
class AskingRingServerTest : public RingServerTest {
  protected:
    static void note(void* self, std::span<airlock::Exchange> group) noexcept
    {
        auto& test = *static_cast<AskingRingServerTest*>(self);
        test.waiting_.push_back(test.ahead_.waiting());
        echo(self, group);
    }

    LinesAhead ahead_;
    std::vector<std::size_t> waiting_; // at each call
    RingServer asking_{*ring_, {note, this, input_, output_, group_requests_max, nullptr, &ahead_}, 0};
};

TEST_F(AskingRingServerTest, during_a_group_the_lines_of_the_next_sound_ones_wait_and_afterwards_none)
{
    constexpr std::uint32_t large = 8 << 10U; // a group of its own
    slot(0) = {1, large, 0, 0, large, 0, 0, SlotStatus::pending, 0};
    slot(1) = {1, large, 0, large, 100, 0, 0, SlotStatus::pending, 0};
    slot(2) = {1, large, 0, 0, large, 0, 0, SlotStatus::pending, 0};
    slot(3) = {1, large, airlock::lane_arena_bytes, 0, large, 0, 0, SlotStatus::pending, 0};
    slot(4) = {1, large, 0, 0, large, 0, 0, SlotStatus::pending, 0};
    publish_to(5);
    static_cast<void>(asking_.serve());
    EXPECT_EQ(waiting_, std::vector<std::size_t>({large / 64 + 2, 2 * large / 64, 0, 0}));
    EXPECT_EQ(ahead_.waiting(), 0U);
    EXPECT_EQ(slot(3).status, SlotStatus::bad_slot);
    EXPECT_EQ(slot(4).status, SlotStatus::answered);
}

// The same with buffers in an arena that gets as many pages as the test says.
class GrowingRingServerTest : public RingServerTest {
  protected:
    void answer_one(std::uint32_t position, std::uint32_t input_size)
    {
        slot(position) = {1, input_size, 0, 4096, 64, 0, 9, SlotStatus::pending, 0};
        publish_to(position + 1);
        static_cast<void>(growing_.serve());
    }

    tests::TestArena memory_;
    RingServer growing_{*ring_,
                        {echo, this, memory_.arena().reserve(airlock::payload_bytes_max),
                         memory_.arena().reserve(airlock::payload_bytes_max), group_requests_max, &memory_.arena()},
                        0};
};

// [ARENA-2]
TEST_F(GrowingRingServerTest, its_buffers_become_memory_as_larger_requests_come)
{
    EXPECT_EQ(memory_.pages(), 0U);
    answer_one(0, 13);
    EXPECT_EQ(slot(0).status, SlotStatus::answered);
    EXPECT_EQ(memory_.pages(), 2U);
    answer_one(1, airlock::payload_bytes_max);
    EXPECT_EQ(slot(1).status, SlotStatus::answered);
    EXPECT_EQ(memory_.pages(), 1 + airlock::payload_bytes_max / protocol::sgx::page_bytes);
    answer_one(2, airlock::payload_bytes_max);
    EXPECT_EQ(memory_.pages(), 1 + airlock::payload_bytes_max / protocol::sgx::page_bytes);
}

// [ARENA-3]
TEST_F(GrowingRingServerTest, a_request_too_large_for_the_memory_there_is_is_refused_alone)
{
    memory_.limit(4);
    answer_one(0, airlock::payload_bytes_max);
    EXPECT_EQ(static_cast<std::uint32_t>(slot(0).status), static_cast<std::uint32_t>(Kind::exhausted));
    EXPECT_EQ(slot(0).output_size, 0U);
    EXPECT_EQ(calls_, 0);
    memory_.limit(5);
    answer_one(1, 13);
    EXPECT_EQ(slot(1).status, SlotStatus::answered);
    EXPECT_EQ(slot(1).output_size, 13U);
}

} // namespace
} // namespace caisson::trusted
