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
    for (const auto mechanism : {Mechanism::null, Mechanism::plain, Mechanism::curve}) {
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

Buffer octets(std::string_view text)
{
    return {text.begin(), text.end()};
}

Buffer properties(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs)
{
    Buffer buffer(1024);
    Writer writer(buffer);
    for (const auto& [name, value] : pairs) {
        write_property(writer, name, bytes_of(value));
    }
    buffer.resize(writer.written().size());
    return buffer;
}

TEST(ZmtpTest, heads_are_written_short_and_read_in_both_forms) // [ZMTP-10]
{
    for (const std::size_t size : {std::size_t{0}, std::size_t{255}, std::size_t{256}}) {
        ByteArray<frame_head_bytes_max> head{};
        EXPECT_EQ(write_frame_head(head, frame_more, size), size < 256 ? 2U : 9U) << size;
    }
    const Buffer long_form{frame_long, 0, 0, 0, 0, 0, 0, 0, 1, 'x'};
    const auto read = read_frame(long_form, limit);
    ASSERT_TRUE(read && *read);
    EXPECT_EQ(text_of((*read)->body), "x");
    EXPECT_EQ((*read)->wire_bytes, 10U);
}

TEST(ZmtpTest, metadata_that_is_cut_or_has_an_empty_name_or_more_is_refused) // [ZMTP-11]
{
    const auto metadata = properties({{"Socket-Type", "DEALER"}, {"Identity", ""}});
    auto ready = octets(ready_name);
    ready.insert(ready.end(), metadata.begin(), metadata.end());
    ASSERT_TRUE(read_null_ready(ready));
    const auto first_property_end = ready_name.size() + 1 + 11 + 4 + 6;
    for (auto size = ready_name.size() + 1; size < ready.size(); ++size) {
        EXPECT_EQ(read_null_ready(Bytes(ready).first(size)).has_value(), size == first_property_end) << size;
    }
    for (const auto& wrong : {Buffer{0}, Buffer{0, 0, 0, 0, 0}, Buffer{1, 'a', 0xff, 0xff, 0xff, 0xff}}) {
        auto longer = ready;
        longer.insert(longer.end(), wrong.begin(), wrong.end());
        EXPECT_FALSE(read_null_ready(longer));
    }
}

TEST(ZmtpTest, another_command_than_the_one_that_is_due_and_error_end_a_handshake) // [ZMTP-12]
{
    EXPECT_TRUE(read_metadata(octets(initiate_name), initiate_name));
    for (const auto name : {ready_name, welcome_name, hello_name, std::string_view("\x04PING"), std::string_view()}) {
        EXPECT_EQ(read_metadata(octets(name), initiate_name).error().kind, Kind::malformed) << name;
    }
    EXPECT_EQ(read_metadata(octets("\x05"
                                   "ERROR\x03"
                                   "400"),
                            ready_name)
                  .error()
                  .kind,
              Kind::unacceptable);
    EXPECT_EQ(read_plain_hello(octets(ready_name)).error().kind, Kind::malformed);
}

TEST(ZmtpTest, a_ping_says_its_ttl_and_context) // [ZMTP-7]
{
    const auto body = octets({"\x04PING\x01\x02"
                              "abc",
                              10});
    const auto ping = read_command(body);
    ASSERT_TRUE(ping);
    EXPECT_EQ(ping->kind, Command::Kind::ping);
    EXPECT_EQ(ping->ttl_deciseconds, 0x102);
    EXPECT_EQ(text_of(ping->rest), "abc");
    Buffer written(16);
    Writer writer(written);
    write_ping(writer, 0x102);
    EXPECT_EQ(text_of(writer.written()), std::string_view("\x04PING\x01\x02", 7));
}

TEST(ZmtpTest, a_ping_without_ttl_or_with_too_long_a_context_is_refused) // [ZMTP-7]
{
    for (std::size_t size = 5; size < 7; ++size) {
        EXPECT_FALSE(read_command(octets(std::string_view("\x04PING\0\0", 7).substr(0, size)))) << size;
    }
    auto ping = octets({"\x04PING\0\0", 7});
    ping.resize(7 + ping_context_bytes_max);
    EXPECT_TRUE(read_command(ping));
    ping.push_back(0);
    EXPECT_FALSE(read_command(ping));
}

TEST(ZmtpTest, subscriptions_are_known_and_other_commands_pass) // [ZMTP-7]
{
    EXPECT_EQ(read_command(octets("\x09SUBSCRIBEtopic"))->kind, Command::Kind::subscribe);
    EXPECT_EQ(text_of(read_command(octets("\x09SUBSCRIBEtopic"))->rest), "topic");
    EXPECT_EQ(read_command(octets("\x06"
                                  "CANCEL"))
                  ->kind,
              Command::Kind::cancel);
    EXPECT_EQ(read_command(octets("\x04PONGabc"))->kind, Command::Kind::pong);
    for (const auto* other : {"", "\x04JOINx", "\x05HELLO", "\x0aSUBSCRIBEx", "PING"}) {
        EXPECT_EQ(read_command(octets(other))->kind, Command::Kind::other) << other;
    }
}

TEST(ZmtpTest, what_an_end_may_not_say_of_itself_is_left_out_in_whatever_case) // [ZMTP-9]
{
    const auto metadata = properties({{"Socket-Type", "SUB"},
                                      {"X-Caisson-Key", "forged"},
                                      {"x-cAISSON-trust", "t"},
                                      {"X-Caisson", "kept"},
                                      {"user-ID", "root"},
                                      {"Peer-Address", "a"},
                                      {"__FD", "1"},
                                      {"User-Identity", "kept"},
                                      {"X-Other", "v"}});
    Buffer copy(metadata.size());
    Writer writer(copy);
    copy_ends_properties(writer, metadata);
    const auto kept =
        properties({{"Socket-Type", "SUB"}, {"X-Caisson", "kept"}, {"User-Identity", "kept"}, {"X-Other", "v"}});
    EXPECT_EQ(Buffer(writer.written().begin(), writer.written().end()), kept);
    EXPECT_EQ(text_of(find_property(metadata, "socket-type")), "SUB");
    EXPECT_TRUE(find_property(metadata, "Identity").empty());
}

TEST(ZmtpTest, plains_hello_is_read_as_it_was_written_and_every_truncation_is_refused) // [ZMTP-6] [ZMTP-13]
{
    Buffer hello(64);
    Writer writer(hello);
    ASSERT_TRUE(write_plain_hello(writer, {"alice", "secret"}));
    hello.resize(writer.written().size());
    const auto read = read_plain_hello(hello);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->username, "alice");
    EXPECT_EQ(read->password, "secret");
    for (std::size_t size = 0; size < hello.size(); ++size) {
        EXPECT_FALSE(read_plain_hello(Bytes(hello).first(size))) << size;
    }
    hello.push_back(0);
    EXPECT_FALSE(read_plain_hello(hello));
    EXPECT_FALSE(write_plain_hello(writer, {std::string(256, 'a'), ""}));
}

} // namespace
} // namespace caisson::protocol::zmtp
