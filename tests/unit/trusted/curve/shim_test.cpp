#include "protocol/curve.hpp"
#include "tests/unit/trusted/curve/curve_world.hpp"

namespace caisson::trusted::curve::test {
namespace {

namespace wire = protocol::curve;

struct ShimServer : ::testing::Test, World {
    Key server = new_key(false);
    CurveKey transient_key;
    Handle transient;
    ByteArray<32> client_public, client_secret, own_public, own_secret; // C', c', C, c

    ShimServer()
    {
        make_transient();
        crypto_box_keypair(client_public.data(), client_secret.data());
        crypto_box_keypair(own_public.data(), own_secret.data());
        EXPECT_TRUE(say_welcome(server, transient_key.bytes).ok());
    }
    void make_transient()
    {
        const auto pair = ask(Request::box_keypair, {});
        copy_bytes(transient_key.bytes, Bytes(pair.bytes).first(32));
        copy_bytes(transient.bytes, Bytes(pair.bytes).subspan(32));
    }
    void serve_with(const Key& key)
    {
        server = key;
        make_transient();
        ASSERT_TRUE(say_welcome(server, transient_key.bytes).ok());
    }
    Said say_welcome(const Key& key, Bytes named_transient)
    {
        const auto nonce = wire::long_nonce(wire::welcome_nonce, ByteArray<16>{2});
        return ask(Request::box,
                   join(key.handle.bytes, client_public, nonce, named_transient, ByteArray<wire::cookie_bytes>{}));
    }
    Buffer sealed(Bytes text, const wire::Nonce& nonce, const ByteArray<32>& secret)
    {
        Buffer box(text.size() + 16);
        EXPECT_EQ(crypto_box_easy(box.data(), text.data(), text.size(), nonce.data(), transient_key.bytes.data(),
                                  secret.data()),
                  0);
        return box;
    }
    Said open_initiate()
    {
        const auto nonce = wire::short_nonce(wire::initiate_nonce, 2);
        return ask(Request::box_open,
                   join(transient.bytes, client_public, nonce, sealed(own_public, nonce, client_secret)));
    }
    Said open_vouch(const ByteArray<32>& named_transient, const ByteArray<32>& named_server)
    {
        const auto nonce = wire::long_nonce(wire::vouch_nonce, ByteArray<16>{1});
        return ask(Request::box_open, join(transient.bytes, own_public, nonce,
                                           sealed(join(named_transient, named_server), nonce, own_secret)));
    }
    Said open_vouch(const ByteArray<32>& named_transient)
    {
        return open_vouch(named_transient, server.public_key.bytes);
    }
    Said session_with(const ByteArray<32>& key) { return ask(Request::beforenm, join(transient.bytes, key)); }
    Buffer open_session()
    {
        EXPECT_TRUE(open_initiate().ok());
        EXPECT_TRUE(open_vouch(client_public).ok());
        return session_with(client_public).bytes;
    }
};

TEST_F(ShimServer, a_vouched_client_gets_a_session_key_and_the_transient_key_ends) // [CURVE-33]
{
    ASSERT_TRUE(open_initiate().ok());
    ASSERT_TRUE(open_vouch(client_public).ok());
    ASSERT_TRUE(session_with(client_public).ok());
    EXPECT_TRUE(session_with(client_public).is(Kind::missing));
}
TEST_F(ShimServer, a_vouch_for_another_transient_key_is_unauthentic) // [CURVE-32]
{
    ASSERT_TRUE(open_initiate().ok());
    EXPECT_TRUE(open_vouch(own_public).is(Kind::unauthentic));
    EXPECT_TRUE(session_with(client_public).is(Kind::forbidden));
}
TEST_F(ShimServer, the_session_key_is_only_for_the_vouched_transient_key) // [CURVE-32]
{
    ASSERT_TRUE(open_initiate().ok());
    ASSERT_TRUE(open_vouch(client_public).ok());
    EXPECT_TRUE(session_with(own_public).is(Kind::forbidden));
}
TEST_F(ShimServer, no_session_key_before_the_vouch) // [CURVE-30]
{
    ASSERT_TRUE(open_initiate().ok());
    EXPECT_TRUE(session_with(client_public).is(Kind::forbidden));
}
TEST_F(ShimServer, a_long_term_key_signs_nothing_but_welcome_and_vouch) // [CURVE-30]
{
    for (const auto prefix :
         {wire::hello_nonce, wire::initiate_nonce, wire::message_to_client_nonce, wire::cookie_nonce}) {
        wire::Nonce nonce{};
        copy_bytes(nonce, bytes_of(prefix));
        EXPECT_TRUE(ask(Request::box, join(server.handle.bytes, client_public, nonce)).is(Kind::forbidden)) << prefix;
    }
}
TEST_F(ShimServer, a_vouch_for_another_server_key_of_the_chamber_is_unauthentic) // [CURVE-32]
{
    const auto other = new_key(false);
    ASSERT_TRUE(open_initiate().ok());
    EXPECT_TRUE(open_vouch(client_public, other.public_key.bytes).is(Kind::unauthentic));
    EXPECT_TRUE(session_with(client_public).is(Kind::forbidden));
}
TEST_F(ShimServer, no_vouch_before_the_initiate_and_none_twice) // [CURVE-30]
{
    EXPECT_TRUE(open_vouch(client_public).is(Kind::forbidden));
    ASSERT_TRUE(open_initiate().ok());
    EXPECT_TRUE(open_initiate().is(Kind::forbidden));
    ASSERT_TRUE(open_vouch(client_public).ok());
    EXPECT_TRUE(open_vouch(client_public).is(Kind::forbidden));
}
TEST_F(ShimServer, a_welcome_is_only_for_a_transient_key_of_the_chamber_and_once) // [CURVE-35]
{
    EXPECT_TRUE(say_welcome(server, own_public).is(Kind::expired));
    EXPECT_TRUE(say_welcome(server, transient_key.bytes).is(Kind::forbidden));
    EXPECT_TRUE(say_welcome(server, {}).is(Kind::malformed));
}
TEST_F(ShimServer, a_servers_transient_key_is_nothing_else) // [CURVE-31]
{
    for (const auto prefix : {wire::hello_nonce, wire::initiate_nonce, wire::welcome_nonce, wire::vouch_nonce}) {
        wire::Nonce nonce{};
        copy_bytes(nonce, bytes_of(prefix));
        EXPECT_TRUE(ask(Request::box, join(transient.bytes, client_public, nonce)).is(Kind::forbidden)) << prefix;
    }
}
TEST_F(ShimServer, forgetting_the_server_key_leaves_no_ungated_way_in) // [CURVE-26]
{
    serve_with(new_key(true));
    ASSERT_TRUE(open_initiate().ok());
    ASSERT_TRUE(open_vouch(client_public).is(Kind::expired)); // nobody vouches for the client's node
    ASSERT_TRUE(ask(Request::forget_key, join(server.id)).ok());
    EXPECT_TRUE(session_with(client_public).is(Kind::missing));
}
TEST_F(ShimServer, forgetting_the_server_key_ends_its_session_keys) // [CURVE-26]
{
    const auto key = open_session();
    ASSERT_TRUE(ask(Request::forget_key, join(server.id)).ok());
    EXPECT_TRUE(ask(Request::box_afternm, join(key, wire::short_nonce(wire::ready_nonce, 1))).is(Kind::missing));
}
TEST_F(ShimServer, a_gated_session_key_seals_and_opens_nothing_for_an_untrusted_peer) // [CURVE-34]
{
    for (const auto request : {Request::box_afternm, Request::box_open_afternm}) {
        serve_with(new_key(true));
        ASSERT_TRUE(open_initiate().ok());
        ASSERT_TRUE(open_vouch(client_public).is(Kind::expired));
        const auto key = session_with(client_public).bytes;
        const auto prefix = request == Request::box_afternm ? wire::ready_nonce : wire::message_to_server_nonce;
        const auto said = ask(request, join(key, wire::short_nonce(prefix, 3), ByteArray<16>{}));
        EXPECT_TRUE(said.is(Kind::expired));
    }
}
TEST_F(ShimServer, a_session_key_seals_in_its_own_direction_only) // [CURVE-34]
{
    const auto key = open_session();
    for (const auto prefix : {wire::message_to_server_nonce, wire::hello_nonce, wire::initiate_nonce}) {
        EXPECT_TRUE(ask(Request::box_afternm, join(key, wire::short_nonce(prefix, 9))).is(Kind::forbidden)) << prefix;
    }
    for (const auto prefix : {wire::message_to_client_nonce, wire::ready_nonce}) {
        const auto said = ask(Request::box_open_afternm, join(key, wire::short_nonce(prefix, 9), ByteArray<16>{}));
        EXPECT_TRUE(said.is(Kind::forbidden)) << prefix;
    }
}
TEST_F(ShimServer, messages_counters_only_rise) // [CURVE-34]
{
    const auto key = open_session();
    const auto seal = [&](std::uint64_t counter) {
        return ask(Request::box_afternm, join(key, wire::short_nonce(wire::message_to_client_nonce, counter)));
    };
    EXPECT_TRUE(seal(2).ok());
    EXPECT_TRUE(seal(2).is(Kind::forbidden));
    EXPECT_TRUE(seal(1).is(Kind::forbidden));
    EXPECT_TRUE(seal(9).ok());
}

TEST_F(ShimServer, a_message_is_opened_once_and_never_after_a_later_one) // [CURVE-34]
{
    const auto key = open_session();
    const auto open = [&](std::uint64_t counter) {
        const auto nonce = wire::short_nonce(wire::message_to_server_nonce, counter);
        return ask(Request::box_open_afternm, join(key, nonce, sealed(bytes_of("x"), nonce, client_secret)));
    };
    EXPECT_TRUE(open(4).ok());
    EXPECT_TRUE(open(4).is(Kind::forbidden));
    EXPECT_TRUE(open(3).is(Kind::forbidden));
    EXPECT_TRUE(open(5).ok());
}

struct ShimClient : ::testing::Test, World {
    Key own = new_key(false);
    CurveKey transient_key;
    Handle transient;
    ByteArray<32> server_public, server_secret, server_transient, other; // S, s, S', nobody's

