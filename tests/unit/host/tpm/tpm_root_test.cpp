// The TPM root on a software TPM: what it gives back, and everything it must refuse.
#include "host/tpm/tpm_root.hpp"

#include "core/text.hpp"
#include "host/store/durable_file.hpp"
#include "host/tpm/nv.hpp"
#include "host/tpm/root_record.hpp"
#include "protocol/evidence/tpm_credential.hpp"
#include "protocol/evidence/tpm_policy.hpp"
#include "protocol/evidence/tpm_quote.hpp"
#include "tests/support/software_tpm.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace caisson::host::tpm {
namespace {

namespace evidence = protocol::evidence;
using namespace std::chrono_literals;

constexpr Digest first_image{1};
constexpr Digest second_image{2};
constexpr const char* extend_pcr_7 =
    "tpm2_pcrextend 7:sha256=abababababababababababababababababababababababababababababababab";

std::string hex(Bytes bytes)
{
    std::string text(2 * bytes.size(), '\0');
    write_hex(text, bytes);
    return text;
}

class TpmRootTest : public testing::Test {
  protected:
    void SetUp() override
    {
        if (!tests::SoftwareTpm::is_installed()) {
            GTEST_SKIP() << "swtpm is not installed (packages/check.txt)";
        }
        std::string pattern = (std::filesystem::temp_directory_path() / "caisson-tpm-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        tpm_ = std::make_unique<tests::SoftwareTpm>(folder_ / "tpm");
    }
    void TearDown() override
    {
        tpm_.reset();
        std::error_code error;
        std::filesystem::remove_all(folder_, error);
    }

    [[nodiscard]] Provision wish() const
    {
        Provision provision;
        provision.tpm.address = tpm_->address();
        provision.owner = folder_ / "owner";
        return provision;
    }
    // Provisions and lets go of the TPM: a software TPM serves one connection at a time.
    void provision(const Provision& wish) const
    {
        const auto root = TpmRoot::provision(home(), wish);
        ASSERT_TRUE(root) << root.error().what;
    }
    [[nodiscard]] std::filesystem::path home() const { return folder_ / "home"; }
    [[nodiscard]] std::filesystem::path other_home() const { return folder_ / "other"; }

    [[nodiscard]] Outcome<MachineRoot> unseal() const
    {
        auto root = TRY(TpmRoot::open(home(), 5s));
        return root.unseal();
    }
    [[nodiscard]] std::string unsealed() const
    {
        const auto root = unseal();
        return root ? hex(root->expose()) : root.error().what;
    }
    // A P-256 key pair; returns the secret key as PEM.
    [[nodiscard]] std::string make_signer(const std::string& name) const
    {
        const auto file = folder_ / (name + ".pem");
        const auto line =
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + file.string() + " 2>/dev/null";
        EXPECT_EQ(std::system(line.c_str()), 0);
        std::ifstream stream(file);
        return {std::istreambuf_iterator<char>(stream), {}};
    }
    Done approve(const std::string& signer_pem) const
    {
        auto root = TRY(TpmRoot::open(home()));
        const auto policy = TRY(root.policy_of_now());
        const auto signature = TRY(evidence::approve_policy(signer_pem, policy));
        return root.accept_approval(policy, signature);
    }

    std::filesystem::path folder_;
    std::unique_ptr<tests::SoftwareTpm> tpm_;
};

TEST_F(TpmRootTest, a_root_comes_back_the_same_as_often_as_it_is_asked_for)
{
    provision(wish());
    const auto first = unsealed();
    EXPECT_EQ(first.size(), 64U) << first;
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    for (int turn = 0; turn < 8; ++turn) { // more than a TPM has room for, if anything stayed
        const auto again = root->unseal();
        ASSERT_TRUE(again) << again.error().what;
        EXPECT_EQ(hex(again->expose()), first);
    }
}

TEST_F(TpmRootTest, it_survives_a_restart_of_the_tpm)
{
    provision(wish());
    const auto before = unsealed();
    tpm_->restart();
    EXPECT_EQ(unsealed(), before);
}

TEST_F(TpmRootTest, nothing_on_disk_holds_the_root)
{
    provision(wish());
    const auto root = unsealed();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(home())) {
        if (entry.is_regular_file()) {
            std::ifstream file(entry.path());
            const std::string text(std::istreambuf_iterator<char>(file), {});
            EXPECT_EQ(text.find(root), std::string::npos) << entry.path();
        }
    }
}

TEST_F(TpmRootTest, a_software_tpm_says_so)
{
    provision(wish());
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const auto facts = root->facts();
    ASSERT_TRUE(facts);
    EXPECT_TRUE(facts->tpm.software);
    EXPECT_EQ(facts->tpm.manufacturer, "IBM");
    EXPECT_TRUE(facts->tpm.owner_set);
    EXPECT_FALSE(facts->tpm.in_lockout);
}

// [TPM-10]
TEST_F(TpmRootTest, after_a_pcr_was_extended_the_root_stays_sealed)
{
    provision(wish());
    ASSERT_EQ(tpm_->tool(extend_pcr_7), 0);
    const auto refused = unseal();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unacceptable);
    EXPECT_NE(refused.error().what.find("TPM_RC_POLICY_FAIL"), std::string::npos) << refused.error().what;
    EXPECT_NE(refused.error().what.find("caisson root reseal"), std::string::npos) << refused.error().what;
}

