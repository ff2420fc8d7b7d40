// A node on SGX as its server judges it. The driver, AESM and Intel's PKI are the tests' own; the agent, the witness
// chamber behind the driver's entry, the server and what travels between them are the real ones.
#include "host/enclave/root.hpp"
#include "host/enclave/sgx_aesm.hpp"
#include "host/enclave/sgx_enclave.hpp"
#include "services/agent/join.hpp"
#include "services/agent/session.hpp"
#include "tests/support/fake_aesm.hpp"
#include "tests/support/fake_sgx_device.hpp"
#include "tests/support/inproc_chamber.hpp"
#include "tests/unit/services/attestation/server_world.hpp"
#include "trusted/witness/chamber.hpp"

namespace caisson::services::attestation {
namespace {

namespace link = protocol::verifier_link;
using host::enclave::Aesm;
using protocol::TrustTier;
using protocol::sgx::Platform;
using protocol::sgx::RootKind;

constexpr std::chrono::milliseconds wait{1000};
const std::string strongest = "platform = \"sgx\"\nroot = \"cpu\"\n";

// A whole node: the witness on the platform sgx, over a driver that takes the real image.
class SgxNode {
  public:
    SgxNode(const std::filesystem::path& folder, const tests::SgxPki& pki)
        : home(folder / "node")
        , aesm_(tests::honest_aesm(pki))
        , prover({[this] { return Aesm(aesm_.path()).target(); },
                  [this](const protocol::sgx::Report& report) { return Aesm(aesm_.path()).quote(report); }})
    {
        std::filesystem::create_directories(home);
        std::filesystem::permissions(home, std::filesystem::perms::owner_all);
        auto root = host::enclave::Root::open_file(home / "root.key");
        EXPECT_TRUE(root) << root.error().what;
        root_ = std::make_unique<host::enclave::Root>(std::move(*root));
        auto device = std::make_unique<tests::FakeSgxDevice>(
            std::make_unique<tests::InprocChamberOf<trusted::witness::Chamber>>(), *root_, 7);
        device->as_cpu = true;
        host::enclave::EnclaveOptions options;
        options.chamber = host::enclave::ChamberKind::witness;
        options.platform = Platform::sgx;
        options.images = CAISSON_TEST_IMAGES;
        auto enclave = host::enclave::open_sgx_enclave(options, std::move(device));
        EXPECT_TRUE(enclave) << enclave.error().what;
        enclave_ = std::move(*enclave);
        witness = std::make_unique<host::enclave::WitnessChamber>(*enclave_);
    }

    host::Outcome<agent::JoinedFacts> join(ServerWorld& world)
    {
        const auto text = invite(*world.keys, *world.store, "alpha", world.now_ms);
        EXPECT_TRUE(text);
        EXPECT_TRUE(host::store::store_file(home / "join", bytes_of(*text), 0600, host::store::Existing::replace));
        const auto invitation = agent::load_invitation(home / "join");
        EXPECT_TRUE(invitation);
        const auto connect = [&world](const agent::Invitation&) { return world.connect(std::nullopt); };
        return agent::join(home, *invitation, "", *witness, connect, &prover);
    }

    std::filesystem::path home;

  private:
    tests::FakeAesm aesm_;
    std::unique_ptr<host::enclave::Root> root_;
    std::unique_ptr<host::enclave::Enclave> enclave_;