    ShimClient()
    {
        const auto pair = ask(Request::box_keypair, {});
        copy_bytes(transient_key.bytes, Bytes(pair.bytes).first(32));
        copy_bytes(transient.bytes, Bytes(pair.bytes).subspan(32));
        ByteArray<32> unused;
        crypto_box_keypair(server_public.data(), server_secret.data());
        crypto_box_keypair(server_transient.data(), unused.data());
        crypto_box_keypair(other.data(), unused.data());
    }
    Said hello() { return box_transient(wire::short_nonce(wire::hello_nonce, 1), server_public); }
    Said initiate() { return box_transient(wire::short_nonce(wire::initiate_nonce, 2), server_transient); }
    Said box_transient(const wire::Nonce& nonce, const ByteArray<32>& to)
    {
        return ask(Request::box, join(transient.bytes, to, nonce, ByteArray<64>{}));
    }
    Said session() { return ask(Request::beforenm, join(transient.bytes, server_transient)); }
    // `ask` has a buffer for any answer: too much to clear for each of thousands.
    Buffer ask_for_little(Request request, Buffer input)
    {
        Buffer output(256);
        const auto answer = chamber->answer(static_cast<std::uint32_t>(request), input, output);
        EXPECT_EQ(answer.refusal, airlock::Refusal::none);
        output.resize(answer.result.value_or(0));
        return output;
    }
    Handle new_pair()
    {
        Handle handle;
        copy_bytes(handle.bytes, Bytes(ask_for_little(Request::box_keypair, {})).subspan(32));
        return handle;
    }
    Handle new_session()
    {
        const auto pair = new_pair();
        const auto nonce = wire::short_nonce(wire::hello_nonce, 1);
        EXPECT_EQ(ask_for_little(Request::box, join(pair.bytes, server_public, nonce)).size(), 16U);
        Handle key;
        copy_bytes(key.bytes, ask_for_little(Request::beforenm, join(pair.bytes, server_transient)));
        return key;
    }
    Said seal(const Handle& key, std::uint64_t counter)
    {
        return ask(Request::box_afternm, join(key.bytes, wire::short_nonce(wire::message_to_server_nonce, counter)));
    }
    Said vouch(const ByteArray<32>& named_transient, const ByteArray<32>& named_server)
    {
        const auto nonce = wire::long_nonce(wire::vouch_nonce, ByteArray<16>{1});
        return ask(Request::box, join(own.handle.bytes, server_transient, nonce, named_transient, named_server));
    }
};

TEST_F(ShimClient, a_client_goes_through_its_steps_and_the_transient_key_ends) // [CURVE-33]
{
    ASSERT_TRUE(hello().ok());
    ASSERT_TRUE(session().ok());
    ASSERT_TRUE(vouch(transient_key.bytes, server_public).ok());
    ASSERT_TRUE(initiate().ok());
    EXPECT_TRUE(initiate().is(Kind::missing));
    EXPECT_TRUE(session().is(Kind::missing));
}
TEST_F(ShimClient, nothing_comes_before_the_hello_and_no_second_hello) // [CURVE-30]
{
    EXPECT_TRUE(session().is(Kind::forbidden));
    EXPECT_TRUE(initiate().is(Kind::forbidden));
    EXPECT_TRUE(vouch(transient_key.bytes, server_public).is(Kind::forbidden));
    ASSERT_TRUE(hello().ok());
    EXPECT_TRUE(hello().is(Kind::forbidden));
}
TEST_F(ShimClient, a_transient_key_makes_one_session_key) // [CURVE-33]
{
    ASSERT_TRUE(hello().ok());
    ASSERT_TRUE(session().ok());
    EXPECT_TRUE(session().is(Kind::forbidden));
}
TEST_F(ShimClient, one_session_key_above_the_table_takes_the_place_of_the_one_not_used_for_longest) // [CURVE-38]
{
    const auto first = new_session();
    const auto second = new_session();
    const auto third = new_session();
    for (std::size_t count = 3; count < shared_max; ++count) {
        new_session();
    }
    EXPECT_TRUE(seal(first, 3).ok());
    const auto one_more = new_session();
    EXPECT_TRUE(seal(second, 3).is(Kind::missing)) << "the first was used since";
    for (const auto& key : {first, third, one_more}) {
        EXPECT_TRUE(seal(key, 4).ok());
    }
}
TEST_F(ShimClient, one_pair_above_the_table_takes_the_place_of_the_one_not_used_for_longest) // [CURVE-38]
{
    const auto first = transient;
    const auto second = new_pair();
    for (std::size_t count = 2; count < pairs_max; ++count) {
        new_pair();
    }
    const auto knows = [this](const Handle& handle) { return ask(Request::scalarmult_base, join(handle.bytes)).ok(); };
    EXPECT_TRUE(knows(first));
    const auto one_more = new_pair();
    EXPECT_TRUE(knows(first));
    EXPECT_TRUE(knows(one_more));
    EXPECT_FALSE(knows(second));
}
TEST_F(ShimClient, a_vouch_is_only_for_a_transient_key_of_the_chamber_and_its_server_and_once) // [CURVE-35]
{
    ASSERT_TRUE(hello().ok());
    EXPECT_TRUE(vouch(other, server_public).is(Kind::expired));
    EXPECT_TRUE(vouch(transient_key.bytes, other).is(Kind::forbidden));
    ASSERT_TRUE(vouch(transient_key.bytes, server_public).ok());
    EXPECT_TRUE(vouch(transient_key.bytes, server_public).is(Kind::forbidden));
}
TEST_F(ShimClient, a_clients_transient_key_is_nothing_else) // [CURVE-31]
{
    ASSERT_TRUE(hello().ok());
    for (const auto prefix : {wire::initiate_nonce, wire::vouch_nonce, wire::hello_nonce}) {
        wire::Nonce nonce{};
        copy_bytes(nonce, bytes_of(prefix));
        const auto said = ask(Request::box_open, join(transient.bytes, other, nonce, ByteArray<16>{}));
        EXPECT_TRUE(said.is(Kind::forbidden)) << prefix;
    }
}

} // namespace
} // namespace caisson::trusted::curve::test
