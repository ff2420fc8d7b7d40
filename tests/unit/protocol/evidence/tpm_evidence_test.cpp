// The readers and verifiers of TPM evidence, against TPMs of other makers: a set of samples with verdicts that lies
// beside the repository (skipped where it does not), and samples of a software TPM in tests/vectors/tpm.
#include "core/text.hpp"
#include "protocol/evidence/certificate_chain.hpp"
#include "protocol/evidence/tpm_credential.hpp"
#include "protocol/evidence/tpm_quote.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <ctime>
#include <filesystem>
#include <fstream>

namespace caisson::protocol::evidence {
namespace {

using Json = nlohmann::json;
using Content = std::vector<std::uint8_t>;

Content content_of(const std::filesystem::path& path)
{
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string string_of(const std::filesystem::path& path)
{
    const auto content = content_of(path);
    return std::string(text_of(content));
}

Content hex(const std::string& text)
{
    Content bytes(text.size() / 2);
    EXPECT_TRUE(read_hex(bytes, text)) << text;
    return bytes;
}

std::uint16_t hash_named(const std::string& name)
{
    return name == "sha1" ? TPM_ALG_SHA1 : name == "sha384" ? TPM_ALG_SHA384 : TPM_ALG_SHA256;
}

const std::filesystem::path shared_evidence = CAISSON_SHARED_EVIDENCE;
const std::filesystem::path own_vectors = CAISSON_TPM_VECTORS;

// PCR values as the sets write them: {"sha256": {"0": "hex", ...}}.
struct Values {
    std::vector<Content> owned;
    std::vector<PcrValue> list;

    explicit Values(const Json& banks)
    {
        owned.reserve(512);
        for (const auto& [bank, values] : banks.items()) {
            for (const auto& [index, value] : values.items()) {
                owned.push_back(hex(value.get<std::string>()));
                list.push_back({hash_named(bank), static_cast<std::uint8_t>(std::stoul(index)), owned.back()});
            }
        }
    }
};

PcrSelection required_by(const Json& wanted)
{
    PcrSelection selection;
    for (const auto& [bank, indices] : wanted.items()) {
        auto& out = selection.banks[selection.count++];
        out.hash = hash_named(bank);
        for (const auto& index : indices) {
            out.mask |= 1U << index.get<unsigned>();
        }
    }
    return selection;
}

Result<VerifiedQuote> judge(const std::filesystem::path& folder, const Json& sample, Content& attest)
{
    attest = content_of(folder / sample["file"].get<std::string>());
    const auto signature = content_of(folder / sample["signature"].get<std::string>());
    const auto pem = folder / sample["ak_public"].get<std::string>();
    const auto area_file = std::filesystem::path(pem).replace_filename("ak_pub.tpmt");
    const auto key = TRY(PublicKey::from_pem(string_of(pem)));
    QuoteDemands demands;
    const auto nonce = hex(sample["verify_with"]["nonce"].get<std::string>());
    demands.nonce = nonce;
    if (const auto& wanted = sample["verify_with"]["required_pcrs"]; wanted.is_object()) {
        demands.required = required_by(wanted);
    }
    Json banks = Json::object();
    const bool has_values = sample["pcr_values"].is_string();
    if (has_values) {
        banks = Json::parse(string_of(folder / sample["pcr_values"].get<std::string>()));
    }
    const Values values(banks);
    if (has_values) {
        demands.values = values.list;
    }
    auto verified = TRY(verify_tpm_quote({attest, signature}, key, demands));
    if (std::filesystem::exists(area_file)) {
        const auto area = content_of(area_file);
        const auto ak = TRY(read_tpm_public(area));
        TRY(expect_attestation_key(ak));
        EXPECT_TRUE(TRY(PublicKey::from_tpm(ak)) == key);
    }
    return verified;
}

void expect_fields(const TpmAttest& attest, const Json& fields)
{
    EXPECT_EQ(Content(attest.qualified_signer.begin(), attest.qualified_signer.end()),
              hex(fields["qualified_signer"].get<std::string>()));
    EXPECT_EQ(attest.clock, fields["clock"].get<std::uint64_t>());
    EXPECT_EQ(attest.reset_count, fields["reset_count"].get<std::uint32_t>());
    EXPECT_EQ(attest.restart_count, fields["restart_count"].get<std::uint32_t>());
    EXPECT_EQ(attest.safe, fields["safe"].get<bool>());
    EXPECT_EQ(attest.firmware, std::stoull(fields["firmware"].get<std::string>(), nullptr, 16));
    EXPECT_EQ(Content(attest.pcr_digest.begin(), attest.pcr_digest.end()),
              hex(fields["pcr_digest"].get<std::string>()));
    const auto expected = required_by(fields["pcr_selection"]);
    ASSERT_LE(expected.count, attest.selection.count);
    for (std::size_t index = 0; index < expected.count; ++index) {
        EXPECT_NE(std::ranges::find(attest.selection.banks, expected.banks[index]), attest.selection.banks.end());
    }
}

TEST(TpmEvidence, every_quote_of_the_shared_set_gets_its_verdict)
{
    const auto folder = shared_evidence / "tpm2";
    if (!std::filesystem::exists(folder / "manifest.json")) {
        GTEST_SKIP() << "no evidence set beside this repository (" << folder << ")";
    }
    const auto manifest = Json::parse(string_of(folder / "manifest.json"));
    std::size_t judged = 0;
    for (const auto& sample : manifest["cases"]) {
        SCOPED_TRACE(sample["id"].get<std::string>());
        Content attest;
        const auto verified = judge(folder, sample, attest);
        const auto& expect = sample["expect"];
        EXPECT_EQ(verified.has_value(), expect["outcome"] == "verified")
            << (verified ? "verified" : verified.error().what);
        if (verified) {
            expect_fields(verified->attest, expect["fields"]);
        } else if (const auto reason = expect["reason"].get<std::string>(); reason != "parse") {
            EXPECT_NE(std::string_view(verified.error().what).find(reason), std::string_view::npos)
                << verified.error().what;
        }
        ++judged;
    }
    EXPECT_GE(judged, 53U);
}

std::int64_t unix_time(const std::string& text)
{
    std::tm parts{};
    EXPECT_NE(::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts), nullptr);
    return ::timegm(&parts);
}

TEST(TpmEvidence, every_endorsement_certificate_of_the_shared_set_gets_its_verdict)
{
    const auto folder = shared_evidence / "tpm-ek-cert";
    if (!std::filesystem::exists(folder / "manifest.json")) {
        GTEST_SKIP() << "no evidence set beside this repository (" << folder << ")";
    }
    const auto authorities = CertificateAuthorities::from_pem(string_of(folder / "ca/roots.pem"),
                                                              string_of(folder / "ca/intermediates.pem"));
    ASSERT_TRUE(authorities) << authorities.error().what;
    const auto manifest = Json::parse(string_of(folder / "manifest.json"));
    for (const auto& sample : manifest["cases"]) {
        SCOPED_TRACE(sample["id"].get<std::string>());
        const auto certificate = Certificate::from_der(content_of(folder / sample["file"].get<std::string>()));
        ASSERT_TRUE(certificate);
        EXPECT_TRUE(certificate->public_key());
        const auto at = unix_time(sample["verify_at"].get<std::string>());
        const auto verified = certificate->verify(*authorities, at);
        EXPECT_EQ(verified.has_value(), sample["expect"]["outcome"] == "verified")
            << (verified ? "verified" : verified.error().what);
        if (verified) {
            const std::int64_t before_all = 0; // 1970
            const auto early = certificate->verify(*authorities, before_all);
            ASSERT_FALSE(early);
            EXPECT_EQ(early.error().kind, Kind::expired);
        }
    }
}

// Samples of a software TPM, made with tpm2-tools: tests/vectors/tpm/README.md.
struct Sample {
    Content quote;
    Content signature;
    Content ak;

