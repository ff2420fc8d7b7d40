#include "protocol/zmtp.hpp"
#include "tests/unit/trusted/curve/curve_world.hpp"

namespace caisson::trusted::curve::test {
namespace {

namespace wire = protocol::curve;

struct Handshake : ::testing::Test, Talk {};

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
TEST_F(Handshake, no_changed_or_shortened_message_is_opened_and_the_session_ends) // [CURVE-15] [CURVE-2]
{
    for (std::size_t octet = 0; octet < 37; ++octet) {
        complete();
        auto changed = message("text");
        ASSERT_EQ(changed.size(), 37U);
        changed[octet] = static_cast<std::uint8_t>(changed[octet] ^ (1U << (octet % 8)));
        EXPECT_FALSE(ask(Request::process_message, join(server_session, changed)).ok()) << octet;
        EXPECT_TRUE(ask(Request::process_message, join(server_session, message("text"))).is(Kind::missing));
        complete();
        const auto whole = message("text");
        EXPECT_FALSE(ask(Request::process_message, join(server_session, Bytes(whole).first(octet))).ok()) << octet;
    }
}
TEST_F(Handshake, unknown_flags_are_refused) // [CURVE-15]
{
    complete();
    EXPECT_TRUE(ask(Request::produce_message, join(client_session, u32(4))).is(Kind::malformed));
    EXPECT_TRUE(ask(Request::produce_message, join(client_session, u32(257))).is(Kind::malformed));
}
TEST_F(Handshake, a_message_above_the_limit_is_refused) // [CURVE-15]
{
    complete();
    const auto produce = [this](std::size_t size) {
        return ask(Request::produce_message, join(client_session, u32(0), Buffer(size)));
    };
    EXPECT_TRUE(produce(airlock::message_bytes_max).ok());
    EXPECT_TRUE(produce(airlock::message_bytes_max + 1).is(Kind::malformed));
}
TEST_F(Handshake, messages_of_one_side_do_not_open_on_it) // [CURVE-15]
{
    complete();
    EXPECT_TRUE(ask(Request::process_message, join(client_session, message("x"))).is(Kind::unauthentic));
}
TEST_F(Handshake, messages_count_on_from_the_handshake) // [CURVE-13]
{
    complete();
    const auto counter_at = [](const Buffer& body) { return body[body.size() - 1 - 17]; };
    EXPECT_EQ(counter_at(message("")), 3);                                                       // HELLO 1, INITIATE 2
    EXPECT_EQ(counter_at(ask(Request::produce_message, join(server_session, u32(0))).bytes), 2); // READY 1
}
TEST_F(Handshake, an_initiate_whose_nonce_is_not_above_the_hellos_opens_no_session) // [CURVE-13]
{
    Cookies cookies;
    Transients transients;
    tests::TestArena room;
    Sessions sessions(room.arena());
    Handshakes handshakes({runtime, cookies, transients}, sessions);
    const auto says = [&](std::uint64_t hello_counter) {
        Session session;
        LongTermKey own;
        own.public_key = make_key_pair(runtime, own.secret);
        session.peer = server.public_key;
        session.own_transient = make_key_pair(runtime, session.transient);
        ByteArray<8> counter{};
        Writer(counter).write_be(hello_counter);
        Buffer box(wire::hello_zeros_bytes + 16);
        auto key = shared_key(server.public_key, session.transient);
        seal_box(box.data(), ByteArray<wire::hello_zeros_bytes>{}, wire::short_nonce(wire::hello_nonce, hello_counter),
                 *key);
        const auto hello = join(bytes_of(wire::HELLO), ByteArray<2>{1, 0}, ByteArray<wire::hello_padding_bytes>{},
                                session.own_transient.bytes, counter, box);
        const auto welcome = ask(Request::process_hello, join(server.id, hello));
        EXPECT_TRUE(welcome.ok());
        session.key = std::move(*key);
        Buffer initiate(wire::initiate_bytes_min); // its counter is 2
        auto to_welcome = join(u32(0), welcome.bytes);
        auto to_initiate = join(u32(0));
        airlock::Exchange steps[2];
        steps[0].input = to_welcome;
        steps[1].input = to_initiate;
        steps[1].output = initiate;
        EXPECT_TRUE(handshakes.add_process_welcome(steps[0], session));
        handshakes.run();
        EXPECT_TRUE(handshakes.add_produce_initiate(steps[1], session, own));
        handshakes.run();
        EXPECT_TRUE(steps[0].answer.result && steps[1].answer.result);
        return ask(Request::process_initiate, join(server.id, initiate));
    };
    EXPECT_TRUE(says(0).ok());
    EXPECT_TRUE(says(1).ok());
    for (const std::uint64_t counter : {std::uint64_t{2}, std::uint64_t{9}, UINT64_MAX}) {
        EXPECT_TRUE(says(counter).is(Kind::malformed)) << counter;
    }
}
TEST_F(Handshake, a_welcome_that_fails_ends_the_session) // [CURVE-2]
{
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
    const auto hello = ask(Request::produce_hello, opened.bytes);
    const auto welcome = ask(Request::process_hello, join(server.id, hello.bytes)).bytes;
    auto changed = welcome;
    changed[100] = static_cast<std::uint8_t>(changed[100] ^ 1U);
    EXPECT_TRUE(ask(Request::process_welcome, join(opened.bytes, changed)).is(Kind::unauthentic));
    EXPECT_TRUE(ask(Request::process_welcome, join(opened.bytes, welcome)).is(Kind::missing));
}
TEST_F(Handshake, a_ready_that_fails_ends_the_session) // [CURVE-2]
{
    const auto accepted = ask(Request::process_initiate, join(server.id, open_to_initiate()));
    copy_bytes(server_session, Bytes(accepted.bytes).first(4));
    const auto ready = ask(Request::produce_ready, join(server_session)).bytes;
    auto changed = ready;
    changed.back() = static_cast<std::uint8_t>(changed.back() ^ 1U);
    EXPECT_TRUE(ask(Request::process_ready, join(client_session, changed)).is(Kind::unauthentic));
    EXPECT_TRUE(ask(Request::process_ready, join(client_session, ready)).is(Kind::missing));
}
TEST_F(Handshake, hello_is_the_rfcs) // [CURVE-5]
{
    ByteArray<32> public_key, secret, transient;
    crypto_box_keypair(public_key.data(), secret.data());
    const auto opened = ask(Request::open_client, join(client.id, public_key));
    const auto hello = ask(Request::produce_hello, opened.bytes).bytes;
    ASSERT_EQ(hello.size(), wire::hello_bytes);
    const auto padding = ByteArray<wire::hello_padding_bytes>{};
    EXPECT_EQ(Buffer(hello.begin(), hello.begin() + 80), join(bytes_of(wire::HELLO), ByteArray<2>{1, 0}, padding));
    copy_bytes(transient, Bytes(hello).subspan(80, 32));
    EXPECT_EQ(Buffer(hello.begin() + 112, hello.begin() + 120), Buffer({0, 0, 0, 0, 0, 0, 0, 1}));
    Buffer zeros(64, 9);
    const auto nonce = wire::short_nonce(wire::hello_nonce, 1);
    EXPECT_EQ(crypto_box_open_easy(zeros.data(), hello.data() + 120, 80, nonce.data(), transient.data(), secret.data()),
              0);
    EXPECT_EQ(zeros, Buffer(64));
}
TEST_F(Handshake, a_welcome_is_new_each_time_and_smaller_than_the_hello) // [CURVE-7]
{
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
    const auto hello = ask(Request::produce_hello, opened.bytes).bytes;
    const auto first = ask(Request::process_hello, join(server.id, hello)).bytes;
    const auto second = ask(Request::process_hello, join(server.id, hello)).bytes;
    EXPECT_LT(first.size(), hello.size());
    EXPECT_NE(first, second);
}
TEST_F(Handshake, a_client_takes_one_welcome) // [CURVE-1]
{
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
    const auto hello = ask(Request::produce_hello, opened.bytes).bytes;
    const auto first = ask(Request::process_hello, join(server.id, hello)).bytes;
    const auto second = ask(Request::process_hello, join(server.id, hello)).bytes;
    ASSERT_TRUE(ask(Request::process_welcome, join(opened.bytes, first)).ok());
    EXPECT_EQ(ask(Request::process_welcome, join(opened.bytes, second)).refusal, airlock::Refusal::not_in_this_state);
}
TEST_F(Handshake, the_client_key_and_the_metadata_arrive) // [CURVE-11]
{
    Buffer metadata(256);
    Writer writer(metadata);
    protocol::zmtp::write_property(writer, "Socket-Type", bytes_of("DEALER"));
    metadata.resize(*writer.finish());
    const auto accepted = ask(Request::process_initiate, join(server.id, open_to_initiate(metadata)));
    ASSERT_TRUE(accepted.ok());
    EXPECT_EQ(Buffer(accepted.bytes.begin() + 4, accepted.bytes.begin() + 36), join(client.public_key.bytes));
    EXPECT_EQ(Buffer(accepted.bytes.begin() + 40, accepted.bytes.end()), metadata);
}
TEST_F(Handshake, an_initiate_is_made_once) // [CURVE-1]
{
    open_to_initiate();
    for (const auto request : {Request::produce_initiate, Request::produce_hello}) {
        EXPECT_EQ(ask(request, join(client_session)).refusal, airlock::Refusal::not_in_this_state);
    }
}
// What a chamber still holds of a handshake's secrets; they are known because the runtime draws the same in each run.
struct Wiping : Handshake {
    struct Transient {
        TransientSeed seed;
        CurveSecretKey secret;
    };
    // The pair with this public key.
    static Transient drawn(Bytes public_key)
    {
        CurveRuntime again;
        for (int draw = 0; draw < 200; ++draw) {
            Transient one;
            again.random(one.seed.expose());
            one.secret = transient_of(one.seed);
            if (same_bytes(public_key_of(one.secret).bytes, public_key)) {
                return one;
            }
        }
        ADD_FAILURE() << "no such key was drawn";
        return {};
    }
    [[nodiscard]] bool holds(Bytes octets) const
    {
        const Bytes whole(reinterpret_cast<const std::uint8_t*>(chamber.get()), sizeof *chamber);
        return std::search(whole.begin(), whole.end(), octets.begin(), octets.end()) != whole.end() ||
               arena.holds(octets);
    }
};

TEST_F(Wiping, the_transient_keys_and_the_cookie_are_nowhere_in_the_chamber_after_their_steps) // [CURVE-14]
{
    copy_bytes(client_session, ask(Request::open_client, join(client.id, server.public_key.bytes)).bytes);
    const auto hello = ask(Request::produce_hello, join(client_session)).bytes;
    const auto of_client = drawn(Bytes(hello).subspan(80, CurveKey::size));
    EXPECT_TRUE(holds(of_client.secret.expose())) << "the search finds what is there";
    const auto welcome = ask(Request::process_hello, join(server.id, hello)).bytes;
    wire::Nonce nonce = wire::long_nonce(wire::welcome_nonce, ByteArray<16>{});
    copy_bytes(MutableBytes(nonce).subspan(8), Bytes(welcome).subspan(8, 16));
    ByteArray<CurveKey::size + wire::cookie_bytes> content;
    ASSERT_EQ(crypto_box_open_easy(content.data(), welcome.data() + 24, content.size() + 16, nonce.data(),
                                   server.public_key.bytes.data(), of_client.secret.expose().data()),
              0);
    const auto of_server = drawn(Bytes(content).first(CurveKey::size));
    const auto cookie = Bytes(content).subspan(CurveKey::size);
    EXPECT_FALSE(holds(of_server.secret.expose())) << "between WELCOME and INITIATE it is in the cookie alone";
    ASSERT_TRUE(ask(Request::process_welcome, join(client_session, welcome)).ok());
    EXPECT_TRUE(holds(cookie));
    const auto initiate = ask(Request::produce_initiate, join(client_session)).bytes;
    ASSERT_FALSE(initiate.empty());
    EXPECT_FALSE(holds(of_client.secret.expose()) || holds(of_client.seed.expose()) || holds(cookie));
    ASSERT_TRUE(ask(Request::process_initiate, join(server.id, initiate)).ok());
    EXPECT_FALSE(holds(of_server.secret.expose()) || holds(of_server.seed.expose()));
}
TEST_F(Handshake, malformed_metadata_is_neither_sent_nor_taken) // [CURVE-16]
{
    const std::vector<Buffer> wrong{{0, 0, 0, 0, 0},
                                    {1, ' ', 0, 0, 0, 0},
                                    {1, 'a', 0, 0, 0, 1},
                                    {1, 'a', 0, 0, 0},
                                    {2, 'a'},
                                    {1, 'a', 0xff, 0xff, 0xff, 0xff},
                                    {1, 'a', 0, 0, 0, 0, 7}};
    for (const auto& metadata : wrong) {
        EXPECT_FALSE(check_metadata(metadata)) << ::testing::PrintToString(metadata);
        EXPECT_TRUE(open_to_initiate(metadata).empty());
    }
    EXPECT_FALSE(check_metadata(Buffer(airlock::curve::metadata_bytes_max + 1)));
    EXPECT_TRUE(check_metadata(Buffer{1, 'a', 0, 0, 0, 0}));
    EXPECT_TRUE(check_metadata({}));
}
TEST_F(Handshake, an_error_ends_the_session_and_its_reason_is_made_printable) // [CURVE-17]
{
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
    static_cast<void>(ask(Request::produce_hello, opened.bytes));
    const auto said = ask(Request::process_error, join(opened.bytes, bytes_of(wire::ERROR),
                                                       bytes_of("\x05"
                                                                "4\n\x1b"
                                                                "\xff"
                                                                "0")));
    EXPECT_EQ(said.bytes, join(bytes_of("4???0")));
    EXPECT_TRUE(ask(Request::close_session, opened.bytes).is(Kind::missing));
}
TEST_F(Handshake, an_error_means_nothing_in_an_open_session) // [CURVE-17]
{
    complete();
    const auto said = ask(Request::process_error, join(client_session, bytes_of(wire::ERROR),
                                                       bytes_of("\x03"
                                                                "400")));
    EXPECT_EQ(said.refusal, airlock::Refusal::not_in_this_state);
    EXPECT_FALSE(message("x").empty());
}
TEST_F(Handshake, a_request_of_another_number_or_size_is_refused_at_the_door) // [CURVE-1]
{
    EXPECT_EQ(ask(static_cast<Request>(99), {}).refusal, airlock::Refusal::no_such_request);
    EXPECT_EQ(ask(Request::create_key_pair, Buffer(35)).refusal, airlock::Refusal::bad_size);
    EXPECT_EQ(ask(Request::create_key_pair, Buffer(69)).refusal, airlock::Refusal::bad_size);
    EXPECT_TRUE(ask(Request::create_key_pair, join(u32(1), Buffer(33, 7))).is(Kind::malformed));
}
TEST_F(Handshake, steps_out_of_order_are_refused_at_the_door) // [CURVE-1]
{
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
    EXPECT_NE(ask(Request::produce_message, join(opened.bytes, u32(0))).refusal, airlock::Refusal::none);
    EXPECT_NE(ask(Request::produce_initiate, opened.bytes).refusal, airlock::Refusal::none);
    EXPECT_NE(ask(Request::produce_ready, opened.bytes).refusal, airlock::Refusal::none);
}
TEST_F(Handshake, forgetting_a_key_ends_its_sessions) // [CURVE-26]
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
