// A node's TPM root as its server judges it: a real prover on a software TPM, and every way to be somebody else.
#include "services/attestation/node_root.hpp"

#include "protocol/evidence/root_evidence.hpp"
#include "services/agent/root_prover.hpp"
#include "services/attestation/policy_file.hpp"
#include "tests/support/software_tpm.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace caisson::services::attestation {
namespace {

namespace evidence = protocol::evidence;
using protocol::sgx::RootKind;
using Content = std::vector<std::uint8_t>;

constexpr std::uint64_t now_ms = 1'800'000'000'000;
constexpr Digest witness_image{1, 2, 3};

class NodeRootTest : public testing::Test {
  protected:
    void SetUp() override
    {
        if (!tests::SoftwareTpm::is_installed()) {
            GTEST_SKIP() << "swtpm is not installed (packages/check.txt)";
        }
        std::string pattern = (std::filesystem::temp_directory_path() / "caisson-root-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        tpm_ = std::make_unique<tests::SoftwareTpm>(folder_ / "tpm");
        host::tpm::Provision wish;
        wish.tpm.address = tpm_->address();
        wish.owner = folder_ / "owner";
        auto root = host::tpm::TpmRoot::provision(folder_ / "home", wish);
        ASSERT_TRUE(root) << root.error().what;
        ASSERT_TRUE(root->register_images(std::span(&witness_image, 1)));
        prover_ = agent::prover_of(folder_ / "home");
        ASSERT_NE(prover_, nullptr);
        witness_.chamber.mrenclave = witness_image;
        witness_.chamber.root = RootKind::tpm;
        witness_.witness.bytes = {5};
        witness_.exporter.bytes = {6};
    }
    void TearDown() override
    {
        tpm_.reset();
        std::error_code error;
        std::filesystem::remove_all(folder_, error);
    }

    [[nodiscard]] OfferedRoot challenged() const
    {
        const auto offer = prover_->offer();
        EXPECT_TRUE(offer) << offer.error().what;
        auto challenge = challenge_root({offer->certificate, offer->ek_public, offer->ak_public}, "", now_ms);
        EXPECT_TRUE(challenge) << challenge.error().what;
        return *challenge;
    }
    [[nodiscard]] Content shown(const protocol::WitnessEvidence& to) const
    {
        const auto bytes = prover_->evidence(evidence::root_evidence_extra(to.chamber, to.witness, to.exporter));
        EXPECT_TRUE(bytes) << bytes.error().what;
        return *bytes;
    }
    [[nodiscard]] Content proof_of(const OfferedRoot& offered) const
    {
        auto proof = *prover_->activate(offered.credential.id_object, offered.credential.encrypted_secret);
        const auto bytes = shown(witness_);
        proof.insert(proof.end(), bytes.begin(), bytes.end());
        return proof;
    }

    std::filesystem::path folder_;
    std::unique_ptr<tests::SoftwareTpm> tpm_;
    std::unique_ptr<agent::TpmProver> prover_;
    protocol::WitnessEvidence witness_;
};

// [TPM-16]
TEST_F(NodeRootTest, a_node_proves_its_tpm_once_and_again_over_each_connection)
{
    const auto offered = challenged();
    auto record = admit_root(offered, proof_of(offered), witness_, now_ms);
    ASSERT_TRUE(record) << record.error().what;
    EXPECT_EQ(record->images, Content(witness_image.begin(), witness_image.end()));
    EXPECT_EQ(record->pcrs.size(), 10 * sizeof(Digest));
    EXPECT_FALSE(record->endorsed);
    auto later = witness_;
    later.exporter.bytes = {7};
    ASSERT_TRUE(recheck_root(*record, shown(later), later, now_ms + 1));
    EXPECT_EQ(record->checked_ms, now_ms + 1);
}

TEST_F(NodeRootTest, a_wrong_secret_enrols_no_tpm)
{
    const auto offered = challenged();
    auto proof = proof_of(offered);
    proof[0] ^= 1U;
    const auto refused = admit_root(offered, proof, witness_, now_ms);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unauthentic);
    EXPECT_FALSE(admit_root(offered, Bytes(proof).first(31), witness_, now_ms));
    EXPECT_FALSE(admit_root(offered, Bytes(proof).first(32), witness_, now_ms));
    // A proof for one challenge is none for the next.
    const auto next = challenged();
    EXPECT_FALSE(admit_root(next, proof_of(offered), witness_, now_ms));
}

// [TPM-14] [TPM-17]
TEST_F(NodeRootTest, evidence_is_bound_to_connection_witness_and_image)
{
    const auto offered = challenged();
    auto record = admit_root(offered, proof_of(offered), witness_, now_ms);
    ASSERT_TRUE(record);
    const auto bytes = shown(witness_);
    ASSERT_TRUE(recheck_root(*record, bytes, witness_, now_ms));
    const auto refused = [&](auto change) {
        auto other = witness_;
        change(other);
        const auto done = recheck_root(*record, bytes, other, now_ms);
        return !done && done.error().kind == Kind::unauthentic;
    };
    EXPECT_TRUE(refused([](auto& other) { other.exporter.bytes[0] ^= 1U; }));
    EXPECT_TRUE(refused([](auto& other) { other.witness.bytes[0] ^= 1U; }));
    EXPECT_TRUE(refused([](auto& other) { other.chamber.mrenclave[0] ^= 1U; }));
    EXPECT_TRUE(refused([](auto& other) { other.chamber.mrsigner[0] ^= 1U; }));
    EXPECT_TRUE(refused([](auto& other) { other.chamber.product ^= 1U; }));
    EXPECT_TRUE(refused([](auto& other) { other.chamber.svn ^= 1U; }));
}

// [TPM-15]
TEST_F(NodeRootTest, a_witness_that_was_not_started_is_unacceptable)
{
    const auto offered = challenged();
    auto record = admit_root(offered, proof_of(offered), witness_, now_ms);
    ASSERT_TRUE(record);
    auto other = witness_;
    other.chamber.mrenclave = Digest{9};
    const auto done = recheck_root(*record, shown(other), other, now_ms);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, Kind::unacceptable) << done.error().what;
}

