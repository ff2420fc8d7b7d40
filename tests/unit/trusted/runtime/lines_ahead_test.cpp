#include "trusted/runtime/lines_ahead.hpp"

#include <gtest/gtest.h>

namespace caisson::trusted {
namespace {

alignas(cache_line_bytes) const std::uint8_t memory[64 * cache_line_bytes]{};

TEST(LinesAhead, each_line_that_is_touched_counts_once_wherever_the_octets_begin_and_end)
{
    LinesAhead ahead;
    ahead.add(memory, 0);
    EXPECT_EQ(ahead.waiting(), 0U);
    ahead.add(memory, 1);
    EXPECT_EQ(ahead.waiting(), 1U);
    ahead.add(memory + 63, 2);
    EXPECT_EQ(ahead.waiting(), 3U);
    ahead.add(memory + 1, 64);
    EXPECT_EQ(ahead.waiting(), 5U);
    ahead.add(memory, 640);
    EXPECT_EQ(ahead.waiting(), 15U);
}

TEST(LinesAhead, what_is_asked_for_waits_no_more_and_the_rest_does)
{
    LinesAhead ahead;
    ahead.add(memory, 3 * cache_line_bytes);
    ahead.add(memory, 2 * cache_line_bytes);
    ahead.ask(0);
    EXPECT_EQ(ahead.waiting(), 5U);
    ahead.ask(4);
    EXPECT_EQ(ahead.waiting(), 1U);
    ahead.ask(100);
    EXPECT_EQ(ahead.waiting(), 0U);
    ahead.ask_all();
    EXPECT_EQ(ahead.waiting(), 0U);
}

TEST(LinesAhead, more_than_it_remembers_is_not_kept_and_room_comes_back)
{
    LinesAhead ahead;
    for (int count = 0; count < 1000; ++count) {
        ahead.add(memory, cache_line_bytes);
    }
    const auto most = ahead.waiting();
    EXPECT_GT(most, 1U);
    EXPECT_LT(most, 1000U);
    ahead.ask(most - 1);
    ahead.ask_all();
    for (int count = 0; count < 1000; ++count) {
        ahead.add(memory, cache_line_bytes);
    }
    EXPECT_EQ(ahead.waiting(), most);
}

} // namespace
} // namespace caisson::trusted
