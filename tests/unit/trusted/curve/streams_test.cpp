#include "tests/unit/trusted/curve/curve_world.hpp"

namespace caisson::trusted::curve::test {
namespace {

namespace wire = protocol::curve;
constexpr std::size_t head_bytes = airlock::curve::message_head_bytes;

ByteArray<8> u64(std::uint64_t value)
{
    ByteArray<8> bytes;
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

Buffer text_of_size(std::size_t size)
{
    Buffer text(size);
    for (std::size_t index = 0; index < size; ++index) {
        text[index] = static_cast<std::uint8_t>(index * 7 + index / 251);
    }
    return text;
}

struct Streaming : ::testing::Test, Talk {
    Streaming() { complete(); }

    Said begin_to(const ByteArray<4>& session, std::size_t size, std::uint32_t flags = 0)
    {
        return ask(Request::produce_message_begin, join(session, u32(flags), u64(size)));
    }
    // The whole MESSAGE of the client, made in pieces.
    Buffer made_in_pieces(const Buffer& text, std::size_t piece_bytes, std::uint32_t flags = 0)
    {
        auto body = begin_to(client_session, text.size(), flags).bytes;
        EXPECT_EQ(body.size(), head_bytes);
        for (std::size_t at = 0; at < text.size(); at += piece_bytes) {
            const auto piece = Bytes(text).subspan(at, std::min(piece_bytes, text.size() - at));
            const auto said = ask(Request::produce_message_piece, join(client_session, piece));
            EXPECT_TRUE(said.ok());
            body = join(body, said.bytes);
        }
        const auto tag = ask(Request::produce_message_finish, join(client_session));
        EXPECT_TRUE(tag.ok());
        std::copy(tag.bytes.begin(), tag.bytes.end(), body.begin() + 16);
        return body;
    }
    Said begin_from(const Buffer& body)
    {
        return ask(Request::process_message_begin,
                   join(server_session, u64(body.size() - head_bytes), Bytes(body).first(head_bytes)));
    }
    Said piece_from(Bytes piece) { return ask(Request::process_message_piece, join(server_session, piece)); }
    Said finish_from() { return ask(Request::process_message_finish, join(server_session)); }
};

TEST_F(Streaming, a_message_made_in_pieces_is_that_of_one_call_however_it_is_cut) // [CURVE-40]
{
    for (const std::size_t size : {0U, 1U, 31U, 32U, 1000U, 70'000U}) {
        const auto text = text_of_size(size);
        for (const std::size_t piece : {1000U, 4096U, 65'536U}) {
            const auto opened = ask(Request::process_message, join(server_session, made_in_pieces(text, piece, 1)));
            ASSERT_TRUE(opened.ok()) << size;
            EXPECT_EQ(opened.bytes, join(u32(1), text)) << size;
        }
    }
}
TEST_F(Streaming, a_message_of_one_call_is_opened_in_pieces) // [CURVE-41]
{
    const auto text = text_of_size(50'001);
    const auto made = ask(Request::produce_message, join(client_session, u32(3), text)).bytes;
    ASSERT_TRUE(begin_from(made).ok());
    Buffer opened;
    for (std::size_t at = head_bytes; at < made.size(); at += 4099) {
        opened = join(opened, piece_from(Bytes(made).subspan(at, std::min<std::size_t>(4099, made.size() - at))).bytes);
    }
    EXPECT_EQ(finish_from().bytes, join(u32(3)));
    EXPECT_EQ(opened, text);
    EXPECT_TRUE(ask(Request::process_message, join(server_session, message("after"))).ok());
}
TEST_F(Streaming, an_altered_octet_anywhere_is_found_at_the_end_and_ends_the_session) // [CURVE-41]
{
    for (const std::size_t octet : {8U, 15U, 16U, 31U, 32U, 33U, 64U, 999U}) {
        complete();
        auto body = made_in_pieces(text_of_size(1000), 300);
        body[octet] = static_cast<std::uint8_t>(body[octet] ^ 4U);
        ASSERT_TRUE(begin_from(body).ok()) << octet;
        ASSERT_TRUE(piece_from(Bytes(body).subspan(head_bytes)).ok()) << octet;
        EXPECT_TRUE(finish_from().is(Kind::unauthentic)) << octet;
        EXPECT_TRUE(finish_from().is(Kind::missing)) << octet;
    }
}
TEST_F(Streaming, less_or_more_than_was_announced_ends_the_session) // [CURVE-40] [CURVE-41]
{
    auto body = made_in_pieces(text_of_size(1000), 300);
    ASSERT_TRUE(begin_from(body).ok());
    ASSERT_TRUE(piece_from(Bytes(body).subspan(head_bytes, 999)).ok());
    EXPECT_TRUE(finish_from().is(Kind::malformed));
    EXPECT_TRUE(finish_from().is(Kind::missing));

    complete();
    ASSERT_TRUE(begin_to(client_session, 10).ok());
    EXPECT_TRUE(ask(Request::produce_message_piece, join(client_session, Buffer(11))).is(Kind::malformed));
    EXPECT_TRUE(ask(Request::produce_message_finish, join(client_session)).is(Kind::missing));
}
TEST_F(Streaming, nothing_else_goes_the_way_of_an_unfinished_message_but_the_other_way_is_free) // [CURVE-40]
{
    ASSERT_TRUE(begin_to(client_session, 10).ok());
    const auto barred = airlock::Refusal::not_in_this_state;
    EXPECT_EQ(ask(Request::produce_message, join(client_session, u32(0))).refusal, barred);
    EXPECT_EQ(begin_to(client_session, 10).refusal, barred);
    EXPECT_EQ(ask(Request::process_message_piece, join(client_session)).refusal, barred);
    EXPECT_EQ(ask(Request::process_message_finish, join(client_session)).refusal, barred);
    const auto back = ask(Request::produce_message, join(server_session, u32(0), bytes_of("back"))).bytes;
    EXPECT_TRUE(ask(Request::process_message, join(client_session, back)).ok());
    EXPECT_TRUE(ask(Request::produce_message_piece, join(client_session, Buffer(10))).ok());
    EXPECT_TRUE(ask(Request::produce_message_finish, join(client_session)).ok());
    EXPECT_TRUE(ask(Request::produce_message, join(client_session, u32(0))).ok());
}
TEST_F(Streaming, pieces_without_a_beginning_are_refused) // [CURVE-1] [CURVE-40]
{
    for (const auto request : {Request::produce_message_piece, Request::produce_message_finish,
                               Request::process_message_piece, Request::process_message_finish}) {
        EXPECT_EQ(ask(request, join(client_session)).refusal, airlock::Refusal::not_in_this_state);
    }
}
TEST_F(Streaming, the_counter_of_a_message_in_pieces_is_used_once) // [CURVE-13] [CURVE-40]
{
    const auto body = made_in_pieces(text_of_size(100), 100);
    ASSERT_TRUE(begin_from(body).ok());
    ASSERT_TRUE(piece_from(Bytes(body).subspan(head_bytes)).ok());
    ASSERT_TRUE(finish_from().ok());
    EXPECT_TRUE(begin_from(body).is(Kind::malformed));
}
TEST_F(Streaming, a_full_table_refuses_for_now_and_ends_no_session) // [CURVE-42]
{
    std::vector<ByteArray<4>> sessions;
    for (std::size_t count = 0; count < airlock::curve::streams_max; ++count) {
        complete();
        sessions.push_back(client_session);
        ASSERT_TRUE(begin_to(client_session, 10).ok()) << count;
    }
    complete();
    EXPECT_TRUE(begin_to(client_session, 10).is(Kind::exhausted));
    EXPECT_TRUE(begin_from(message("whole")).is(Kind::exhausted));
    ASSERT_TRUE(ask(Request::close_session, join(sessions.front())).ok());
    EXPECT_TRUE(begin_to(client_session, 10).ok());
}
TEST_F(Streaming, a_message_larger_than_any_may_be_is_refused) // [CURVE-42]
{
    const auto size = airlock::curve::streamed_bytes_max;
    EXPECT_TRUE(ask(Request::produce_message_begin, join(client_session, u32(0), u64(size))).is(Kind::exhausted));
    EXPECT_TRUE(ask(Request::produce_message_begin, join(client_session, u32(4), u64(1))).is(Kind::malformed));
}

} // namespace
} // namespace caisson::trusted::curve::test