TEST_F(NodeRootTest, every_flipped_byte_and_truncation_of_the_evidence_is_refused)
{
    const auto offered = challenged();
    const auto record = admit_root(offered, proof_of(offered), witness_, now_ms);
    ASSERT_TRUE(record);
    const auto good = shown(witness_);
    for (std::size_t index = 0; index < good.size(); ++index) {
        auto bytes = good;
        bytes[index] ^= static_cast<std::uint8_t>(1U << index % 8);
        auto copy = *record;
        EXPECT_FALSE(recheck_root(copy, bytes, witness_, now_ms)) << index;
        EXPECT_FALSE(recheck_root(copy, Bytes(good).first(index), witness_, now_ms)) << index;
    }
}

TEST_F(NodeRootTest, another_tpm_does_not_stand_in_for_the_enrolled_one)
{
    const auto offered = challenged();
    auto record = admit_root(offered, proof_of(offered), witness_, now_ms);
    ASSERT_TRUE(record);
    const tests::SoftwareTpm other(folder_ / "other");
    host::tpm::Provision wish;
    wish.tpm.address = other.address();
    wish.owner = folder_ / "other-owner";
    {
        auto root = host::tpm::TpmRoot::provision(folder_ / "other-home", wish);
        ASSERT_TRUE(root);
        ASSERT_TRUE(root->register_images(std::span(&witness_image, 1)));
    }
    const auto stranger = agent::prover_of(folder_ / "other-home");
    const auto extra = evidence::root_evidence_extra(witness_.chamber, witness_.witness, witness_.exporter);
    const auto theirs = stranger->evidence(extra);
    ASSERT_TRUE(theirs);
    const auto done = recheck_root(*record, *theirs, witness_, now_ms);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, Kind::unauthentic);
    EXPECT_FALSE(stranger->activate(offered.credential.id_object, offered.credential.encrypted_secret));
}

