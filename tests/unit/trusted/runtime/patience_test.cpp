#include "trusted/runtime/patience.hpp"

#include <gtest/gtest.h>

namespace caisson::trusted::test {
namespace {

constexpr std::uint32_t longest = 1600;
constexpr std::uint32_t shortest = 100;
constexpr std::uint64_t much = longest + 1;

Patience impatient()
{
    Patience patience(longest);
    for (std::uint64_t now = 1'000'000; now < 10'000'000; now += 1'000'000) {
        patience.gave_up(now, much);
        patience.came_back(now + 900'000);
    }
    return patience;
}

TEST(Patience, it_begins_with_the_longest_look)
{
    EXPECT_EQ(Patience(longest).ticks(), longest);
}
TEST(Patience, it_becomes_shorter_while_nothing_comes_and_never_nothing)
{
    Patience patience(longest);
    patience.gave_up(1'000'000, much);
    EXPECT_EQ(patience.ticks(), longest / 4);
    EXPECT_EQ(impatient().ticks(), shortest);
}
TEST(Patience, after_little_work_it_looks_long)
{
    auto patience = impatient();
    patience.gave_up(50'000'000, longest);
    EXPECT_EQ(patience.ticks(), longest);
}
TEST(Patience, what_came_while_it_looked_makes_it_long_again)
{
    auto patience = impatient();
    patience.found_after(shortest + 1);
    EXPECT_EQ(patience.ticks(), longest);
}
TEST(Patience, what_the_shortest_look_sees_changes_nothing)
{
    auto patience = impatient();
    patience.found_after(shortest);
    EXPECT_EQ(patience.ticks(), shortest);
}
TEST(Patience, who_is_called_back_soon_looks_long_again)
{
    auto patience = impatient();
    patience.gave_up(50'000'000, much);
    patience.came_back(50'000'000 + 2 * longest);
    EXPECT_EQ(patience.ticks(), longest);
}
TEST(Patience, who_is_called_back_late_does_not)
{
    auto patience = impatient();
    patience.gave_up(50'000'000, much);
    patience.came_back(50'000'000 + 2 * longest + 1);
    EXPECT_EQ(patience.ticks(), shortest);
}
TEST(Patience, who_did_not_give_up_was_not_called_back)
{
    auto patience = impatient();
    patience.came_back(10);
    EXPECT_EQ(patience.ticks(), shortest);
}
TEST(Patience, with_no_budget_it_does_not_look_at_all)
{
    Patience patience(0);
    patience.found_after(5);
    patience.gave_up(7, much);
    patience.came_back(7);
    EXPECT_EQ(patience.ticks(), 0U);
}

} // namespace
} // namespace caisson::trusted::test
