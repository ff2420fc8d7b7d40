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
    Buffer result(std::uint64_t issued_ms, std::uint64_t expires_ms, protocol::TrustTier tier, std::uint8_t node = 3)
    {
        return signed_by(verifier, claim(issued_ms, expires_ms, tier, node));
    }
    protocol::AttestationResult claim(std::uint64_t issued_ms, std::uint64_t expires_ms, protocol::TrustTier tier,
                                      std::uint8_t node = 3)
    {
        protocol::AttestationResult said;
        said.node.bytes.fill(node);
        said.issued_ms = issued_ms;
        said.expires_ms = expires_ms;
        said.status = tier;
        said.key_count = 1;
        said.keys[0].key = peer;
        said.keys[0].platform = protocol::sgx::Platform::process;
        return said;
    }
    static Buffer signed_by(const protocol::test::Signer& signer, const protocol::AttestationResult& said)
    {
        Buffer out(protocol::attestation_result_bytes_max);
        out.resize(*protocol::write_attestation_result(out, signer.secret, said));
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

TEST_F(GateWorld, tokens_that_come_in_another_order_do_not_count) // [CURVE-20]
{
    const auto first = token(gate.clock().make_nonce(runtime), 10'000, verifier.secret);
    const auto second = token(gate.clock().make_nonce(runtime), 10'250, verifier.secret);
    ASSERT_TRUE(gate.accept_token(second, runtime.now));
    EXPECT_EQ(gate.accept_token(first, runtime.now).error().kind, Kind::forbidden);
}
TEST_F(GateWorld, a_refused_token_uses_its_nonce_up) // [CURVE-20]
{
    ASSERT_TRUE(tell_time(10'000));
    const auto nonce = gate.clock().make_nonce(runtime);
    EXPECT_FALSE(gate.accept_token(token(nonce, 9'999, verifier.secret), runtime.now));
    EXPECT_FALSE(gate.accept_token(token(nonce, 10'001, verifier.secret), runtime.now));
}
TEST_F(GateWorld, no_changed_token_is_accepted) // [CURVE-20]
{
    const auto nonce = gate.clock().make_nonce(runtime);
    const auto good = token(nonce, 10'000, verifier.secret);
    protocol::test::expect_every_change_refused(good, [&](Bytes document) {
        gate.clock().use_nonce(nonce, runtime.now);
        return gate.accept_token(document, runtime.now).has_value();
    });
}
TEST_F(GateWorld, a_new_token_brings_its_own_messages_and_no_others) // [CURVE-23]
{
    trust();
    EXPECT_TRUE(gate.permits_message(peer, runtime.now));
    ASSERT_TRUE(tell_time(10'001));
    EXPECT_EQ(gate.clock().messages_left(), 3U);
}
TEST_F(GateWorld, a_message_of_an_untrusted_peer_uses_nothing_up) // [CURVE-23]
{
    trust();
    CurveKey stranger;
    stranger.bytes.fill(8);
    EXPECT_FALSE(gate.permits_message(stranger, runtime.now));
    EXPECT_EQ(gate.clock().messages_left(), 3U);
}
TEST_F(GateWorld, a_result_by_another_key_is_refused) // [CURVE-24]
{
    ASSERT_TRUE(tell_time(10'000));
    const auto said = claim(9'000, 60'000, protocol::TrustTier::affirming);
    EXPECT_EQ(accept(signed_by(protocol::test::Signer(2), said)).error().kind, Kind::unauthentic);
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, a_result_without_the_key_takes_the_key_away) // [CURVE-25]
{
    trust();
    auto said = claim(9'500, 60'000, protocol::TrustTier::affirming);
    said.keys[0].key.bytes.fill(8);
    ASSERT_TRUE(accept(signed_by(verifier, said)));
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, every_tier_but_affirming_shuts_out) // [CURVE-25]
{
    trust();
    std::uint64_t issued_ms = 9'100;
    for (const auto tier :
         {protocol::TrustTier::none, protocol::TrustTier::warning, protocol::TrustTier::contraindicated}) {
        ASSERT_TRUE(accept(result(issued_ms++, 60'000, tier)));
        EXPECT_FALSE(admits()) << protocol::trust_tier_name(tier);
        ASSERT_TRUE(accept(result(issued_ms++, 60'000, protocol::TrustTier::affirming)));
        EXPECT_TRUE(admits());
    }
}
TEST_F(GateWorld, a_key_that_two_nodes_claim_needs_both) // [CURVE-25]
{
    trust();
    ASSERT_TRUE(accept(result(9'000, 60'000, protocol::TrustTier::contraindicated, 4)));
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, keys_of_debug_enclaves_and_of_none_are_nobodys) // [CURVE-25]
{
    ASSERT_TRUE(tell_time(10'000));
    auto said = claim(9'000, 60'000, protocol::TrustTier::affirming);
    said.keys[0].debug = true;
    ASSERT_TRUE(accept(signed_by(verifier, said)));
    EXPECT_FALSE(admits());
    said.keys[0].debug = false;
    said.keys[0].platform = protocol::sgx::Platform::inproc;
    ASSERT_TRUE(accept(signed_by(verifier, said)));
    EXPECT_FALSE(admits());
}
TEST_F(GateWorld, a_full_gate_lets_only_expired_results_give_way) // [CURVE-24]
{
    ASSERT_TRUE(tell_time(10'000));
    for (std::uint8_t node = 0; node < nodes_max; ++node) {
        ASSERT_TRUE(accept(result(9'000, node == 5 ? 10'500 : 60'000, protocol::TrustTier::affirming, node)));
    }
    EXPECT_EQ(accept(result(9'000, 60'000, protocol::TrustTier::affirming, 200)).error().kind, Kind::exhausted);
    runtime.now += second_ticks;
    EXPECT_TRUE(accept(result(9'000, 60'000, protocol::TrustTier::affirming, 200)));
}

TEST_F(GateWorld, a_bad_result_that_gave_way_does_not_bring_an_older_good_one_back) // [CURVE-24]
{
    trust();
    const auto good = result(9'000, 60'000, protocol::TrustTier::affirming);
    ASSERT_TRUE(accept(result(9'500, 10'500, protocol::TrustTier::contraindicated)));
    runtime.now += second_ticks;
    ASSERT_TRUE(tell_time(11'000));
    auto other = claim(10'900, 60'000, protocol::TrustTier::affirming, 4);
    other.keys[0].key.bytes.fill(8);
    ASSERT_TRUE(accept(signed_by(verifier, other)));
    EXPECT_EQ(accept(good).error().kind, Kind::conflict);
    EXPECT_FALSE(admits());
}

struct GatedSession : ::testing::Test, World {
    Key server = new_key(true);
    Key client = new_key(false);
    std::uint64_t time_ms = 10'000;

    void tell_time()
    {
        protocol::TimeNonce nonce;
        copy_bytes(nonce.bytes, ask(Request::time_nonce, {}).bytes);
        Buffer document(protocol::time_token_bytes_max);
        document.resize(*protocol::write_time_token(document, verifier.secret, {nonce, ++time_ms, 1000, 2}));
        ASSERT_TRUE(ask(Request::accept_time_token, document).ok());
    }
    void tell_result(protocol::TrustTier tier)
    {
        protocol::AttestationResult said;
        said.issued_ms = ++time_ms;
        said.expires_ms = 60'000;
        said.status = tier;
        said.key_count = 1;
        said.keys[0].key = client.public_key;
        said.keys[0].platform = protocol::sgx::Platform::process;
        said.keys[0].mrenclave.fill(0x4d);
        Buffer document(protocol::attestation_result_bytes_max);
        document.resize(*protocol::write_attestation_result(document, verifier.secret, said));
        ASSERT_TRUE(ask(Request::accept_result, document).ok());
    }
    Buffer open_session()
    {
        const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
        const auto hello = ask(Request::produce_hello, opened.bytes);
        const auto welcome = ask(Request::process_hello, join(server.id, hello.bytes));
        EXPECT_TRUE(ask(Request::process_welcome, join(opened.bytes, welcome.bytes)).ok());
        const auto initiate = ask(Request::produce_initiate, opened.bytes);
        const auto accepted = ask(Request::process_initiate, join(server.id, initiate.bytes));
        EXPECT_TRUE(accepted.ok());
        Buffer session(accepted.bytes.begin(), accepted.bytes.begin() + 4);
        EXPECT_TRUE(ask(Request::produce_ready, session).ok());
        return session;
    }
    Said send(const Buffer& session) { return ask(Request::produce_message, join(session, u32(0))); }
};

TEST_F(GatedSession, a_session_ends_when_its_peer_falls_from_trust_and_does_not_rise_again) // [CURVE-25]
{
    tell_time();
    tell_result(protocol::TrustTier::affirming);
    const auto session = open_session();
    EXPECT_TRUE(send(session).ok());
    tell_result(protocol::TrustTier::contraindicated);
    EXPECT_TRUE(send(session).is(Kind::expired));
    tell_result(protocol::TrustTier::affirming);
    EXPECT_TRUE(send(session).is(Kind::missing));
}
TEST_F(GatedSession, a_sweep_ends_the_sessions_that_a_message_would_end_and_names_them) // [CURVE-27]
{
    tell_time();
    tell_result(protocol::TrustTier::affirming);
    const auto session = open_session();
    EXPECT_TRUE(ask(Request::sweep_sessions, join(u32(0))).bytes.empty());
    EXPECT_TRUE(send(session).ok());
    tell_result(protocol::TrustTier::contraindicated);
    EXPECT_EQ(ask(Request::sweep_sessions, join(u32(0))).bytes, session);
    EXPECT_TRUE(send(session).is(Kind::missing));
    EXPECT_TRUE(ask(Request::sweep_sessions, join(u32(0))).bytes.empty());
}
TEST_F(GatedSession, a_sweep_leaves_handshakes_and_ungated_sessions_alone_and_no_place_is_beyond_it) // [CURVE-27]
{
    tell_time();
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
    ASSERT_TRUE(opened.ok());
    EXPECT_TRUE(ask(Request::sweep_sessions, join(u32(0))).bytes.empty());
    EXPECT_TRUE(ask(Request::produce_hello, opened.bytes).ok());
    for (const auto first : {static_cast<std::uint32_t>(airlock::curve::sessions_max), 0xffffffffU}) {
        const auto said = ask(Request::sweep_sessions, join(u32(first)));
        EXPECT_TRUE(said.ok() && said.bytes.empty()) << first;
    }
}
TEST_F(GatedSession, a_peers_state_names_the_measurement_of_its_chamber)
{
    tell_time();
    tell_result(protocol::TrustTier::affirming);
    const auto said = ask(Request::peer_state, join(client.public_key.bytes));
    ASSERT_EQ(said.bytes.size(), 80U);
    EXPECT_EQ(Buffer(said.bytes.begin() + 48, said.bytes.end()), Buffer(32, 0x4d));
}
TEST_F(GatedSession, all_sessions_of_a_gate_share_a_tokens_messages) // [CURVE-23]
{
    tell_time();
    tell_result(protocol::TrustTier::affirming);
    const auto first = open_session();
    const auto second = open_session();
    EXPECT_TRUE(send(first).ok());
    EXPECT_TRUE(send(second).ok());
    EXPECT_TRUE(send(first).is(Kind::expired));
}
TEST_F(GatedSession, another_servers_word_says_nothing_here) // [CURVE-24]
{
    tell_time();
    verifier = protocol::test::Signer(2);
    static_cast<void>(new_key(true)); // a second gate, with a server of its own
    tell_time();
    tell_result(protocol::TrustTier::affirming);
    const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
    const auto hello = ask(Request::produce_hello, opened.bytes);
    const auto welcome = ask(Request::process_hello, join(server.id, hello.bytes));
    ASSERT_TRUE(ask(Request::process_welcome, join(opened.bytes, welcome.bytes)).ok());
    const auto initiate = ask(Request::produce_initiate, opened.bytes);
    const auto said = ask(Request::process_initiate, join(server.id, initiate.bytes));
    ASSERT_TRUE(said.ok());
    EXPECT_EQ(Buffer(said.bytes.begin(), said.bytes.begin() + 4), join(u32(0)));
}

} // namespace
} // namespace caisson::trusted::curve::test