TEST_F(NodeRootTest, what_is_no_tpm_is_not_challenged)
{
    const auto offer = prover_->offer();
    ASSERT_TRUE(offer);
    EXPECT_FALSE(challenge_root({{}, offer->ek_public, {}}, "", now_ms));
    EXPECT_FALSE(challenge_root({{}, {}, offer->ak_public}, "", now_ms));
    EXPECT_FALSE(challenge_root({{}, offer->ak_public, offer->ek_public}, "", now_ms)); // the wrong way round
    EXPECT_FALSE(challenge_root({Bytes(offer->ek_public), offer->ek_public, offer->ak_public}, "", now_ms));
}

// The EK certificate of another TPM, be it a good one: it says nothing about this one. [TPM-5]
TEST_F(NodeRootTest, the_endorsement_certificate_of_another_tpm_is_unauthentic)
{
    const auto offer = prover_->offer();
    ASSERT_TRUE(offer);
    const auto file = folder_ / "theirs.der";
    const auto line =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=theirs -outform DER "
        "-keyout /dev/null -out " +
        file.string() + " 2>/dev/null";
    ASSERT_EQ(std::system(line.c_str()), 0);
    std::ifstream stream(file, std::ios::binary);
    const Content theirs{std::istreambuf_iterator<char>(stream), {}};
    const auto refused = challenge_root({theirs, offer->ek_public, offer->ak_public}, "", now_ms);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unauthentic);
    EXPECT_NE(refused.error().what.find("another key than the EK"), std::string::npos) << refused.error().what;
}

// [TPM-18]
TEST(NodeRootPolicy, a_weaker_root_than_demanded_falls_short)
{
    host::store::RootRecord maker_known;
    maker_known.endorsed = true;
    host::store::RootRecord maker_unknown;
    host::store::RootRecord simulated = maker_known;
    simulated.simulated = true;
    EXPECT_EQ(proven_root(std::nullopt), RootKind::file);
    EXPECT_EQ(proven_root(maker_known), RootKind::tpm);
    EXPECT_EQ(proven_root(maker_unknown), RootKind::software_tpm);
    EXPECT_EQ(proven_root(simulated), RootKind::software_tpm);
    EXPECT_FALSE(root_shortfall(RootKind::file, RootKind::file));
    EXPECT_TRUE(root_shortfall(RootKind::software_tpm, RootKind::file));
    EXPECT_FALSE(root_shortfall(RootKind::software_tpm, RootKind::software_tpm));
    EXPECT_TRUE(root_shortfall(RootKind::tpm, RootKind::software_tpm));
    EXPECT_FALSE(root_shortfall(RootKind::tpm, RootKind::tpm));
    EXPECT_FALSE(root_shortfall(RootKind::tpm, RootKind::cpu));
    EXPECT_TRUE(root_shortfall(RootKind::cpu, RootKind::tpm));
    EXPECT_FALSE(root_shortfall(RootKind::cpu, RootKind::cpu));
}

TEST(NodeRootPolicy, a_policy_names_the_least_root)
{
    const auto root_of = [](const std::string& line) {
        const auto policy = parse_policy("version = 1\n" + line + "proc = [\"cmdline\"]\n", "policy");
        return policy ? std::optional(policy->root) : std::nullopt;
    };
    EXPECT_EQ(root_of(""), RootKind::file);
    EXPECT_EQ(root_of("root = \"any\"\n"), RootKind::file);
    EXPECT_EQ(root_of("root = \"software-tpm\"\n"), RootKind::software_tpm);
    EXPECT_EQ(root_of("root = \"tpm\"\n"), RootKind::tpm);
    EXPECT_EQ(root_of("root = \"cpu\"\n"), RootKind::cpu);
    EXPECT_EQ(root_of("root = \"TPM\"\n"), std::nullopt);
    EXPECT_EQ(root_of("root = 2\n"), std::nullopt);
}

} // namespace
} // namespace caisson::services::attestation
