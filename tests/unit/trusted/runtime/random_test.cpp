#include "trusted/runtime/random.hpp"

#include <gtest/gtest.h>

namespace caisson::trusted {
namespace {

bool never_ready(std::uint64_t& /*word*/) noexcept
{
    return false;
}
bool stuck(std::uint64_t& word) noexcept
{
    word = 0x1234;
    return true;
}
bool all_ones(std::uint64_t& word) noexcept
{
    word = ~std::uint64_t{0};
    return true;
}
bool counting(std::uint64_t& word) noexcept
{
    static std::uint64_t next = 1;
    word = next++;
    return true;
}

Seed seed_of(std::uint8_t byte)
{
    Seed seed;
    for (auto& at : seed.expose()) {
        at = byte;
    }
    return seed;
}

ByteArray<64> first_bytes(Random& random)
{
    ByteArray<64> bytes{};
    random.fill(bytes);
    return bytes;
}

TEST(Random, neither_seed_nor_hardware_is_refused)
{
    Random random;
    EXPECT_EQ(random.start(seed_of(0), nullptr).error().kind, Kind::unavailable);
}

TEST(Random, hardware_that_is_never_ready_is_refused_although_there_is_a_seed)
{
    Random random;
    EXPECT_EQ(random.start(seed_of(7), never_ready).error().kind, Kind::unavailable);
}

TEST(Random, hardware_that_repeats_itself_is_refused)
{
    Random random;
    EXPECT_EQ(random.start(seed_of(7), stuck).error().kind, Kind::unavailable);
}

TEST(Random, hardware_that_gives_only_ones_is_refused)
{
    Random random;
    EXPECT_EQ(random.start(seed_of(7), all_ones).error().kind, Kind::unavailable);
}

TEST(Random, a_seed_alone_gives_a_stream_that_another_seed_does_not_give)
{
    Random one;
    Random same;
    Random other;
    ASSERT_TRUE(one.start(seed_of(1), nullptr));
    ASSERT_TRUE(same.start(seed_of(1), nullptr));
    ASSERT_TRUE(other.start(seed_of(2), nullptr));
    const auto bytes = first_bytes(one);
    EXPECT_EQ(bytes, first_bytes(same));
    EXPECT_NE(bytes, first_bytes(other));
    EXPECT_NE(bytes, first_bytes(one));
}

TEST(Random, hardware_changes_what_a_known_seed_gives)
{
    Random seeded;
    Random mixed;
    ASSERT_TRUE(seeded.start(seed_of(1), nullptr));
    ASSERT_TRUE(mixed.start(seed_of(1), counting));
    EXPECT_NE(first_bytes(seeded), first_bytes(mixed));
}

TEST(Random, hardware_without_a_seed_is_enough)
{
    Random random;
    EXPECT_TRUE(random.start(seed_of(0), counting));
}

} // namespace
} // namespace caisson::trusted
