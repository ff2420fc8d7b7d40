// The witness's identity, its policies, its evidence, and the keys it vouches for.
#include "tests/unit/trusted/witness/witness_world.hpp"

namespace caisson::trusted::witness {
namespace {

const PolicyItem file{PolicyItemKind::file, "/etc/hosts"};

protocol::CurveKey curve_key(std::uint8_t number)
{
    protocol::CurveKey key;
    key.bytes.fill(number);
    return key;
}

class IdentityTest : public testing::Test {
  protected:
    void SetUp() override { world.enrol(); }

    // A report of the curve chamber `by` over `key`, for the witness whose TARGETINFO is `target`.
    static Buffer report_over(WitnessRuntime& by, const protocol::sgx::TargetInfo& target,
                              const protocol::CurveKey& key)
    {
        const auto report = by.report(target, protocol::curve_key_report_data(key));
        const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&report);
        return {bytes, bytes + sizeof report};
    }
    Answered accept(const Buffer& report, const protocol::CurveKey& key)
    {
        return world.ask(Request::accept_report, joined({report, key.bytes}));
    }
    World::Found measured()
    {
        EXPECT_TRUE(world.open_policy({file}, ++round).good());
        EXPECT_TRUE(world.absorb_error(2).good());
        return world.finish();
    }

