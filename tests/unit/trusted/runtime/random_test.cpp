#include "trusted/runtime/random.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

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
// Never the same word twice, and yet hardly anything but zeros.
bool counting(std::uint64_t& word) noexcept
{
    static std::uint64_t next = 1;
    word = next++;
    return true;
}

std::uint64_t mixed(std::uint64_t state) noexcept // SplitMix64
{
    state = (state ^ (state >> 30U)) * 0xbf58476d1ce4e5b9;
    state = (state ^ (state >> 27U)) * 0x94d049bb133111eb;
    return state ^ (state >> 31U);
}
bool good(std::uint64_t& word) noexcept
{
    static std::uint64_t state = 7;
    word = mixed(state += 0x9e3779b97f4a7c15);
    return true;
}
// Good except that one octet of each word is always the same: one in eight, where one in 256 belongs.
template <unsigned position>
bool biased(std::uint64_t& word) noexcept
{
    good(word);
    word = (word & ~(std::uint64_t{0xff} << (8 * position))) | (std::uint64_t{0x41} << (8 * position));
    return true;
}
bool with_a_run_of_octets(std::uint64_t& word) noexcept
{
    static int calls = 0;
    good(word);
    if (++calls % 16 == 0) {
        word = 0x4141414141414141;
    } else if (calls % 16 == 1) {
        word = (word << 24U) | 0x414141;
    }
    return true;
}

std::uint64_t words_until_it_breaks = 0;
bool breaking(std::uint64_t& word) noexcept
{
    if (words_until_it_breaks > 0) {
        --words_until_it_breaks;
        return good(word);
    }
    return stuck(word);
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

// The kind with which a chamber that has these sources refuses to start.
std::optional<Kind> refusal(std::uint8_t seed, Random::HardwareSource hardware, Random::HardwareSource rdseed = nullptr)
{
    Random random;
    const auto started = random.start(seed_of(seed), hardware, rdseed);
    return started ? std::nullopt : std::optional(started.error().kind);
}

// [RANDOM-1]
TEST(Random, neither_seed_nor_hardware_is_refused)
{
    EXPECT_EQ(refusal(0, nullptr), Kind::unavailable);
    EXPECT_EQ(refusal(0, nullptr, good), Kind::unavailable) << "RDSEED alone, which anybody can exhaust";
}

TEST(Random, a_seed_or_healthy_hardware_is_enough)
{
    EXPECT_EQ(refusal(7, nullptr), std::nullopt);
    EXPECT_EQ(refusal(0, good), std::nullopt);
    EXPECT_EQ(refusal(7, good, good), std::nullopt);
}

// [RANDOM-2]
TEST(Random, hardware_that_is_never_ready_is_refused_although_there_is_a_seed)
{
    EXPECT_EQ(refusal(7, never_ready), Kind::unavailable);
}

TEST(Random, rdseed_that_is_never_ready_is_done_without)
{
    EXPECT_EQ(refusal(7, good, never_ready), std::nullopt);
}

TEST(Random, broken_hardware_is_refused_although_there_is_a_seed)
{
    for (const auto source : {stuck, all_ones, counting, biased<0>, biased<5>, biased<7>, with_a_run_of_octets}) {
        EXPECT_EQ(refusal(7, source), Kind::unavailable);
        EXPECT_EQ(refusal(7, good, source), Kind::unavailable);
    }
}

TEST(Random, hardware_that_breaks_later_ends_the_chamber)
{
    words_until_it_breaks = SourceHealth::startup_words + 4;
    Random random;
    ASSERT_TRUE(random.start(seed_of(7), breaking));
    std::vector<std::uint8_t> output(std::size_t{2} << 20U);
    EXPECT_DEATH(random.fill(output), "");
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

TEST(Random, each_source_changes_what_a_known_seed_gives)
{
    Random seeded;
    Random with_hardware;
    Random with_both;
    ASSERT_TRUE(seeded.start(seed_of(1), nullptr));
    ASSERT_TRUE(with_hardware.start(seed_of(1), good));
    ASSERT_TRUE(with_both.start(seed_of(1), good, good));
    const auto bytes = first_bytes(seeded);
    EXPECT_NE(bytes, first_bytes(with_hardware));
    EXPECT_NE(bytes, first_bytes(with_both));
}

// [RANDOM-4]: who learns the state learns nothing of what was given before: the key is replaced at each chunk.
TEST(Random, what_was_given_is_not_in_the_state)
{
    Random random;
    ASSERT_TRUE(random.start(seed_of(3), nullptr));
    const auto given = first_bytes(random);
    const Bytes state(reinterpret_cast<const std::uint8_t*>(&random), sizeof random);
    for (std::size_t at = 0; at + 16 <= state.size(); ++at) {
        for (std::size_t from = 0; from + 16 <= given.size(); from += 16) {
            EXPECT_FALSE(same_bytes(state.subspan(at, 16), Bytes(given).subspan(from, 16)));
        }
    }
}

TEST(Random, a_long_call_repeats_nothing_where_its_chunks_meet)
{
    Random random;
    ASSERT_TRUE(random.start(seed_of(4), nullptr));
    std::vector<std::uint8_t> given(8 * 2016 + 5);
    random.fill(given);
    std::set<std::vector<std::uint8_t>> seen;
    for (std::size_t at = 0; at + 16 <= given.size(); at += 8) {
        EXPECT_TRUE(seen.emplace(given.begin() + static_cast<std::ptrdiff_t>(at),
                                 given.begin() + static_cast<std::ptrdiff_t>(at + 16))
                        .second)
            << at;
    }
}

// [RANDOM-3]
TEST(SourceHealth, a_good_source_passes_for_long)
{
    SourceHealth health;
    std::uint64_t word = 0;
    for (int count = 0; count < 200'000; ++count) {
        good(word);
        ASSERT_TRUE(health.accept(word)) << count;
    }
}

TEST(SourceHealth, eight_equal_octets_fail_and_seven_pass)
{
    SourceHealth seven;
    EXPECT_TRUE(seven.accept(0x4141411122334455)); // in time, the highest octets are the last
    EXPECT_TRUE(seven.accept(0x1020304041414141));
    SourceHealth eight;
    EXPECT_TRUE(eight.accept(0x4141411122334455));
    EXPECT_FALSE(eight.accept(0x1020304141414141));
}

TEST(SourceHealth, a_source_that_was_broken_once_stays_so)
{
    SourceHealth health;
    std::uint64_t word = 0;
    EXPECT_FALSE(health.accept(0));
    good(word);
    EXPECT_FALSE(health.accept(word));
}

TEST(SourceHealth, a_word_twice_in_a_row_fails)
{
    SourceHealth health;
    std::uint64_t word = 0;
    good(word);
    EXPECT_TRUE(health.accept(word));
    EXPECT_FALSE(health.accept(word));
}

} // namespace
} // namespace caisson::trusted