    explicit Sample(const std::string& name)
        : quote(content_of(own_vectors / (name + ".quote")))
        , signature(content_of(own_vectors / (name + ".signature")))
        , ak(content_of(own_vectors / (name + ".ak")))
    {
    }
    [[nodiscard]] PublicKey key() const { return *PublicKey::from_tpm(*read_tpm_public(ak)); }
};

const Content nonce_of_samples = hex("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
const Content pcr_0(32, 0);
const Content pcr_7 = hex("debb3e7acfff6dd18d501042273629f0b79cb206bb8c24f59f62ddb80849403b");
const std::array pcr_values{PcrValue{TPM_ALG_SHA256, 0, pcr_0}, PcrValue{TPM_ALG_SHA256, 7, pcr_7}};

QuoteDemands demands_of_samples()
{
    QuoteDemands demands;
    demands.nonce = nonce_of_samples;
    demands.required.banks[0] = {TPM_ALG_SHA256, 1U << 0U | 1U << 7U};
    demands.required.count = 1;
    demands.values = pcr_values;
    return demands;
}

Kind kind_of(const auto& result)
{
    return result ? Kind{} : result.error().kind;
}

TEST(TpmEvidence, quotes_by_ecdsa_rsassa_and_rsapss_keys_verify)
{
    for (const auto* name : {"ecdsa", "rsassa", "rsapss"}) {
        SCOPED_TRACE(name);
        const Sample sample(name);
        const auto verified = verify_tpm_quote({sample.quote, sample.signature}, sample.key(), demands_of_samples());
        ASSERT_TRUE(verified) << verified.error().what;
        EXPECT_EQ(verified->hash, TPM_ALG_SHA256);
        EXPECT_TRUE(expect_attestation_key(*read_tpm_public(sample.ak)));
    }
}

// [TPM-1]
TEST(TpmEvidence, every_truncation_and_every_byte_behind_is_refused)
{
    const Sample sample("ecdsa");
    const auto key = sample.key();
    for (std::size_t size = 0; size < sample.quote.size(); ++size) {
        EXPECT_FALSE(read_tpm_attest(Bytes(sample.quote).first(size), TPM_ST_ATTEST_QUOTE)) << size;
    }
    for (std::size_t size = 0; size < sample.signature.size(); ++size) {
        EXPECT_FALSE(read_tpm_signature(Bytes(sample.signature).first(size))) << size;
    }
    for (std::size_t size = 0; size < sample.ak.size(); ++size) {
        EXPECT_FALSE(read_tpm_public(Bytes(sample.ak).first(size))) << size;
    }
    for (auto longer : {sample.quote, sample.signature, sample.ak}) {
        longer.push_back(0);
        EXPECT_FALSE(read_tpm_attest(longer, TPM_ST_ATTEST_QUOTE));
        EXPECT_FALSE(read_tpm_signature(longer));
        EXPECT_FALSE(read_tpm_public(longer));
    }
}

// [TPM-2]
TEST(TpmEvidence, every_flipped_bit_of_quote_and_signature_is_refused)
{
    for (const auto* name : {"ecdsa", "rsassa"}) {
        const Sample sample(name);
        const auto key = sample.key();
        for (std::size_t bit = 0; bit < 8 * sample.quote.size(); ++bit) {
            auto flipped = sample.quote;
            flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
            EXPECT_FALSE(verify_tpm_quote({flipped, sample.signature}, key, demands_of_samples())) << bit;
        }
        for (std::size_t bit = 0; bit < 8 * sample.signature.size(); ++bit) {
            auto flipped = sample.signature;
            flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
            EXPECT_FALSE(verify_tpm_quote({sample.quote, flipped}, key, demands_of_samples())) << bit;
        }
    }
}

TEST(TpmEvidence, a_quote_for_another_question_is_unauthentic)
{
    const Sample sample("ecdsa");
    auto demands = demands_of_samples();
    auto other = nonce_of_samples;
    other.back() ^= 1U;
    for (const Bytes nonce : {Bytes(other), Bytes(nonce_of_samples).first(31), Bytes()}) {
        demands.nonce = nonce;
        EXPECT_EQ(kind_of(verify_tpm_quote({sample.quote, sample.signature}, sample.key(), demands)),
                  Kind::unauthentic);
    }
}

TEST(TpmEvidence, a_quote_of_other_pcrs_than_required_is_unacceptable)
{
    const Sample sample("ecdsa");
    auto demands = demands_of_samples();
    demands.required.banks[0].mask |= 1U << 4U;
    EXPECT_EQ(kind_of(verify_tpm_quote({sample.quote, sample.signature}, sample.key(), demands)), Kind::unacceptable);
    demands.required.banks[0] = {TPM_ALG_SHA1, 1};
    EXPECT_EQ(kind_of(verify_tpm_quote({sample.quote, sample.signature}, sample.key(), demands)), Kind::unacceptable);
}

TEST(TpmEvidence, other_pcr_values_than_the_quoted_are_unauthentic)
{
    const Sample sample("ecdsa");
    auto demands = demands_of_samples();
    const std::array swapped{PcrValue{TPM_ALG_SHA256, 0, pcr_7}, PcrValue{TPM_ALG_SHA256, 7, pcr_0}};
    const std::array missing{PcrValue{TPM_ALG_SHA256, 0, pcr_0}};
    const std::array shorter{PcrValue{TPM_ALG_SHA256, 0, pcr_0}, PcrValue{TPM_ALG_SHA256, 7, Bytes(pcr_7).first(31)}};
    for (const std::span<const PcrValue> values :
         {std::span<const PcrValue>(swapped), std::span<const PcrValue>(missing), std::span<const PcrValue>(shorter)}) {
        demands.values = values;
        EXPECT_EQ(kind_of(verify_tpm_quote({sample.quote, sample.signature}, sample.key(), demands)),
                  Kind::unauthentic);
    }
}

// [TPM-3]
TEST(TpmEvidence, the_content_of_an_index_is_believed_only_of_that_index)
{
    const auto certified = content_of(own_vectors / "nv.certified");
    const auto signature = content_of(own_vectors / "nv.signature");
    const auto area = content_of(own_vectors / "nv.ak");
    const auto key = *PublicKey::from_tpm(*read_tpm_public(area));
    const NvPublic index{0x0180ca20, 0x2e060044, 32};
    EXPECT_EQ(nv_name(index), hex("000bcc1ae57f893256038516a3800ff5793cc4ad40d8b8ef1b3750ef702907f88ff7"));
    const auto content = verify_nv_certify({certified, signature}, key, nonce_of_samples, nv_name(index));
    ASSERT_TRUE(content) << content.error().what;
    EXPECT_EQ(content->size(), 32U);
    auto writable = index;
    writable.attributes ^= 0x40; // an ordinary index, that anybody may write to
    EXPECT_EQ(kind_of(verify_nv_certify({certified, signature}, key, nonce_of_samples, nv_name(writable))),
              Kind::unacceptable);
    EXPECT_EQ(kind_of(verify_nv_certify({certified, signature}, key, Bytes(), nv_name(index))), Kind::unauthentic);
    EXPECT_EQ(kind_of(verify_tpm_quote({certified, signature}, key, demands_of_samples())), Kind::unacceptable);
    for (std::size_t bit = 0; bit < 8 * certified.size(); ++bit) {
        auto flipped = certified;
        flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        EXPECT_FALSE(verify_nv_certify({flipped, signature}, key, nonce_of_samples, nv_name(index))) << bit;
    }
}

// [TPM-4]
TEST(TpmEvidence, a_key_that_signs_what_no_tpm_made_is_no_attestation_key)
{
    const Sample sample("ecdsa");
    auto area = *read_tpm_public(sample.ak);
    for (const auto missing : {object_fixed_tpm, object_fixed_parent, object_sensitive_data_origin, object_restricted,
                               object_sign_encrypt, object_decrypt}) {
        auto changed = area;
        changed.attributes ^= missing;
        EXPECT_EQ(kind_of(expect_attestation_key(changed)), Kind::unacceptable) << missing;
    }
}

// [TPM-5]
TEST(TpmEvidence, a_certificate_without_a_chain_to_a_root_is_unauthentic)
{
    EXPECT_EQ(kind_of(CertificateAuthorities::from_pem("", "")), Kind::malformed);
    EXPECT_EQ(kind_of(CertificateAuthorities::from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n", "")), Kind::malformed);
    EXPECT_EQ(kind_of(Certificate::from_der({})), Kind::malformed);
    const auto folder = shared_evidence / "tpm-ek-cert";
    if (!std::filesystem::exists(folder)) {
        GTEST_SKIP() << "no evidence set beside this repository (" << folder << ")";
    }
    const auto der = content_of(folder / "certs/nuvoton_ecdsa_sha256_der.der");
    for (std::size_t size = 0; size < der.size(); size += 7) {
        EXPECT_EQ(kind_of(Certificate::from_der(Bytes(der).first(size))), Kind::malformed);
    }
    auto behind = der;
    behind.push_back(1);
    EXPECT_EQ(kind_of(Certificate::from_der(behind)), Kind::malformed);
    // The right intermediates without their root: nothing a prover could bring is a root.
    const auto others = CertificateAuthorities::from_pem(string_of(folder / "ca/roots.pem"), "");
    ASSERT_TRUE(others);
    const auto google = Certificate::from_der(content_of(folder / "certs/gce_ak_no_nonce.der"));
    EXPECT_EQ(kind_of(google->verify(*others, unix_time("2022-03-19T23:11:05Z"))), Kind::unauthentic);
}

// [TPM-6]
TEST(TpmEvidence, a_credential_is_made_only_to_a_restricted_storage_key)
{
    const Sample sample("ecdsa");
    const auto name = tpm_name(TPM_ALG_SHA256, sample.ak);
    EXPECT_EQ(kind_of(make_credential(*read_tpm_public(sample.ak), *name, {})), Kind::unacceptable);
}

} // namespace
} // namespace caisson::protocol::evidence