TEST_F(TpmRootTest, a_pcr_that_it_is_not_sealed_to_may_change)
{
    provision(wish());
    const auto before = unsealed();
    ASSERT_EQ(tpm_->tool("tpm2_pcrextend 12:sha256=" + std::string(64, 'c')), 0);
    EXPECT_EQ(unsealed(), before);
}

TEST_F(TpmRootTest, the_owner_seals_it_anew_to_what_the_machine_is_now)
{
    provision(wish());
    const auto before = unsealed();
    ASSERT_EQ(tpm_->tool(extend_pcr_7), 0);
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        const auto done = root->reseal(folder_ / "owner", {});
        ASSERT_TRUE(done) << done.error().what;
    }
    EXPECT_EQ(unsealed(), before);
}

TEST_F(TpmRootTest, a_wrong_owner_seals_nothing_anew)
{
    provision(wish());
    ASSERT_EQ(tpm_->tool(extend_pcr_7), 0);
    const auto record_before = record_text(*load_record(home()));
    const auto wrong = folder_ / "wrong";
    ASSERT_TRUE(store::store_file(wrong, bytes_of(std::string(64, 'd') + "\n"), 0600, store::Existing::replace));
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const auto done = root->reseal(wrong, {});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, Kind::forbidden) << done.error().what;
    EXPECT_EQ(record_text(*load_record(home())), record_before);
}

TEST_F(TpmRootTest, an_owner_file_that_is_none_is_malformed)
{
    for (const auto& text : {std::string(), std::string(63, 'a'), std::string(66, 'a'), std::string(64, 'x')}) {
        ASSERT_TRUE(store::store_file(folder_ / "owner", bytes_of(text), 0600, store::Existing::replace));
        const auto root = TpmRoot::provision(home(), wish());
        ASSERT_FALSE(root);
        EXPECT_EQ(root.error().kind, Kind::malformed);
    }
}

TEST_F(TpmRootTest, a_tpm_with_another_owner_is_left_alone)
{
    ASSERT_EQ(tpm_->tool("tpm2_changeauth -c owner secret"), 0);
    const auto without = TpmRoot::provision(home(), wish());
    ASSERT_FALSE(without);
    EXPECT_EQ(without.error().kind, Kind::forbidden);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "owner"));
    ASSERT_TRUE(store::store_file(folder_ / "owner", bytes_of(std::string(64, 'a')), 0600, store::Existing::keep));
    const auto wrong = TpmRoot::provision(home(), wish());
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().kind, Kind::forbidden) << wrong.error().what;
    EXPECT_FALSE(TpmRoot::is_in(home()));
}

TEST_F(TpmRootTest, a_second_home_gets_a_root_of_its_own)
{
    provision(wish());
    const auto first = unsealed();
    {
        auto other = TpmRoot::provision(other_home(), wish());
        ASSERT_TRUE(other) << other.error().what;
        const auto second = other->unseal();
        ASSERT_TRUE(second);
        EXPECT_NE(hex(second->expose()), first);
    }
    EXPECT_EQ(unsealed(), first);
}

