// The arena before a host that gives no pages, wrong ones, or the same one again.
#include "trusted/runtime/arena_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace caisson::trusted {
namespace {

constexpr std::size_t page = protocol::sgx::page_bytes;

class ArenaTest : public testing::Test {
  protected:
    static bool accept(void* context, std::uint8_t* at) noexcept
    {
        auto& test = *static_cast<ArenaTest*>(context);
        if (test.pages_left_ == 0) {
            return false;
        }
        --test.pages_left_;
        test.accepted_.push_back(static_cast<std::size_t>(at - test.memory_.data()));
        if (test.soil_) {
            at[page - 1] = 1;
        }
        return true;
    }

    std::vector<std::uint8_t> memory_ = std::vector<std::uint8_t>(16 * page);
    std::vector<std::size_t> accepted_; // offsets
    std::size_t pages_left_ = 16;
    bool soil_ = false;
    Arena arena_{memory_, accept, this};
};

struct Element {
    ByteArray<1500> bytes{};
    int number = 7;
};

// [ARENA-2]
TEST_F(ArenaTest, a_table_takes_pages_as_it_grows_and_each_once)
{
    ArenaTable<Element, 20> table(arena_);
    EXPECT_TRUE(accepted_.empty());
    for (std::size_t count = 1; count <= 20; ++count) {
        const auto added = table.add();
        ASSERT_TRUE(added);
        EXPECT_EQ((*added)->number, 7);
        EXPECT_EQ(accepted_.size(), (count * sizeof(Element) + page - 1) / page);
    }
    for (std::size_t index = 0; index < accepted_.size(); ++index) {
        EXPECT_EQ(accepted_[index], index * page);
    }
    EXPECT_EQ(table.add().error().kind, Kind::exhausted);
}

// [ARENA-3]
TEST_F(ArenaTest, a_host_without_pages_stops_the_table_and_leaves_what_is_in_it)
{
    ArenaTable<Element, 20> table(arena_);
    pages_left_ = 1;
    ASSERT_TRUE(table.add());
    ASSERT_TRUE(table.add());
    table[0].number = 1;
    EXPECT_EQ(table.add().error().kind, Kind::exhausted);
    EXPECT_EQ(table.size(), 2U);
    EXPECT_EQ(table[0].number, 1);
    pages_left_ = 1; // later there is one
    EXPECT_TRUE(table.add());
    EXPECT_EQ(table[0].number, 1);
}

// [ARENA-3]
TEST_F(ArenaTest, a_page_that_is_not_empty_is_never_used_and_the_arena_grows_no_more)
{
    ArenaTable<Element, 20> table(arena_);
    ASSERT_TRUE(table.add());
    soil_ = true;
    ASSERT_TRUE(table.add());
    EXPECT_EQ(table.add().error().kind, Kind::unauthentic);
    soil_ = false;
    EXPECT_EQ(table.add().error().kind, Kind::unauthentic);
    EXPECT_EQ(table.size(), 2U);
}

TEST_F(ArenaTest, tables_lie_one_behind_the_other_and_do_not_meet)
{
    ArenaTable<Element, 4> first(arena_);
    ArenaTable<Element, 4> second(arena_);
    for (int count = 0; count < 4; ++count) {
        ASSERT_TRUE(first.add() && second.add());
    }
    EXPECT_GE(reinterpret_cast<std::uint8_t*>(&second[0]), reinterpret_cast<std::uint8_t*>(&first[3] + 1));
    EXPECT_EQ(arena_.pages(), accepted_.size());
}

// [ARENA-3]
TEST_F(ArenaTest, a_page_that_was_given_once_is_never_asked_for_again)
{
    ArenaTable<Element, 6> table(arena_);
    for (int count = 0; count < 5; ++count) { // two pages
        ASSERT_TRUE(table.add());
    }
    pages_left_ = 0; // as EACCEPT of a page that is accepted already
    EXPECT_EQ(table.add().error().kind, Kind::exhausted);
    pages_left_ = 1;
    ASSERT_TRUE(table.add());
    auto sorted = accepted_;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
}

struct Counted {
    static inline int living = 0;
    Counted() { ++living; }
    ~Counted() { --living; }
};

TEST_F(ArenaTest, elements_end_with_their_table)
{
    {
        ArenaTable<Counted, 8> table(arena_);
        ASSERT_TRUE(table.add() && table.add());
        EXPECT_EQ(Counted::living, 2);
    }
    EXPECT_EQ(Counted::living, 0);
}

} // namespace
} // namespace caisson::trusted
