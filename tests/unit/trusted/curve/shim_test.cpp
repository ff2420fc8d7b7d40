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
        const auto pair = ask(Request::box_keypair, {});
        copy_bytes(transient_key.bytes, Bytes(pair.bytes).first(32));
        copy_bytes(transient.bytes, Bytes(pair.bytes).subspan(32));
        crypto_box_keypair(client_public.data(), client_secret.data());
        crypto_box_keypair(own_public.data(), own_secret.data());
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
    Said open_vouch(const ByteArray<32>& named_transient)
    {
        const auto nonce = wire::long_nonce(wire::vouch_nonce, ByteArray<16>{1});
        return ask(Request::box_open, join(transient.bytes, own_public, nonce,
                                           sealed(join(named_transient, server.public_key.bytes), nonce, own_secret)));
    }
    Said session_with(const ByteArray<32>& key) { return ask(Request::beforenm, join(transient.bytes, key)); }
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
TEST_F(ShimServer, messages_counters_only_rise) // [CURVE-34]
{
    ASSERT_TRUE(open_initiate().ok());
    ASSERT_TRUE(open_vouch(client_public).ok());
    const auto key = session_with(client_public).bytes;
    const auto seal = [&](std::uint64_t counter) {
        return ask(Request::box_afternm, join(key, wire::short_nonce(wire::message_to_client_nonce, counter)));
    };
    EXPECT_TRUE(seal(2).ok());
    EXPECT_TRUE(seal(2).is(Kind::forbidden));
    EXPECT_TRUE(seal(1).is(Kind::forbidden));
    EXPECT_TRUE(seal(9).ok());
}

} // namespace
} // namespace caisson::trusted::curve::test