TEST_F(TpmRootTest, a_home_that_has_a_root_gets_no_other)
{
    provision(wish());
    const auto before = unsealed();
    const auto again = TpmRoot::provision(home(), wish());
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind, Kind::conflict);
    EXPECT_EQ(unsealed(), before);
}

// Which TPM ---------------------------------------------------------------------------------------------------------

TEST_F(TpmRootTest, an_absent_tpm_is_missing)
{
    provision(wish());
    tpm_->stop();
    const auto gone = unseal();
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().kind, Kind::missing) << gone.error().what;

    auto provision = wish();
    provision.tpm.address = "device:" + (folder_ / "tpmrm9").string();
    const auto no_device = TpmRoot::provision(other_home(), provision);
    ASSERT_FALSE(no_device);
    EXPECT_EQ(no_device.error().kind, Kind::missing);
    EXPECT_NE(no_device.error().what.find("there is none"), std::string::npos) << no_device.error().what;

    provision.tpm.address = "mssim:host=localhost";
    const auto no_address = TpmRoot::provision(other_home(), provision);
    ASSERT_FALSE(no_address);
    EXPECT_EQ(no_address.error().kind, Kind::malformed);
}

TEST_F(TpmRootTest, a_tpm_that_dies_meanwhile_is_unavailable)
{
    provision(wish());
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    tpm_->stop();
    const auto dead = root->unseal();
    ASSERT_FALSE(dead);
    EXPECT_EQ(dead.error().kind, Kind::unavailable);
    EXPECT_NE(dead.error().what.find("ended the connection"), std::string::npos) << dead.error().what;
}

TEST_F(TpmRootTest, a_tpm_that_hangs_is_given_up)
{
    provision(wish());
    {
        auto root = TpmRoot::open(home(), 2s);
        ASSERT_TRUE(root) << root.error().what;
        tpm_->freeze();
        const auto hung = root->unseal();
        ASSERT_FALSE(hung);
        EXPECT_EQ(hung.error().kind, Kind::unavailable);
        EXPECT_NE(hung.error().what.find("did not answer in time"), std::string::npos) << hung.error().what;
        tpm_->thaw();
        EXPECT_FALSE(root->unseal()); // a late answer is not taken for the next one
    }
    EXPECT_TRUE(unseal());
}

// [TPM-11]
TEST_F(TpmRootTest, another_tpm_is_a_wrong_root)
{
    provision(wish());
    tpm_.reset();
    std::filesystem::rename(folder_ / "tpm", folder_ / "old");
    tpm_ = std::make_unique<tests::SoftwareTpm>(folder_ / "tpm");
    const auto blank = unseal();
    ASSERT_FALSE(blank);
    EXPECT_EQ(blank.error().kind, Kind::missing);
    EXPECT_NE(blank.error().what.find("another TPM"), std::string::npos) << blank.error().what;

    ASSERT_TRUE(TpmRoot::provision(other_home(), wish()));
    const auto foreign = unseal();
    ASSERT_FALSE(foreign);
    EXPECT_EQ(foreign.error().kind, Kind::unauthentic);
    EXPECT_NE(foreign.error().what.find("another TPM"), std::string::npos) << foreign.error().what;

    // Even with the pins forged the other TPM does not open it.
    auto forged = *load_record(home());
    const auto theirs = *load_record(other_home());
    forged.srk_name = theirs.srk_name;
    forged.ak_name = theirs.ak_name;
    ASSERT_TRUE(store_record(home(), forged));
    const auto opened = unseal();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, Kind::unauthentic) << opened.error().what;
    EXPECT_NE(opened.error().what.find("TPM_RC_INTEGRITY"), std::string::npos) << opened.error().what;
}

TEST_F(TpmRootTest, a_cleared_tpm_is_another_one)
{
    provision(wish());
    ASSERT_EQ(tpm_->tool("tpm2_clear -c platform"), 0);
    const auto cleared = unseal();
    ASSERT_FALSE(cleared);
    EXPECT_EQ(cleared.error().kind, Kind::missing);
}

// [TPM-7]
TEST_F(TpmRootTest, nobody_but_the_owner_clears_it_from_the_running_system)
{
    provision(wish());
    EXPECT_NE(tpm_->tool("tpm2_clear -c lockout"), 0);
    EXPECT_TRUE(unseal());
}

