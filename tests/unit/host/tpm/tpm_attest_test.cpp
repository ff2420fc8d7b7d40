// What a TPM attests: quote, certification, credential; and a TPM in lockout.
#include "tests/unit/host/tpm/tpm_root_world.hpp"

#include "host/store/durable_file.hpp"
#include "host/tpm/nv.hpp"
#include "host/tpm/root_record.hpp"
#include "protocol/evidence/tpm_credential.hpp"
#include "protocol/evidence/tpm_quote.hpp"

namespace caisson::host::tpm {
namespace {

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
    const auto machine_root = root->unseal(); // it needs no secret that could be guessed
    ASSERT_TRUE(machine_root) << machine_root.error().what;
    EXPECT_TRUE(root->counter(CounterOf::curve, *machine_root));
}

} // namespace
} // namespace caisson::host::tpm
