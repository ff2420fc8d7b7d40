#include "library/reassembly.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace caisson::library {
namespace {

namespace e2e = protocol::e2e;

Parts message(std::size_t parts, std::size_t size)
{
    Parts out;
    for (std::size_t index = 0; index < parts; ++index) {
        out.emplace_back(size * index, static_cast<std::uint8_t>(index));
    }
    return out;
}

std::vector<Bytes> views(const Parts& parts)
{
    return {parts.begin(), parts.end()};
}

TEST(ReassemblyTest, a_cut_message_comes_together_in_any_order) // [E2E-13] [E2E-30]
{
    std::mt19937 random(7);
    const auto whole = message(5, 100);
    for (int round = 0; round < 50; ++round) {
        const auto pieces = cut(views(whole), 37);
        std::vector<std::uint64_t> order(pieces.size());
        for (std::size_t index = 0; index < order.size(); ++index) {
            order[index] = index + 1;
        }
        std::shuffle(order.begin(), order.end(), random);
        Reassembly reassembly;
        std::size_t complete = 0;
        for (const auto counter : order) {
            const auto parts = reassembly.take(counter, pieces[counter - 1]);
            ASSERT_TRUE(parts);
            complete += parts->empty() ? 0 : 1;
            if (!parts->empty()) {
                EXPECT_EQ(*parts, whole);
            }
        }
        EXPECT_EQ(complete, 1U);
    }
}
TEST(ReassemblyTest, empty_parts_stay)
{
    const Parts whole(3);
    const auto pieces = cut(views(whole), 10);
    ASSERT_EQ(pieces.size(), 3U);
    Reassembly reassembly;
    EXPECT_TRUE(reassembly.take(1, pieces[0])->empty());
    EXPECT_TRUE(reassembly.take(2, pieces[1])->empty());
    EXPECT_EQ(*reassembly.take(3, pieces[2]), whole);
}
TEST(ReassemblyTest, messages_that_lie_side_by_side_do_not_mix)
{
    const auto one = cut(views({Buffer(20, 1)}), 10);
    const auto two = cut(views({Buffer(20, 2)}), 10);
    Reassembly reassembly;
    EXPECT_TRUE(reassembly.take(3, two[0])->empty());
    EXPECT_TRUE(reassembly.take(2, one[1])->empty());
    EXPECT_EQ(*reassembly.take(1, one[0]), Parts{Buffer(20, 1)});
    EXPECT_EQ(*reassembly.take(4, two[1]), Parts{Buffer(20, 2)});
}
TEST(ReassemblyTest, a_message_of_one_packet_waits_for_none_of_those_that_are_not_complete)
{
    const auto one = cut(views({Buffer(20, 1)}), 10);
    const auto whole = cut(views({Buffer(5, 2)}), 10);
    Reassembly reassembly(30);
    EXPECT_TRUE(reassembly.take(1, one[0])->empty());
    for (std::uint64_t counter = 3; counter < 40; ++counter) { // and counts for nothing behind itself
        EXPECT_EQ(*reassembly.take(counter, whole[0]), Parts{Buffer(5, 2)});
    }
    EXPECT_EQ(*reassembly.take(2, one[1]), Parts{Buffer(20, 1)});
    EXPECT_EQ(reassembly.take(40, cut(views({Buffer(31)}), 100)[0]).error().kind, Kind::exhausted);
}
TEST(ReassemblyTest, what_a_carrier_lost_is_forgotten_with_its_rest) // [E2E-30]
{
    Reassembly reassembly(5000);
    const Piece lonely{e2e::flag_first, Buffer(1000)};
    const Piece whole{e2e::flag_first | e2e::flag_last | e2e::flag_part_end, {}};
    for (std::uint64_t counter = 1; counter < 200'000; counter += 2000) { // 100 kB in all
        ASSERT_TRUE(reassembly.take(counter, lonely)) << counter;
        ASSERT_TRUE(reassembly.take(counter + 1500, whole));
    }
}
TEST(ReassemblyTest, what_never_ends_is_exhausted) // [E2E-30]
{
    Reassembly reassembly(100'000);
    std::uint64_t counter = 1;
    Outcome<Parts> taken = reassembly.take(counter, {e2e::flag_first, Buffer(1000)});
    while (taken && counter < 1000) {
        taken = reassembly.take(++counter, {0, Buffer(1000)});
    }
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().kind, Kind::exhausted);
    EXPECT_EQ(counter, 101U);
}
TEST(ReassemblyTest, a_message_whose_last_part_has_no_end_is_malformed)
{
    Reassembly reassembly;
    const auto taken = reassembly.take(1, {e2e::flag_first | e2e::flag_last, Buffer(3)});
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().kind, Kind::malformed);
}
TEST(ReassemblyTest, parts_of_a_letter_come_apart_as_they_were_and_lies_do_not)
{
    const auto whole = message(4, 9);
    const auto text = join_parts(views(whole));
    EXPECT_EQ(*split_parts(text), whole);
    for (std::size_t size = 1; size < text.size(); ++size) {
        const auto parts = split_parts(Bytes(text).first(size));
        EXPECT_TRUE(!parts || parts->size() < whole.size()) << size;
    }
    EXPECT_FALSE(split_parts(Buffer(4, 0xff)));
}

} // namespace
} // namespace caisson::library