TEST_F(TpmRootTest, an_altered_sealed_root_does_not_open)
{
    provision(wish());
    auto record = *load_record(home());
    record.release.secret.back() ^= 1U;
    ASSERT_TRUE(store_record(home(), record));
    const auto altered = unseal();
    ASSERT_FALSE(altered);
    EXPECT_EQ(altered.error().kind, Kind::unauthentic) << altered.error().what;
}

// The register ------------------------------------------------------------------------------------------------------

// [TPM-8]
TEST_F(TpmRootTest, the_register_takes_each_image_once_and_is_empty_after_a_restart)
{
    provision(wish());
    const std::array both{first_image, second_image};
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        const auto one = root->register_images(std::span(both).first(1));
        ASSERT_TRUE(one) << one.error().what;
        EXPECT_EQ(one->size(), 1U);
        const auto two = root->register_images(both);
        ASSERT_TRUE(two) << two.error().what;
        EXPECT_EQ(*two, std::vector<Digest>(both.begin(), both.end()));
        EXPECT_EQ(*root->register_images(both), *two);
    }
    tpm_->restart();
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const auto after = root->register_images(std::span(both).last(1));
    ASSERT_TRUE(after) << after.error().what;
    EXPECT_EQ(*after, std::vector<Digest>{second_image});
}

TEST_F(TpmRootTest, a_register_that_somebody_else_extended_is_a_conflict)
{
    provision(wish());
    const auto slot = load_record(home())->slot;
    std::ofstream(tpm_->folder() / "digest") << std::string(32, 'x');
    ASSERT_EQ(tpm_->tool("tpm2_nvextend -C " + std::to_string(slot) + " -i digest " + std::to_string(slot)), 0);
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const auto images = root->register_images(std::span(&first_image, 1));
    ASSERT_FALSE(images);
    EXPECT_EQ(images.error().kind, Kind::conflict);
}

TEST_F(TpmRootTest, a_crash_between_log_and_register_is_mended)
{
    provision(wish());
    const std::array both{first_image, second_image};
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    ASSERT_TRUE(root->register_images(std::span(both).first(1)));
    ASSERT_TRUE(store_image_log(home(), both)); // written, but not extended
    const auto mended = root->register_images(both);
    ASSERT_TRUE(mended) << mended.error().what;
    EXPECT_EQ(*mended, std::vector<Digest>(both.begin(), both.end()));
}

// [TPM-12]
TEST_F(TpmRootTest, a_root_bound_to_images_is_refused_after_a_second_extension)
{
    auto provision_wish = wish();
    provision_wish.approved_register = register_after(std::span(&first_image, 1));
    provision(provision_wish);
    const auto before_launch = unseal();
    ASSERT_FALSE(before_launch); // nothing is registered yet
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        ASSERT_TRUE(root->register_images(std::span(&first_image, 1)));
    }
    ASSERT_TRUE(unseal()) << unsealed();
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        ASSERT_TRUE(root->register_images(std::span(&second_image, 1)));
    }
    const auto refused = unseal();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unacceptable);
    EXPECT_NE(refused.error().what.find("TPM_RC_POLICY:"), std::string::npos) << refused.error().what;
}

// Signed approvals --------------------------------------------------------------------------------------------------

TEST_F(TpmRootTest, an_approved_state_releases_the_root_and_a_new_one_after_a_new_approval)
{
    const auto signer = make_signer("vendor");
    auto provision_wish = wish();
    provision_wish.signer_pem = signer;
    provision(provision_wish);
    const auto early = unseal();
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().kind, Kind::unacceptable);
    const auto accepted = approve(signer);
    ASSERT_TRUE(accepted) << accepted.error().what;
    const auto before = unsealed();
    EXPECT_EQ(before.size(), 64U) << before;
    const auto sealed_before = load_record(home())->release.secret;

    ASSERT_EQ(tpm_->tool(extend_pcr_7), 0); // a new boot loader
    const auto unapproved = unseal();
    ASSERT_FALSE(unapproved);
    EXPECT_EQ(unapproved.error().kind, Kind::unacceptable);
    EXPECT_NE(unapproved.error().what.find("approved other PCRs"), std::string::npos) << unapproved.error().what;
    ASSERT_TRUE(approve(signer));
    EXPECT_EQ(unsealed(), before);
    EXPECT_EQ(load_record(home())->release.secret, sealed_before); // nothing was sealed anew
}

