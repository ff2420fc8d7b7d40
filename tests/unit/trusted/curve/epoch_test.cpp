// What ends with time, and when the machine was copied, restored or moved.
#include "tests/unit/trusted/curve/curve_world.hpp"

namespace caisson::trusted::curve::test {
namespace {

namespace wire = protocol::curve;

struct Epoch : ::testing::Test, Talk {
    Buffer made_pair(std::uint32_t flags) { return ask(Request::box_keypair, join(u32(flags))).bytes; }
    static Bytes handle_of_pair(const Buffer& pair) { return Bytes(pair).subspan(32); }
    bool knows(Bytes handle) { return ask(Request::scalarmult_base, join(handle)).ok(); }
    Buffer session_key() // a client's, of the shim
    {
        const auto pair = made_pair(0);
        const auto nonce = wire::short_nonce(wire::hello_nonce, 1);
        EXPECT_TRUE(ask(Request::box, join(handle_of_pair(pair), server.public_key.bytes, nonce)).ok());
        return ask(Request::beforenm, join(handle_of_pair(pair), server.public_key.bytes)).bytes;
    }
    Said seal_with(const Buffer& key, std::uint64_t counter)
    {
        return ask(Request::box_afternm, join(key, wire::short_nonce(wire::message_to_server_nonce, counter)));
    }
    Said set_time(const protocol::SigningKey& key, std::uint64_t time_ms)
    {
        protocol::TimeNonce nonce;
        copy_bytes(nonce.bytes, ask(Request::time_nonce, {}).bytes);
        Buffer token(protocol::time_token_bytes_max);
        token.resize(*protocol::write_time_token(token, key, {nonce, time_ms, 30'000, 1000}));
        return ask(Request::accept_time_token, token);
    }
};

TEST_F(Epoch, a_new_epoch_ends_sessions_handshakes_cookies_and_session_keys_but_no_long_term_key) // [CURVE-50]
{
    complete();
    const auto key = session_key();
    ASSERT_TRUE(seal_with(key, 1).ok());
    const auto kept = server_session;
    const auto initiate = open_to_initiate();
    ASSERT_TRUE(ask(Request::new_epoch, {}).ok());
    EXPECT_TRUE(ask(Request::produce_message, join(kept, u32(0))).is(Kind::missing));
    EXPECT_TRUE(ask(Request::process_initiate, join(server.id, initiate)).is(Kind::unauthentic));
    EXPECT_TRUE(seal_with(key, 2).is(Kind::missing));
    complete();
    EXPECT_TRUE(ask(Request::produce_message, join(server_session, u32(0))).ok());
}
TEST_F(Epoch, a_new_epoch_ends_end_to_end_sessions_too) // [CURVE-50]
{
    const auto opened = ask(Request::e2e_open_client, join(client.id, u32(0), server.public_key.bytes));
    ASSERT_TRUE(opened.ok());
    ASSERT_TRUE(ask(Request::new_epoch, {}).ok());
    EXPECT_TRUE(ask(Request::e2e_produce_hello, opened.bytes).is(Kind::missing));
}
TEST_F(Epoch, a_tick_counter_that_goes_back_is_a_new_epoch) // [CURVE-50]
{
    complete();
    runtime.now -= std::uint64_t{1} << 23U;
    EXPECT_TRUE(ask(Request::produce_message, join(server_session, u32(0))).is(Kind::missing));
}
TEST_F(Epoch, processors_that_differ_a_little_end_nothing) // [CURVE-50]
{
    complete();
    runtime.now -= 1000;
    EXPECT_TRUE(ask(Request::produce_message, join(server_session, u32(0))).ok());
}
TEST_F(Epoch, a_machine_that_stood_still_has_a_new_epoch_with_the_next_token) // [CURVE-50]
{
    new_key(true);
    ASSERT_TRUE(set_time(verifier.secret, 10'000).ok());
    complete();
    runtime.now += 500'000; // a millisecond, on this machine
    ASSERT_TRUE(set_time(verifier.secret, 10'900).ok());
    EXPECT_TRUE(ask(Request::produce_message, join(server_session, u32(0))).ok()) << "a clock that was set a little";
    runtime.now += 500'000;
    ASSERT_TRUE(set_time(verifier.secret, 60'000).ok());
    EXPECT_TRUE(ask(Request::produce_message, join(server_session, u32(0))).is(Kind::missing));
}
TEST_F(Epoch, a_handshake_that_takes_too_long_is_over) // [CURVE-51]
{
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes)).bytes;
    const auto pair = made_pair(0);
    complete();
    runtime.now += handshake_ticks_max;
    EXPECT_TRUE(ask(Request::produce_hello, opened).ok());
    EXPECT_TRUE(knows(handle_of_pair(pair)));
    runtime.now += std::uint64_t{1} << 34U;
    EXPECT_TRUE(ask(Request::process_welcome, join(opened, Buffer(168))).is(Kind::missing));
    EXPECT_FALSE(knows(handle_of_pair(pair)));
    EXPECT_TRUE(ask(Request::produce_message, join(server_session, u32(0))).ok()) << "an open session stays";
}
TEST_F(Epoch, a_session_key_that_nobody_uses_for_a_day_ends) // [CURVE-51]
{
    const auto key = session_key();
    runtime.now += (std::uint64_t{1} << 48U) - 1;
    ASSERT_TRUE(seal_with(key, 1).ok());
    runtime.now += (std::uint64_t{1} << 48U) + 1;
    EXPECT_TRUE(seal_with(key, 2).is(Kind::missing));
}

struct LastingHandle : Epoch {
    Buffer sealed_key = ask(Request::create_handle_key, {}).bytes;
    LastingHandle() { EXPECT_TRUE(ask(Request::import_handle_key, sealed_key).ok()); }
};

TEST_F(LastingHandle, the_handle_of_a_lasting_pair_is_good_in_the_next_chamber_with_that_key) // [CURVE-36]
{
    const auto pair = made_pair(airlock::curve::keypair_lasting);
    restart();
    EXPECT_FALSE(knows(handle_of_pair(pair)));
    ASSERT_TRUE(ask(Request::import_handle_key, sealed_key).ok());
    EXPECT_EQ(ask(Request::scalarmult_base, join(handle_of_pair(pair))).bytes, join(Bytes(pair).first(32)));
}
TEST_F(LastingHandle, a_changed_handle_and_another_handle_key_know_nothing) // [CURVE-36]
{
    const auto pair = made_pair(airlock::curve::keypair_lasting);
    restart();
    ASSERT_TRUE(ask(Request::import_handle_key, sealed_key).ok());
    for (std::size_t octet = 32; octet < 64; ++octet) {
        auto changed = pair;
        changed[octet] = static_cast<std::uint8_t>(changed[octet] ^ 4U);
        EXPECT_FALSE(knows(handle_of_pair(changed))) << octet;
    }
    restart();
    ASSERT_TRUE(ask(Request::import_handle_key, ask(Request::create_handle_key, {}).bytes).ok());
    EXPECT_FALSE(knows(handle_of_pair(pair)));
}
TEST_F(LastingHandle, what_comes_back_from_its_handle_is_a_long_term_key_and_nothing_else) // [CURVE-36]
{
    const auto pair = made_pair(airlock::curve::keypair_lasting);
    const auto hello = wire::short_nonce(wire::hello_nonce, 1);
    ASSERT_TRUE(ask(Request::box, join(handle_of_pair(pair), server.public_key.bytes, hello)).ok());
    ASSERT_TRUE(ask(Request::new_epoch, {}).ok());
    EXPECT_TRUE(ask(Request::box, join(handle_of_pair(pair), server.public_key.bytes, hello)).is(Kind::forbidden));
    EXPECT_TRUE(ask(Request::beforenm, join(handle_of_pair(pair), server.public_key.bytes)).is(Kind::forbidden));
}
TEST_F(LastingHandle, a_pair_of_a_single_handshake_does_not_come_back) // [CURVE-36]
{
    const auto pair = made_pair(0);
    restart();
    ASSERT_TRUE(ask(Request::import_handle_key, sealed_key).ok());
    EXPECT_FALSE(knows(handle_of_pair(pair)));
}
TEST_F(LastingHandle, a_handle_key_that_was_altered_or_is_something_else_is_refused) // [CURVE-36]
{
    auto altered = sealed_key;
    altered.back() = static_cast<std::uint8_t>(altered.back() ^ 1U);
    EXPECT_TRUE(ask(Request::import_handle_key, altered).is(Kind::unauthentic));
    const auto made = ask(Request::create_key_pair, join(u32(0), ByteArray<32>{})).bytes;
    EXPECT_FALSE(ask(Request::import_handle_key, Buffer(made.begin() + 32, made.end())).ok());
}
TEST_F(Epoch, a_raw_secret_stands_for_itself_once_it_is_imported_as_a_long_term_key_only) // [CURVE-37]
{
    ByteArray<32> public_key, secret;
    crypto_box_keypair(public_key.data(), secret.data());
    EXPECT_FALSE(knows(secret));
    ASSERT_TRUE(ask(Request::import_raw, join(secret)).ok());
    ASSERT_TRUE(ask(Request::import_raw, join(secret)).ok());
    EXPECT_EQ(ask(Request::scalarmult_base, join(secret)).bytes, join(public_key));
    const auto hello = wire::short_nonce(wire::hello_nonce, 1);
    EXPECT_TRUE(ask(Request::box, join(secret, server.public_key.bytes, hello)).is(Kind::forbidden));
    EXPECT_TRUE(ask(Request::beforenm, join(secret, server.public_key.bytes)).is(Kind::forbidden));
}
TEST_F(Epoch, pieces_of_a_session_key_follow_the_same_counters) // [CURVE-34] [CURVE-40]
{
    const auto key = session_key();
    const auto begin = [&](std::uint64_t counter) {
        ByteArray<8> size{4};
        return ask(Request::box_afternm_begin,
                   join(key, wire::short_nonce(wire::message_to_server_nonce, counter), size));
    };
    EXPECT_TRUE(ask(Request::box_afternm_piece, join(key)).is(Kind::forbidden));
    ASSERT_TRUE(begin(5).ok());
    EXPECT_TRUE(begin(6).is(Kind::forbidden)) << "one at a time";
    EXPECT_TRUE(seal_with(key, 6).is(Kind::forbidden));
    EXPECT_TRUE(ask(Request::box_afternm_finish, join(key)).is(Kind::malformed)) << "4 octets were announced";
    EXPECT_TRUE(begin(5).is(Kind::forbidden)) << "its counter is used up";
    ASSERT_TRUE(begin(6).ok());
    EXPECT_TRUE(ask(Request::box_afternm_piece, join(key, Buffer(5))).is(Kind::malformed));
    ASSERT_TRUE(begin(7).ok());
    ASSERT_TRUE(ask(Request::box_afternm_piece, join(key, Buffer(4))).ok());
    EXPECT_EQ(ask(Request::box_afternm_finish, join(key)).bytes.size(), 16U);
    EXPECT_TRUE(seal_with(key, 8).ok());
}

} // namespace
} // namespace caisson::trusted::curve::test
