// What anybody may send to the gateway's port before a key was seen.
#include "protocol/zmtp.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace caisson::protocol::zmtp {
namespace {

using Buffer = std::vector<std::uint8_t>;
constexpr std::size_t limit = 1000;

Buffer frame_of(std::uint8_t flags, std::size_t body_bytes)
{
    ByteArray<frame_head_bytes_max> head{};
    const auto head_bytes = write_frame_head(head, flags, body_bytes);
    Buffer frame(head.begin(), head.begin() + static_cast<std::ptrdiff_t>(head_bytes));
    frame.resize(head_bytes + body_bytes, 0x55);
    return frame;
}

TEST(ZmtpTest, a_greeting_is_read_as_it_was_written)
{
    for (const auto mechanism : {Mechanism::null, Mechanism::curve}) {
        const auto greeting = read_greeting(write_greeting({mechanism, 1}));
        ASSERT_TRUE(greeting);
        EXPECT_EQ(greeting->mechanism, mechanism);
        EXPECT_EQ(greeting->minor, 1);
    }
}

TEST(ZmtpTest, a_greeting_without_signature_version_or_known_mechanism_is_malformed) // [ZMTP-1]
{
    const auto good = write_greeting({Mechanism::curve, 1});
    const auto refused = [&good](std::size_t at, std::uint8_t value) {
        auto bytes = good;
        bytes[at] = value;
        const auto greeting = read_greeting(bytes);
        return !greeting && greeting.error().kind == Kind::malformed;
    };
    EXPECT_TRUE(refused(0, 0xfe));
    EXPECT_TRUE(refused(9, 0x7e));
    EXPECT_TRUE(refused(10, 2));
    EXPECT_TRUE(refused(10, 0));
    for (std::size_t at = 12; at < 12 + mechanism_bytes; ++at) {
        EXPECT_TRUE(refused(at, 'x')) << at;
    }
}

TEST(ZmtpTest, a_later_version_is_answered_as_3_1) // [ZMTP-1]
{
    auto bytes = write_greeting({Mechanism::curve, 1});
    bytes[10] = 4;
    bytes[11] = 0;
    const auto greeting = read_greeting(bytes);
    ASSERT_TRUE(greeting);
    EXPECT_EQ(greeting->minor, 1);
}

TEST(ZmtpTest, every_truncation_of_a_frame_is_incomplete_and_nothing_else)
{
    for (const std::size_t body_bytes : {0U, 1U, 255U, 256U, 1000U}) {
        const auto frame = frame_of(frame_more, body_bytes);
        for (std::size_t size = 0; size < frame.size(); ++size) {
            const auto read = read_frame(Bytes(frame).first(size), limit);
            ASSERT_TRUE(read);
            EXPECT_FALSE(*read) << body_bytes << " cut at " << size;
        }
        const auto read = read_frame(frame, limit);
        ASSERT_TRUE(read && *read);
        EXPECT_EQ((*read)->flags, frame_more);
        EXPECT_EQ((*read)->body.size(), body_bytes);
        EXPECT_EQ((*read)->wire_bytes, frame.size());
    }
}

TEST(ZmtpTest, reserved_flags_and_a_command_with_more_are_malformed) // [ZMTP-2]
{
    for (unsigned flags = 0; flags < 256; ++flags) {
        const bool good = (flags & ~7U) == 0 && (flags & 5U) != 5U;
        const Buffer bytes{static_cast<std::uint8_t>(flags), 0, 0, 0, 0, 0, 0, 0, 0};
        const auto read = read_frame(bytes, limit);
        EXPECT_EQ(read.has_value(), good) << flags;
    }
}

TEST(ZmtpTest, a_body_above_the_limit_is_refused_by_its_head) // [ZMTP-2]
{
    for (const std::uint64_t size : {std::uint64_t{limit + 1}, std::uint64_t{1} << 40U, ~std::uint64_t{0}}) {
        Buffer head{frame_long};
        for (int shift = 56; shift >= 0; shift -= 8) {
            head.push_back(static_cast<std::uint8_t>(size >> static_cast<unsigned>(shift)));
        }
        const auto read = read_frame(head, limit);
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().kind, Kind::exhausted);
    }
}

} // namespace
} // namespace caisson::protocol::zmtp