TEST_F(TpmRootTest, another_signers_approval_is_refused_and_changes_nothing)
{
    auto provision_wish = wish();
    provision_wish.signer_pem = make_signer("vendor");
    provision(provision_wish);
    ASSERT_TRUE(approve(provision_wish.signer_pem));
    const auto before = record_text(*load_record(home()));
    const auto refused = approve(make_signer("stranger"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unauthentic) << refused.error().what;
    EXPECT_EQ(record_text(*load_record(home())), before);
}

TEST_F(TpmRootTest, the_signers_approval_of_another_state_is_refused)
{
    const auto signer = make_signer("vendor");
    auto provision_wish = wish();
    provision_wish.signer_pem = signer;
    provision(provision_wish);
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const Digest other{9};
    const auto signature = evidence::approve_policy(signer, other);
    ASSERT_TRUE(signature);
    const auto refused = root->accept_approval(other, *signature);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unacceptable) << refused.error().what;
}

// Evidence ----------------------------------------------------------------------------------------------------------

struct Judged {
    Result<evidence::VerifiedQuote> quote = fail(Kind::missing, "");
    Result<Bytes> content = fail(Kind::missing, "");
};

Judged judge(const Attestation& attestation, Bytes ak_public, const Digest& extra, std::uint32_t slot)
{
    const auto ak = evidence::read_tpm_public(ak_public);
    EXPECT_TRUE(ak) << ak.error().what;
    EXPECT_TRUE(evidence::expect_attestation_key(*ak));
    const auto key = evidence::PublicKey::from_tpm(*ak);
    EXPECT_TRUE(key);
    std::vector<evidence::PcrValue> values;
    std::size_t next = 0;
    for (std::uint8_t pcr = 0; pcr < 24; ++pcr) {
        if ((attestation.pcr_mask >> pcr & 1U) != 0) {
            values.push_back({evidence::TPM_ALG_SHA256, pcr, attestation.pcrs[next++]});
        }
    }
    evidence::QuoteDemands demands;
    demands.nonce = extra;
    demands.required.banks[0] = {evidence::TPM_ALG_SHA256, attestation.pcr_mask};
    demands.required.count = 1;
    demands.values = values;
    const auto name = evidence::nv_name({slot, register_attributes | (1U << 29U), sizeof(Digest)});
    return {verify_tpm_quote({attestation.quote, attestation.quote_signature}, *key, demands),
            verify_nv_certify({attestation.certified, attestation.certified_signature}, *key, extra, name)};
}

void write_file(const std::filesystem::path& path, Bytes content)
{
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
}

// [TPM-9]
TEST_F(TpmRootTest, quote_and_certification_verify_here_and_with_tpm2_tools)
{
    provision(wish());
    const Digest extra{7, 7, 7};
    const Digest wrong{8};
    Attestation attestation;
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        ASSERT_TRUE(root->register_images(std::span(&first_image, 1)));
        const auto attested = root->attest(extra);
        ASSERT_TRUE(attested) << attested.error().what;
        attestation = *attested;
        const auto facts = root->facts();
        const auto slot = load_record(home())->slot;
        const auto good = judge(attestation, facts->ak_public, extra, slot);
        EXPECT_TRUE(good.quote) << good.quote.error().what;
        ASSERT_TRUE(good.content) << good.content.error().what;
        EXPECT_TRUE(same_bytes(*good.content, register_after(std::span(&first_image, 1))));
        const auto bad = judge(attestation, facts->ak_public, wrong, slot);
        EXPECT_FALSE(bad.quote);
        EXPECT_FALSE(bad.content);
    }
    write_file(tpm_->folder() / "quote", attestation.quote);
    write_file(tpm_->folder() / "signature", attestation.quote_signature);
    ASSERT_EQ(tpm_->tool("tpm2_readpublic -c 0x8100ca02 -f pem -o ak.pem"), 0);
    const std::string check = "tpm2_checkquote -u ak.pem -m quote -s signature -g sha256 -q ";
    EXPECT_EQ(tpm_->tool(check + hex(extra)), 0);
    EXPECT_NE(tpm_->tool(check + hex(wrong)), 0);
}