  public:
    agent::QuoteProver prover;
    std::unique_ptr<host::enclave::WitnessChamber> witness;
};

Buffer nothing()
{
    return {};
}

class SgxNodeTest : public ServerTest {};

// [EVIDENCE-10] [EVIDENCE-11]
TEST_F(SgxNodeTest, a_node_enrols_by_its_quote_and_meets_the_highest_minimum)
{
    world->trust(pki);
    SgxNode node(world->folder, pki);
    const auto joined = node.join(*world);
    ASSERT_TRUE(joined) << joined.error().what;
    const auto stored = agent::load_joined(node.home);
    ASSERT_TRUE(stored) << stored.error().what;
    EXPECT_EQ(stored->platform, Platform::sgx);
    EXPECT_TRUE(world->logged("SGX; FMSPC 00906ed50000, UpToDate"));
    world->set_policy(strongest);

    const auto spki = host::net::spki_sha256_of_key(stored->credentials.key_pem);
    ASSERT_TRUE(spki);
    auto verifier = world->connect(*spki);
    ASSERT_TRUE(verifier);
    const auto welcome = agent::say_hello(**verifier, *node.witness, *spki, &node.prover, wait);
    ASSERT_TRUE(welcome) << welcome.error().what;
    const auto policy = agent::ask_for<link::Policy>(**verifier, link::PolicyRequest{}, wait);
    ASSERT_TRUE(policy) << policy.error().what;
    const std::atomic<bool> stop = false;
    agent::Measurer measurer(*node.witness, stop);
    const auto measured = measurer.measure(policy->sealed, (*verifier)->exporter());
    ASSERT_TRUE(measured) << measured.error().what;
    const auto verdict = agent::ask_for<link::Verdict>(**verifier, link::Result{measured->sealed_result}, wait);
    ASSERT_TRUE(verdict) << verdict.error().what;
    EXPECT_EQ(verdict->tier, TrustTier::affirming) << (verdict->reason_count > 0 ? verdict->reasons[0] : "");
    const auto record = world->verdict();
    EXPECT_EQ(record.platform, Platform::sgx);
    EXPECT_EQ(record.root, RootKind::cpu);
    EXPECT_FALSE(record.debug);
}

TEST_F(SgxNodeTest, a_node_whose_service_is_away_does_not_join_as_anything_weaker)
{
    world->trust(pki);
    SgxNode node(world->folder, pki);
    node.prover = agent::QuoteProver(
        {[] { return Aesm("/nonexistent/aesm").target(); },
         [](const protocol::sgx::Report& report) { return Aesm("/nonexistent/aesm").quote(report); }});
    const auto joined = node.join(*world);
    ASSERT_FALSE(joined);
    EXPECT_EQ(joined.error().kind, Kind::unavailable);
    EXPECT_FALSE(agent::load_joined(node.home));
    EXPECT_TRUE(world->store->nodes()->empty());
}

// From here on nodes are written by hand, because an honest one cannot be made to say these things.

// [EVIDENCE-10]
TEST_F(SgxNodeTest, who_says_sgx_and_shows_no_quote_does_not_enrol)
{
    world->trust(pki);
    HandMade node(Platform::sgx);
    EXPECT_EQ(node.enrol(*world, nothing), Kind::missing);
    EXPECT_EQ(node.enrol(*world, [] { return Buffer(5000, 3); }), Kind::malformed);
}

// [EVIDENCE-10]
TEST_F(SgxNodeTest, a_server_without_collateral_enrols_nobody_on_sgx)
{
    HandMade node(Platform::sgx);
    EXPECT_EQ(node.enrol(*world, [&] { return node.quote(pki); }), Kind::missing);
    EXPECT_TRUE(world->logged("caisson server trust-sgx"));
}

// [EVIDENCE-10]
TEST_F(SgxNodeTest, a_quote_by_somebody_elses_root_is_unauthentic)
{
    world->trust(pki);
    const tests::SgxPki stranger;
    HandMade node(Platform::sgx);
    EXPECT_EQ(node.enrol(*world, [&] { return node.quote(stranger); }), Kind::unauthentic);
}

// [EVIDENCE-10]
TEST_F(SgxNodeTest, a_quote_of_another_enclave_or_over_something_else_is_unauthentic)
{
    world->trust(pki);
    HandMade node(Platform::sgx);
    const auto with = [&](auto change) {
        return node.enrol(*world, [&] {
            auto report = node.report();
            change(report);
            return pki.quote(report);
        });
    };
    EXPECT_EQ(with([](auto& report) { report.mrenclave[0] ^= 1U; }), Kind::unauthentic);
    EXPECT_EQ(with([](auto& report) { report.mrsigner[31] ^= 1U; }), Kind::unauthentic);
    EXPECT_EQ(with([](auto& report) { report.isv_prod_id ^= 1U; }), Kind::unauthentic);
    EXPECT_EQ(with([](auto& report) { report.isv_svn ^= 1U; }), Kind::unauthentic);
    EXPECT_EQ(with([](auto& report) { report.attributes.flags ^= protocol::sgx::ATTRIBUTES_DEBUG; }),
              Kind::unauthentic);
    EXPECT_EQ(with([](auto& report) { report.report_data[0] ^= 1U; }), Kind::unauthentic);
    EXPECT_EQ(with([](auto& report) { report.report_data[63] ^= 1U; }), Kind::unauthentic);
    EXPECT_EQ(with([](auto& /*report*/) {}), std::nullopt);
}

// [MEASURE-19]
TEST_F(SgxNodeTest, each_part_of_the_evidence_is_in_the_quote)
{
    const HandMade node(Platform::sgx);
    const auto data = protocol::evidence_report_data(node.evidence);
    const auto differs = [&](auto change) {
        auto other = node.evidence;
        change(other);
        return protocol::evidence_report_data(other) != data;
    };
    EXPECT_TRUE(differs([](auto& other) { other.witness.bytes[0] ^= 1U; }));
    EXPECT_TRUE(differs([](auto& other) { other.policy_key.bytes[0] ^= 1U; }));
    EXPECT_TRUE(differs([](auto& other) { other.tls_spki_sha256[0] ^= 1U; }));
    EXPECT_TRUE(differs([](auto& other) { other.exporter.bytes[0] ^= 1U; }));
    EXPECT_TRUE(differs([](auto& other) { other.nonce.bytes[0] ^= 1U; }));
}

// [EVIDENCE-12]
TEST_F(SgxNodeTest, a_quote_of_an_earlier_connection_does_not_count_in_this_one)
{
    world->trust(pki);
    HandMade node(Platform::sgx);
    ASSERT_EQ(node.enrol(*world, [&] { return node.quote(pki); }), std::nullopt);
    ASSERT_EQ(node.hello(*world, [&] { return node.quote(pki); }), std::nullopt);
    const auto old = node.quote(pki);
    EXPECT_EQ(node.hello(*world, [&] { return old; }), Kind::unauthentic);
    EXPECT_EQ(node.hello(*world, nothing), Kind::missing);
}

// [EVIDENCE-12]
TEST_F(SgxNodeTest, a_node_that_falls_back_from_sgx_is_refused)
{
    world->trust(pki);
    HandMade node(Platform::sgx);
    ASSERT_EQ(node.enrol(*world, [&] { return node.quote(pki); }), std::nullopt);
    node.evidence.chamber.platform = Platform::process;
    node.evidence.chamber.root = RootKind::file;
    EXPECT_EQ(node.hello(*world, nothing), Kind::unauthentic);
    EXPECT_TRUE(world->logged("it enrolled on SGX and runs elsewhere now"));
}

// [EVIDENCE-12]
TEST_F(SgxNodeTest, a_node_that_enrolled_elsewhere_does_not_become_one_on_sgx)
{
    world->trust(pki);
    HandMade node(Platform::process);
    ASSERT_EQ(node.enrol(*world, nothing), std::nullopt);
    node.evidence.chamber.platform = Platform::sgx;
    EXPECT_EQ(node.hello(*world, [&] { return node.quote(pki); }), Kind::unauthentic);
}

// [EVIDENCE-10]
TEST_F(SgxNodeTest, a_platform_that_intel_has_revoked_is_unacceptable)
{
    tests::SgxPkiOptions options;
    options.platform_status = "Revoked";
    const tests::SgxPki revoked(options);
    world->trust(revoked);
    HandMade node(Platform::sgx);
    EXPECT_EQ(node.enrol(*world, [&] { return node.quote(revoked); }), Kind::unacceptable);
}

// [MEASURE-20]
TEST_F(SgxNodeTest, a_tcb_that_is_out_of_date_is_a_warning_unless_the_policy_accepts_it)
{
    tests::SgxPkiOptions options;
    options.platform_status = "OutOfDate";
    const tests::SgxPki old(options);
    world->trust(old);
    HandMade node(Platform::sgx);
    ASSERT_EQ(node.enrol(*world, [&] { return node.quote(old); }), std::nullopt);
    world->set_policy(strongest);
    EXPECT_EQ(node.judged(*world, [&] { return node.quote(old); }), TrustTier::warning);
    world->set_policy(strongest + "tcb = [\"UpToDate\", \"OutOfDate\"]\n");
    EXPECT_EQ(node.judged(*world, [&] { return node.quote(old); }), TrustTier::affirming);
}

// [EVIDENCE-11]
TEST_F(SgxNodeTest, a_quote_that_leads_to_another_root_than_intels_is_simulated_and_meets_no_minimum)
{
    world->trust(pki, true);
    HandMade node(Platform::sgx);
    ASSERT_EQ(node.enrol(*world, [&] { return node.quote(pki); }), std::nullopt);
    EXPECT_TRUE(world->logged("simulated SGX, not Intel's root"));
    world->set_policy("platform = \"sgx\"\n");
    EXPECT_EQ(node.judged(*world, [&] { return node.quote(pki); }), TrustTier::contraindicated);
    EXPECT_EQ(world->verdict().root, RootKind::file);
    world->set_policy("");
    EXPECT_EQ(node.judged(*world, [&] { return node.quote(pki); }), TrustTier::affirming);
}

// [MEASURE-20]
TEST_F(SgxNodeTest, a_debug_witness_is_contraindicated_unless_the_policy_allows_it)
{
    world->trust(pki);
    HandMade node(Platform::sgx);
    node.evidence.chamber.debug = true;
    ASSERT_EQ(node.enrol(*world, [&] { return node.quote(pki); }), std::nullopt);
    EXPECT_TRUE(world->logged("DEBUG enclave"));
    world->set_policy("");
    EXPECT_EQ(node.judged(*world, [&] { return node.quote(pki); }), TrustTier::contraindicated);
    EXPECT_TRUE(world->verdict().debug);
    world->set_policy("debug = \"allowed\"\n");
    EXPECT_EQ(node.judged(*world, [&] { return node.quote(pki); }), TrustTier::affirming);
}

// [MEASURE-20]
TEST_F(SgxNodeTest, a_process_does_not_meet_a_policy_that_wants_sgx)
{
    HandMade node(Platform::process);
    ASSERT_EQ(node.enrol(*world, nothing), std::nullopt);
    world->set_policy("platform = \"sgx\"\n");
    EXPECT_EQ(node.judged(*world, nothing), TrustTier::contraindicated);
    world->set_policy("platform = \"process\"\n");
    EXPECT_EQ(node.judged(*world, nothing), TrustTier::affirming);
}

// [EVIDENCE-12]
TEST_F(SgxNodeTest, a_result_that_says_more_than_hello_did_is_refused)
{
    HandMade node(Platform::process);
    ASSERT_EQ(node.enrol(*world, nothing), std::nullopt);
    world->set_policy("");
    const auto judged_with = [&](auto change) { return node.judged(*world, nothing, change); };
    EXPECT_EQ(judged_with([](auto& head) { head.witness.platform = Platform::sgx; }), std::nullopt);
    EXPECT_EQ(judged_with([](auto& head) { head.witness.mrenclave[0] ^= 1U; }), std::nullopt);
    EXPECT_EQ(judged_with([](auto& head) {
                  head.keys[0].platform = Platform::sgx;
                  head.keys[0].root = RootKind::cpu;
                  head.key_count = 1;
              }),
              std::nullopt);
    EXPECT_EQ(judged_with([](auto& /*head*/) {}), TrustTier::affirming);
}

// Collateral in a folder, as `caisson server trust-sgx` takes it.
TEST_F(SgxNodeTest, collateral_is_verified_before_it_is_kept_and_another_root_is_called_simulated)
{
    const auto given = world->folder / "given";
    world->write_collateral(pki, given);
    const auto home = world->folder / "home";
    const auto pin = host::hex(pki.pin());
    EXPECT_FALSE(trust_sgx(home, given, "", world->now_ms)) << "to Intel's root it does not lead";
    EXPECT_FALSE(trust_sgx(home, given, "abc", world->now_ms));
    EXPECT_FALSE(trust_sgx(home, given, std::string(64, '0'), world->now_ms));
    EXPECT_FALSE(trust_sgx(home, world->folder / "nowhere", pin, world->now_ms));
    EXPECT_FALSE(trust_sgx(home, given, pin, world->now_ms + 90ULL * 86'400'000)) << "expired";
    EXPECT_TRUE(load_all_sgx_trust(home)->empty()) << "something was kept of what was refused";
    const auto family = trust_sgx(home, given, pin, world->now_ms);
    ASSERT_TRUE(family) << family.error().what;
    EXPECT_EQ(*family, "00906ed50000");
    const auto kept = load_all_sgx_trust(home);
    ASSERT_TRUE(kept && kept->size() == 1U);
    EXPECT_TRUE(kept->front().simulated);
    EXPECT_EQ(kept->front().root, pki.pin());
    std::ofstream(given / "root.sha256") << pin; // a folder cannot bring its own root
    EXPECT_FALSE(trust_sgx(home, given, "", world->now_ms));
}

} // namespace
} // namespace caisson::services::attestation
