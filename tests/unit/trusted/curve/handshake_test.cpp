#include "tests/unit/trusted/curve/curve_world.hpp"

namespace caisson::trusted::curve::test {
namespace {

struct Handshake : ::testing::Test, World {
    Key server = new_key(false);
    Key client = new_key(false);
    ByteArray<4> client_session{};
    ByteArray<4> server_session{};

    Buffer open_to_initiate()
    {
        const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
        copy_bytes(client_session, opened.bytes);
        const auto hello = ask(Request::produce_hello, join(client_session));
        const auto welcome = ask(Request::process_hello, join(server.id, hello.bytes));
        EXPECT_TRUE(ask(Request::process_welcome, join(client_session, welcome.bytes)).ok());
        return ask(Request::produce_initiate, join(client_session)).bytes;
    }
    void complete()
    {
        const auto accepted = ask(Request::process_initiate, join(server.id, open_to_initiate()));
        ASSERT_TRUE(accepted.ok());
        ASSERT_EQ(Buffer(accepted.bytes.begin() + 4, accepted.bytes.begin() + 36), join(client.public_key.bytes));
        copy_bytes(server_session, Bytes(accepted.bytes).first(4));
        const auto ready = ask(Request::produce_ready, join(server_session));
        ASSERT_TRUE(ask(Request::process_ready, join(client_session, ready.bytes)).ok());
    }
    Buffer message(std::string_view text)
    {
        return ask(Request::produce_message, join(client_session, u32(0), bytes_of(text))).bytes;
    }
};

TEST_F(Handshake, a_client_and_a_server_talk_both_ways)
{
    complete();
    const auto there = ask(Request::process_message, join(server_session, message("hello")));
    EXPECT_EQ(there.bytes, join(u32(0), bytes_of("hello")));
    const auto back = ask(Request::produce_message, join(server_session, u32(1), bytes_of("yes")));
    EXPECT_EQ(ask(Request::process_message, join(client_session, back.bytes)).bytes, join(u32(1), bytes_of("yes")));
}
TEST_F(Handshake, no_changed_or_shortened_hello_is_welcomed) // [CURVE-6]
{
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
    const auto hello = ask(Request::produce_hello, opened.bytes).bytes;
    for (std::size_t octet = 0; octet < hello.size(); ++octet) {
        auto changed = hello;
        changed[octet] = static_cast<std::uint8_t>(changed[octet] ^ 1U);
        EXPECT_FALSE(ask(Request::process_hello, join(server.id, changed)).ok()) << octet;
        EXPECT_FALSE(ask(Request::process_hello, join(server.id, Bytes(hello).first(octet))).ok()) << octet;
    }
}
TEST_F(Handshake, no_changed_initiate_opens_a_session) // [CURVE-12]
{
    for (std::size_t octet = 0; octet < 257; octet += 7) {
        auto changed = open_to_initiate();
        changed[octet] = static_cast<std::uint8_t>(changed[octet] ^ 1U);
        EXPECT_FALSE(ask(Request::process_initiate, join(server.id, changed)).ok()) << octet;
    }
}
TEST_F(Handshake, a_cookie_is_good_once) // [CURVE-8]
{
    const auto initiate = open_to_initiate();
    ASSERT_TRUE(ask(Request::process_initiate, join(server.id, initiate)).ok());
    EXPECT_TRUE(ask(Request::process_initiate, join(server.id, initiate)).is(Kind::expired));
}
TEST_F(Handshake, an_initiate_for_another_server_key_is_refused) // [CURVE-12]
{
    const auto other = new_key(false);
    EXPECT_TRUE(ask(Request::process_initiate, join(other.id, open_to_initiate())).is(Kind::unauthentic));
}
TEST_F(Handshake, a_message_is_opened_once_and_never_after_a_later_one) // [CURVE-13]
{
    complete();
    const auto first = message("1");
    const auto second = message("2");
    ASSERT_TRUE(ask(Request::process_message, join(server_session, second)).ok());
    EXPECT_FALSE(ask(Request::process_message, join(server_session, second)).ok());
    EXPECT_FALSE(ask(Request::process_message, join(server_session, first)).ok());
}
TEST_F(Handshake, no_changed_message_is_opened) // [CURVE-15]
{
    complete();
    const auto body = message("text");
    for (std::size_t bit = 0; bit < body.size() * 8; ++bit) {
        auto changed = body;
        changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1U << (bit % 8)));
        EXPECT_FALSE(ask(Request::process_message, join(server_session, changed)).ok()) << bit;
    }
}
TEST_F(Handshake, steps_out_of_order_are_refused_at_the_door) // [CURVE-1]
{
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
    EXPECT_NE(ask(Request::produce_message, join(opened.bytes, u32(0))).refusal, airlock::Refusal::none);
    EXPECT_NE(ask(Request::produce_initiate, opened.bytes).refusal, airlock::Refusal::none);
    EXPECT_NE(ask(Request::produce_ready, opened.bytes).refusal, airlock::Refusal::none);
}
TEST_F(Handshake, forgetting_a_key_ends_its_sessions)
{
    complete();
    ASSERT_TRUE(ask(Request::forget_key, join(server.id)).ok());
    EXPECT_FALSE(ask(Request::process_message, join(server_session, message("x"))).ok());
}
TEST_F(Handshake, a_gated_server_admits_nobody_without_a_result) // [CURVE-25]
{
    server = new_key(true);
    const auto said = ask(Request::process_initiate, join(server.id, open_to_initiate()));
    ASSERT_TRUE(said.ok());
    EXPECT_EQ(Buffer(said.bytes.begin() + 36, said.bytes.begin() + 40), join(u32(0)));
}

} // namespace
} // namespace caisson::trusted::curve::test