// [TPM-6]
TEST_F(TpmRootTest, a_credential_opens_in_this_tpm_for_this_key_alone)
{
    provision(wish());
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const auto offer = root->endorsement();
    ASSERT_TRUE(offer) << offer.error().what;
    const auto ek = evidence::read_tpm_public(offer->ek_public);
    ASSERT_TRUE(ek) << ek.error().what;
    const auto ak_name = evidence::tpm_name(evidence::TPM_ALG_SHA256, offer->ak_public);
    const evidence::CredentialSecret secret{3, 1, 4, 1, 5};
    const auto credential = evidence::make_credential(*ek, *ak_name, secret);
    ASSERT_TRUE(credential) << credential.error().what;
    const auto opened = root->activate(credential->id_object, credential->encrypted_secret);
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_EQ(*opened, std::vector<std::uint8_t>(secret.begin(), secret.end()));

    auto other_name = *ak_name;
    other_name.back() ^= 1U;
    const auto foreign = evidence::make_credential(*ek, other_name, secret);
    ASSERT_TRUE(foreign);
    EXPECT_FALSE(root->activate(foreign->id_object, foreign->encrypted_secret));
    auto altered = *credential;
    altered.id_object.back() ^= 1U;
    EXPECT_FALSE(root->activate(altered.id_object, altered.encrypted_secret));
}

TEST_F(TpmRootTest, a_tpm_in_lockout_attests_nothing_and_says_so)
{
    provision(wish());
    std::ifstream owner_file(folder_ / "owner");
    std::string owner;
    owner_file >> owner;
    ASSERT_EQ(tpm_->tool("tpm2_dictionarylockout -s -n 1 -t 1000 -l 1000 -p hex:" + owner), 0);
    ASSERT_EQ(tpm_->tool("tpm2_createprimary -C n -G ecc -p right -c object.ctx -a "
                         "'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt'"),
              0);
    EXPECT_NE(tpm_->tool("tpm2_create -C object.ctx -P wrong -u x.pub -r x.priv"), 0);
    EXPECT_EQ(tpm_->tool("tpm2_flushcontext -t"), 0);
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root) << root.error().what;
    EXPECT_TRUE(root->facts()->tpm.in_lockout);
    const auto refused = root->attest(Digest{1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::exhausted);
    EXPECT_NE(refused.error().what.find("TPM_RC_LOCKOUT"), std::string::npos) << refused.error().what;
    EXPECT_TRUE(root->unseal()); // the machine root needs no secret that could be guessed
}

// Counters ----------------------------------------------------------------------------------------------------------

// [TPM-13]
TEST_F(TpmRootTest, counters_rise_and_never_fall)
{
    provision(wish());
    const auto machine_root = unseal();
    ASSERT_TRUE(machine_root);
    std::uint64_t first = 0;
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        const auto before = root->counter(CounterOf::curve, *machine_root);
        const auto other = root->counter(CounterOf::witness, *machine_root);
        ASSERT_TRUE(before) << before.error().what;
        ASSERT_TRUE(other);
        first = *before;
        ASSERT_TRUE(root->raise_counter(CounterOf::curve, *machine_root));
        EXPECT_EQ(*root->counter(CounterOf::curve, *machine_root), first + 1);
        EXPECT_EQ(*root->counter(CounterOf::witness, *machine_root), *other);
    }
    tpm_->restart();
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    EXPECT_EQ(*root->counter(CounterOf::curve, *machine_root), first + 1);
}

TEST_F(TpmRootTest, a_counter_is_not_anothers_to_raise)
{
    provision(wish());
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    MachineRoot stranger;
    const auto raised = root->raise_counter(CounterOf::curve, stranger);
    ASSERT_FALSE(raised);
    EXPECT_EQ(raised.error().kind, Kind::forbidden) << raised.error().what;
    EXPECT_FALSE(root->counter(CounterOf::curve, stranger));
    EXPECT_FALSE(root->facts()->tpm.in_lockout);
}

} // namespace
} // namespace caisson::host::tpm