    World world;
    WitnessRuntime curve{9, 0, 0xc1};
    std::uint8_t round = 0;
};

TEST_F(IdentityTest, survives_a_restart_with_a_new_policy_key)
{
    const auto witness = world.witness;
    const auto policy_key = world.policy_key;
    world.restart();
    EXPECT_EQ(world.witness, witness);
    EXPECT_NE(world.policy_key, policy_key);
}

TEST_F(IdentityTest, two_new_identities_differ)
{
    World fresh;
    const auto input = joined({world.server.verifying_key.bytes, world.server.box_key.bytes});
    EXPECT_NE(fresh.ask(Request::create_identity, input).output, fresh.ask(Request::create_identity, input).output);
}

TEST_F(IdentityTest, every_flipped_bit_and_truncation_of_the_sealed_identity_is_refused)
{
    World fresh;
    for (std::size_t bit = 0; bit < world.sealed.size() * 8; ++bit) {
        auto altered = world.sealed;
        altered[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        EXPECT_FALSE(fresh.ask(Request::load_identity, altered).good()) << bit;
    }
    for (std::size_t size = 0; size < world.sealed.size(); ++size) {
        EXPECT_FALSE(fresh.ask(Request::load_identity, Bytes(world.sealed).first(size)).good()) << size;
    }
    EXPECT_TRUE(fresh.ask(Request::load_identity, world.sealed).good());
}

TEST_F(IdentityTest, of_another_machine_does_not_load)
{
    WitnessRuntime elsewhere(1, 1);
    Chamber chamber(elsewhere);
    Buffer output(64);
    const auto answer = chamber.answer(static_cast<std::uint32_t>(Request::load_identity), world.sealed, output);
    ASSERT_FALSE(answer.result);
    EXPECT_EQ(answer.result.error().kind, Kind::unauthentic);
}

TEST_F(IdentityTest, a_secret_sealed_for_another_purpose_is_no_identity)
{
    Buffer blob(256);
    const Buffer secret(96, 1);
    const auto size = world.runtime.seal(SealPolicy::mrsigner, bytes_of("curve key v1"), secret, blob);
    World fresh;
    EXPECT_EQ(fresh.ask(Request::load_identity, Bytes(blob).first(*size)).kind(), Kind::unauthentic);
}

// [MEASURE-2]
TEST_F(IdentityTest, evidence_is_bound_to_connection_key_and_nonce)
{
    const Buffer spki(32, 1);
    const Buffer challenge(32, 3);
    const auto answered = world.ask(Request::evidence, joined({spki, world.exporter.bytes, challenge}));
    ASSERT_TRUE(answered.good());
    const auto evidence = protocol::verify_evidence(answered.output);
    ASSERT_TRUE(evidence);
    EXPECT_EQ(evidence->witness, world.witness);
    EXPECT_EQ(evidence->policy_key, world.policy_key);
    EXPECT_TRUE(same_bytes(evidence->tls_spki_sha256, spki));
    EXPECT_EQ(evidence->exporter, world.exporter);
    EXPECT_TRUE(same_bytes(evidence->nonce.bytes, challenge));
    EXPECT_EQ(evidence->chamber.platform, protocol::sgx::Platform::inproc);
    EXPECT_EQ(evidence->chamber.root, protocol::sgx::RootKind::file);
    EXPECT_EQ(evidence->chamber.mrenclave[0], 0xe2);
}

// [MEASURE-4]
TEST_F(IdentityTest, an_altered_policy_is_refused)
{
    const auto document = world.policy_document(std::array{file}, 1, world.server);
    for (std::size_t bit = 0; bit < document.size() * 8; ++bit) {
        auto altered = document;
        altered[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        EXPECT_FALSE(world.ask(Request::open_policy, world.boxed(altered)).good()) << bit;
    }
    for (std::size_t size = 0; size < document.size(); ++size) {
        EXPECT_FALSE(world.ask(Request::open_policy, world.boxed(Bytes(document).first(size))).good()) << size;
    }
    EXPECT_TRUE(world.ask(Request::open_policy, world.boxed(document)).good());
}

// [MEASURE-4]
TEST_F(IdentityTest, a_policy_by_another_server_is_refused)
{
    const Server other(8);
    const auto document = world.policy_document(std::array{file}, 1, other);
    EXPECT_EQ(world.ask(Request::open_policy, world.boxed(document)).kind(), Kind::unauthentic);
}

// [MEASURE-4]
TEST_F(IdentityTest, a_policy_for_another_witness_is_refused)
{
    const auto own = world.witness;
    world.witness.bytes[0] ^= 1U;
    const auto document = world.policy_document(std::array{file}, 1, world.server);
    world.witness = own;
    EXPECT_EQ(world.ask(Request::open_policy, world.boxed(document)).kind(), Kind::unauthentic);
}

TEST_F(IdentityTest, a_policy_encrypted_before_the_restart_does_not_open)
{
    const auto sealed_policy = world.boxed(world.policy_document(std::array{file}, 1, world.server));
    world.restart();
    EXPECT_EQ(world.ask(Request::open_policy, sealed_policy).kind(), Kind::unauthentic);
}

// [MEASURE-5]
TEST_F(IdentityTest, a_replayed_policy_is_a_conflict)
{
    const auto document = world.policy_document(std::array{file}, 1, world.server);
    EXPECT_TRUE(world.ask(Request::open_policy, world.boxed(document)).good());
    EXPECT_EQ(world.ask(Request::open_policy, world.boxed(document)).kind(), Kind::conflict);
    for (std::uint8_t other = 2; other <= nonces_remembered; ++other) {
        EXPECT_TRUE(world.open_policy({file}, other).good());
    }
    EXPECT_EQ(world.ask(Request::open_policy, world.boxed(document)).kind(), Kind::conflict);
}

TEST_F(IdentityTest, a_policy_that_is_too_long_is_refused_before_it_is_read)
{
    const Buffer box(protocol::policy_document_bytes_max + protocol::box_seal_overhead_bytes + 1);
    EXPECT_EQ(world.ask(Request::open_policy, box).answer.refusal, Refusal::bad_size);
}

TEST_F(IdentityTest, an_empty_policy_has_an_empty_result)
{
    ASSERT_TRUE(world.open_policy(std::span<const PolicyItem>{}).good());
    const auto found = world.finish();
    EXPECT_TRUE(found.verified);
    EXPECT_TRUE(found.measurements.empty());
}

// [MEASURE-10]
TEST_F(IdentityTest, a_result_names_policy_round_connection_and_witness)
{
    const auto found = measured();
    ASSERT_TRUE(found.verified);
    EXPECT_EQ(found.head.policy, sha256_of("policy"));
    EXPECT_EQ(found.head.nonce, nonce(1));
    EXPECT_EQ(found.head.exporter, world.exporter);
    EXPECT_EQ(found.head.policy_key, world.policy_key);
    EXPECT_EQ(found.head.witness.svn, 1);
    EXPECT_EQ(found.head.key_count, 0U);
}

TEST_F(IdentityTest, a_result_opens_for_its_server_alone)
{
    ASSERT_TRUE(world.open_policy({file}).good());
    ASSERT_TRUE(world.absorb_error(2).good());
    const auto answered = world.ask(Request::finish, world.exporter.bytes);
    ASSERT_TRUE(answered.good());
    EXPECT_TRUE(Server(8).open(answered.output).empty());
    EXPECT_FALSE(world.server.open(answered.output).empty());
}

TEST_F(IdentityTest, a_result_that_does_not_fit_leaves_nothing_behind_and_can_be_asked_again)
{
    ASSERT_TRUE(world.open_policy({file}).good());
    ASSERT_TRUE(world.absorb_error(2).good());
    for (const std::size_t room : {0U, 47U, 48U, 300U, 2000U}) {
        Buffer output(room);
        const auto answer =
            world.chamber->answer(static_cast<std::uint32_t>(Request::finish), world.exporter.bytes, output);
        ASSERT_FALSE(answer.result);
        EXPECT_EQ(answer.result.error().kind, Kind::exhausted);
        EXPECT_EQ(output, Buffer(room, 0));
    }
    EXPECT_TRUE(world.finish().verified);
}

// [MEASURE-13]
TEST_F(IdentityTest, a_key_with_a_local_report_is_vouched_for)
{
    const auto key = curve_key(1);
    ASSERT_TRUE(accept(report_over(curve, world.runtime.own_target(), key), key).good());
    const auto found = measured();
    ASSERT_EQ(found.head.key_count, 1U);
    const auto& claim = found.head.keys[0];
    EXPECT_EQ(claim.key, key);
    EXPECT_EQ(claim.mrenclave[0], 0xc1);
    EXPECT_EQ(claim.mrsigner[0], 0x51);
    EXPECT_EQ(claim.product, 1);
    EXPECT_EQ(claim.svn, 1);
    EXPECT_FALSE(claim.debug);
    EXPECT_EQ(claim.platform, protocol::sgx::Platform::inproc);
    EXPECT_EQ(claim.root, protocol::sgx::RootKind::file);
}

TEST_F(IdentityTest, a_debug_chamber_is_shown_as_one)
{
    curve.debug = true;
    const auto key = curve_key(1);
    ASSERT_TRUE(accept(report_over(curve, world.runtime.own_target(), key), key).good());
    EXPECT_TRUE(measured().head.keys[0].debug);
}

// [MEASURE-13]
TEST_F(IdentityTest, a_report_for_another_target_is_refused)
{
    const auto key = curve_key(1);
    EXPECT_EQ(accept(report_over(curve, curve.own_target(), key), key).kind(), Kind::unauthentic);
    EXPECT_EQ(measured().head.key_count, 0U);
}

// [MEASURE-13]
TEST_F(IdentityTest, a_report_of_another_machine_is_refused)
{
    WitnessRuntime elsewhere(9, 1, 0xc1);
    const auto key = curve_key(1);
    EXPECT_EQ(accept(report_over(elsewhere, world.runtime.own_target(), key), key).kind(), Kind::unauthentic);
}

// [MEASURE-13]
TEST_F(IdentityTest, a_key_that_the_host_merely_names_is_refused)
{
    const auto report = report_over(curve, world.runtime.own_target(), curve_key(1));
    EXPECT_EQ(accept(report, curve_key(2)).kind(), Kind::unauthentic);
    EXPECT_EQ(accept(Buffer(sizeof(protocol::sgx::Report)), curve_key(2)).kind(), Kind::unauthentic);
    EXPECT_EQ(measured().head.key_count, 0U);
}

TEST_F(IdentityTest, every_flipped_bit_of_a_report_is_refused)
{
    const auto key = curve_key(1);
    const auto report = report_over(curve, world.runtime.own_target(), key);
    // The key id is no part of what the MAC covers here: it chooses the MAC's key.
    for (std::size_t bit = 0; bit < report.size() * 8; ++bit) {
        const auto byte = bit / 8;
        if (byte >= protocol::sgx::report_maced_bytes && byte < report.size() - 16) {
            continue;
        }
        auto altered = report;
        altered[byte] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        EXPECT_FALSE(accept(altered, key).good()) << bit;
    }
}

TEST_F(IdentityTest, a_key_is_listed_once_and_forgotten_when_asked)
{
    const auto key = curve_key(1);
    const auto report = report_over(curve, world.runtime.own_target(), key);
    ASSERT_TRUE(accept(report, key).good());
    ASSERT_TRUE(accept(report, key).good());
    EXPECT_EQ(measured().head.key_count, 1U);
    EXPECT_TRUE(world.ask(Request::forget_key, key.bytes).good());
    EXPECT_EQ(world.ask(Request::forget_key, key.bytes).kind(), Kind::missing);
    EXPECT_EQ(measured().head.key_count, 0U);
}

TEST_F(IdentityTest, the_ninth_key_is_exhausted)
{
    for (std::uint8_t number = 1; number <= protocol::curve_claims_max; ++number) {
        const auto key = curve_key(number);
        ASSERT_TRUE(accept(report_over(curve, world.runtime.own_target(), key), key).good());
    }
    const auto key = curve_key(99);
    EXPECT_EQ(accept(report_over(curve, world.runtime.own_target(), key), key).kind(), Kind::exhausted);
    EXPECT_EQ(measured().head.key_count, protocol::curve_claims_max);
}

TEST_F(IdentityTest, a_restart_forgets_the_keys)
{
    const auto key = curve_key(1);
    ASSERT_TRUE(accept(report_over(curve, world.runtime.own_target(), key), key).good());
    world.restart();
    EXPECT_EQ(measured().head.key_count, 0U);
}

} // namespace
} // namespace caisson::trusted::witness
