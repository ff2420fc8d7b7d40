#include "core/inplace_vector.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace caisson {
namespace {

int alive = 0;

struct Counted {
    Counted() noexcept { ++alive; }
    ~Counted() { --alive; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

    int number = 7;
};

TEST(InplaceVector, an_element_is_made_when_it_is_added)
{
    alive = 0;
    InplaceVector<Counted, 3> table;
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(table.add().number, 7);
    table.add().number = 8;
    EXPECT_EQ(alive, 2);
    EXPECT_EQ(table.size(), 2U);
    EXPECT_EQ(table[1].number, 8);
    EXPECT_FALSE(table.full());
    table.add();
    EXPECT_TRUE(table.full());
}

TEST(InplaceVector, every_element_ends_with_it_or_when_it_is_cleared)
{
    alive = 0;
    {
        InplaceVector<Counted, 3> table;
        table.add();
        table.clear();
        EXPECT_EQ(alive, 0);
        EXPECT_EQ(table.begin(), table.end());
        table.add();
        table.add();
        EXPECT_EQ(alive, 2);
    }
    EXPECT_EQ(alive, 0);
}

TEST(InplaceVector, an_element_stays_where_it_is)
{
    InplaceVector<Counted, 3> table;
    const auto* first = &table.add();
    table.add();
    EXPECT_EQ(first, table.begin());
    EXPECT_EQ(first + 1, &table[1]);
}

TEST(InplaceVector, memory_of_elements_that_never_were_is_not_touched)
{
    using Table = InplaceVector<std::uint64_t, 64>;
    alignas(Table) std::uint8_t memory[sizeof(Table)];
    std::memset(memory, 0x5a, sizeof memory);
    auto* table = new (memory) Table{};
    EXPECT_EQ(table->add(), 0U);
    const auto* behind = reinterpret_cast<const std::uint8_t*>(table->end());
    for (const auto* at = behind; at != memory + sizeof memory; ++at) {
        EXPECT_EQ(*at, 0x5a);
    }
    table->~Table();
}

TEST(InplaceVectorDeathTest, one_that_is_full_takes_no_more)
{
    InplaceVector<int, 1> table;
    table.add();
    EXPECT_DEATH(table.add(), "");
}

} // namespace
} // namespace caisson
