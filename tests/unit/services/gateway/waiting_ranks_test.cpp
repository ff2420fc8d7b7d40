#include "services/gateway/waiting_ranks.hpp"

#include <gtest/gtest.h>

namespace caisson::services::gateway {
namespace {

TEST(WaitingRanksTest, the_source_with_the_most_in_waiting_is_the_greediest) // [GATE-18]
{
    WaitingRanks ranks;
    EXPECT_EQ(ranks.greediest(), nullptr);
    ranks.move("a", 0, 1);
    ranks.move("b", 0, 1);
    ranks.move("b", 1, 2);
    ASSERT_NE(ranks.greediest(), nullptr);
    EXPECT_EQ(*ranks.greediest(), "b");
    ranks.move("b", 2, 1);
    ranks.move("a", 1, 10);
    EXPECT_EQ(*ranks.greediest(), "a");
}

TEST(WaitingRanksTest, who_waits_no_more_is_forgotten) // [GATE-18]
{
    WaitingRanks ranks;
    ranks.move("a", 0, 3);
    ranks.move("b", 0, 2);
    ranks.move("a", 3, 0);
    EXPECT_EQ(*ranks.greediest(), "b");
    ranks.move("b", 2, 0);
    EXPECT_EQ(ranks.greediest(), nullptr);
    ranks.move("b", 0, 0);
    EXPECT_EQ(ranks.greediest(), nullptr);
}

} // namespace
} // namespace caisson::services::gateway
