#include "tests/unit/trusted/curve/curve_world.hpp"

namespace caisson::trusted::curve::test {
namespace {

constexpr std::uint64_t second_ticks = 500'000'000; // the slowest rate a clock assumes

struct GateWorld : ::testing::Test {
    protocol::test::Signer verifier{1};
    CurveRuntime runtime;
    Gate gate;
    CurveKey peer;

    GateWorld()
    {
        gate.pin(verifier.key);
        peer.bytes.fill(9);
    }
    Buffer token(const protocol::TimeNonce& nonce, std::uint64_t time_ms, const protocol::SigningKey& key)
    {
        Buffer out(protocol::time_token_bytes_max);
        const auto size = protocol::write_time_token(out, key, {nonce, time_ms, 1000, 3});
        out.resize(*size);
        return out;
    }
    Status tell_time(std::uint64_t time_ms)
    {
        return gate.accept_token(token(gate.clock().make_nonce(runtime), time_ms, verifier.secret), runtime.now);
    }
    Buffer result(std::uint64_t issued_ms, std::uint64_t expires_ms, protocol::TrustTier tier)
    {
        protocol::AttestationResult said;
        said.node.bytes.fill(3);
        said.issued_ms = issued_ms;
        said.expires_ms = expires_ms;
        said.status = tier;
        said.key_count = 1;
        said.keys[0].key = peer;
        said.keys[0].platform = protocol::sgx::Platform::process;
        Buffer out(protocol::attestation_result_bytes_max);
        out.resize(*protocol::write_attestation_result(out, verifier.secret, said));
        return out;
    }
    Status accept(const Buffer& document) { return gate.accept_result(document, runtime.now); }
    bool admits() { return gate.admits(peer, runtime.now); }
    void trust()
    {
        ASSERT_TRUE(tell_time(10'000));
        ASSERT_TRUE(accept(result(9'000, 60'000, protocol::TrustTier::affirming)));
        ASSERT_TRUE(admits());
    }
};

TEST_F(GateWorld, nobody_is_admitted_before_time_is_known) // [CURVE-22]
{
    ASSERT_TRUE(accept(result(9'000, 60'000, protocol::TrustTier::affirming)));
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, a_withheld_token_ends_trust_by_itself) // [CURVE-22]
{
    trust();
    runtime.now += second_ticks;
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, a_delayed_token_counts_from_when_its_nonce_was_made) // [CURVE-20]
{
    trust();
    const auto late = token(gate.clock().make_nonce(runtime), 10'100, verifier.secret);
    runtime.now += second_ticks;
    ASSERT_TRUE(gate.accept_token(late, runtime.now));
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, a_replayed_token_is_refused) // [CURVE-20]
{
    const auto once = token(gate.clock().make_nonce(runtime), 10'000, verifier.secret);
    ASSERT_TRUE(gate.accept_token(once, runtime.now));
    EXPECT_EQ(gate.accept_token(once, runtime.now).error().kind, Kind::forbidden);
}
TEST_F(GateWorld, a_token_for_another_nonce_is_refused) // [CURVE-20]
{
    const auto first = token(gate.clock().make_nonce(runtime), 10'000, verifier.secret);
    static_cast<void>(gate.clock().make_nonce(runtime));
    EXPECT_EQ(gate.accept_token(first, runtime.now).error().kind, Kind::forbidden);
}
TEST_F(GateWorld, a_token_by_another_key_is_refused)
{
    const protocol::test::Signer stranger(2);
    const auto forged = token(gate.clock().make_nonce(runtime), 10'000, stranger.secret);
    EXPECT_EQ(gate.accept_token(forged, runtime.now).error().kind, Kind::unauthentic);
}
TEST_F(GateWorld, a_token_that_turns_time_back_is_refused) // [CURVE-20]
{
    ASSERT_TRUE(tell_time(10'000));
    EXPECT_EQ(tell_time(9'999).error().kind, Kind::conflict);
}
TEST_F(GateWorld, a_counter_that_was_slowed_does_not_stretch_the_hold_time) // [CURVE-21]
{
    ASSERT_TRUE(tell_time(10'000));
    runtime.now += 3 * second_ticks; // 3 GHz: six times the least rate for half a second
    ASSERT_TRUE(tell_time(10'500));
    runtime.now += second_ticks / 4; // now half a second takes an eighth of that
    ASSERT_TRUE(tell_time(11'000));
    ASSERT_TRUE(accept(result(9'000, 60'000, protocol::TrustTier::affirming)));
    EXPECT_TRUE(admits());
    runtime.now += second_ticks;
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, an_older_result_than_the_known_one_is_refused) // [CURVE-24]
{
    trust();
    const auto old = result(9'000, 60'000, protocol::TrustTier::affirming);
    ASSERT_TRUE(accept(result(9'500, 60'000, protocol::TrustTier::contraindicated)));
    EXPECT_EQ(accept(old).error().kind, Kind::conflict);
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, a_result_that_expired_admits_nobody) // [CURVE-25]
{
    ASSERT_TRUE(tell_time(10'000));
    ASSERT_TRUE(accept(result(9'000, 10'000, protocol::TrustTier::affirming)));
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, a_key_nobody_vouches_for_is_not_admitted) // [CURVE-25]
{
    trust();
    peer.bytes.fill(8);
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, a_token_permits_so_many_messages_and_no_more) // [CURVE-23]
{
    trust();
    for (int count = 0; count < 3; ++count) {
        EXPECT_TRUE(gate.permits_message(peer, runtime.now));
    }
    EXPECT_FALSE(gate.permits_message(peer, runtime.now));
}

} // namespace
} // namespace caisson::trusted::curve::test
