// Quotes and collateral of a PKI that the test makes: each clause of docs/spec/evidence.md, kept and broken.
#include "protocol/evidence/json.hpp"
#include "protocol/evidence/sgx_verify.hpp"
#include "tests/support/sgx_pki.hpp"

#include <gtest/gtest.h>

namespace caisson::protocol::evidence {
namespace {

using tests::sgx_pki_now;
using tests::SgxPki;
using tests::SgxPkiOptions;
using Buffer = std::vector<std::uint8_t>;

sgx::Report own_report()
{
    sgx::Report report{};
    report.attributes.flags = sgx::ATTRIBUTES_INIT | sgx::ATTRIBUTES_MODE64BIT;
    report.mrenclave.fill(0xe1);
    report.mrsigner.fill(0x51);
    report.isv_svn = 3;
    report.report_data.fill(0xda);
    return report;
}

Result<SgxVerdict> verdict_of(const SgxPki& pki, Bytes quote, std::int64_t now = sgx_pki_now)
{
    return verify_sgx_quote(quote, pki.collateral(), pki.pin(), now);
}

Result<SgxVerdict> verdict_of(const SgxPki& pki)
{
    return verdict_of(pki, pki.quote(own_report()));
}

Kind refusal_of(const SgxPki& pki)
{
    const auto verdict = verdict_of(pki);
    EXPECT_FALSE(verdict);
    return verdict ? Kind::missing : verdict.error().kind;
}

TEST(SgxVerify, a_genuine_quote_gives_what_the_report_said)
{
    const auto verdict = verdict_of(SgxPki());
    ASSERT_TRUE(verdict) << verdict.error().what;
    EXPECT_EQ(verdict->body.mrenclave, own_report().mrenclave);
    EXPECT_EQ(verdict->body.report_data, own_report().report_data);
    EXPECT_EQ(verdict->body.isv_svn, 3);
    EXPECT_FALSE(verdict->debug);
    EXPECT_EQ(verdict->status, TcbStatus::UpToDate);
    EXPECT_EQ(verdict->advisories, std::vector<std::string>{"TEST-SA-1"});
}

TEST(SgxVerify, a_debug_enclave_is_told)
{
    const SgxPki pki;
    auto report = own_report();
    report.attributes.flags |= sgx::ATTRIBUTES_DEBUG;
    const auto verdict = verdict_of(pki, pki.quote(report));
    ASSERT_TRUE(verdict);
    EXPECT_TRUE(verdict->debug);
}

// [EVIDENCE-1]
TEST(SgxVerify, another_version_key_type_tee_or_vendor_is_malformed)
{
    const SgxPki pki;
    for (const std::size_t at : {0U, 2U, 4U, 12U, 27U}) {
        auto quote = pki.quote(own_report());
        quote[at] = static_cast<std::uint8_t>(quote[at] ^ 1U);
        const auto verdict = verdict_of(pki, quote);
        ASSERT_FALSE(verdict) << at;
        EXPECT_EQ(verdict.error().kind, Kind::malformed) << at;
    }
    EXPECT_EQ(verdict_of(pki, Buffer(quote_bytes_max + 1)).error().kind, Kind::exhausted);
}

// [EVIDENCE-2]
TEST(SgxVerify, sizes_must_add_up_and_what_follows_is_ignored)
{
    const SgxPki pki;
    auto quote = pki.quote(own_report());
    for (std::size_t size = 0; size < quote.size(); size += 7) {
        EXPECT_FALSE(verdict_of(pki, Bytes(quote).first(size))) << size;
    }
    for (const std::size_t at : {432U, 435U, 1012U, 1046U, 1048U, 1051U}) { // each size field, and the type
        auto changed = quote;
        changed[at] = static_cast<std::uint8_t>(changed[at] ^ 0x81U);
        EXPECT_FALSE(verdict_of(pki, changed)) << at;
    }
    quote.resize(quote.size() + 70);
    EXPECT_TRUE(verdict_of(pki, quote));
}

// [EVIDENCE-3]
TEST(SgxVerify, no_signed_byte_may_change)
{
    const SgxPki pki;
    const auto quote = pki.quote(own_report());
    for (std::size_t at = 8; at < 1012 + 2 + 32; at += 5) {
        auto changed = quote;
        changed[at] = static_cast<std::uint8_t>(changed[at] ^ 0x10U);
        EXPECT_FALSE(verdict_of(pki, changed)) << at;
    }
}

// [EVIDENCE-4]
TEST(SgxVerify, a_chain_of_another_length_or_through_no_authority_is_refused)
{
    SgxPkiOptions options;
    options.long_chain = true;
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::malformed);
    options = {};
    options.intermediate_is_ca = false;
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::unauthentic);
}

// [EVIDENCE-4]
TEST(SgxVerify, certificates_are_refused_before_and_after_their_time)
{
    const SgxPki pki;
    const auto quote = pki.quote(own_report());
    EXPECT_EQ(verdict_of(pki, quote, sgx_pki_now - 101 * 86400).error().kind, Kind::expired);
    EXPECT_EQ(verdict_of(pki, quote, sgx_pki_now + 101 * 86400).error().kind, Kind::expired);
}

// [EVIDENCE-5]
TEST(SgxVerify, a_chain_to_another_root_of_the_same_names_is_unauthentic)
{
    const SgxPki pki;
    const SgxPki impostor;
    const auto quote = impostor.quote(own_report());
    const auto verdict = verify_sgx_quote(quote, impostor.collateral(), pki.pin(), sgx_pki_now);
    ASSERT_FALSE(verdict);
    EXPECT_EQ(verdict.error().kind, Kind::unauthentic);
    EXPECT_FALSE(verify_sgx_quote(quote, impostor.collateral(), intel_sgx_root, sgx_pki_now));
}

// [EVIDENCE-6]
TEST(SgxVerify, keys_for_other_purposes_sign_neither_quotes_nor_collateral)
{
    SgxPkiOptions options;
    options.signer_name = "Test SGX PCK Certificate";
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::unauthentic);
    options = {};
    options.pck_name = "Test SGX TCB Signing";
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::unauthentic);
}

// [EVIDENCE-7]
TEST(SgxVerify, revoked_certificates_are_unauthentic)
{
    SgxPkiOptions options;
    options.revoke_pck = true;
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::unauthentic);
    options = {};
    options.revoke_intermediate = true;
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::unauthentic);
}

// [EVIDENCE-7]
TEST(SgxVerify, a_list_of_another_authority_or_out_of_time_is_refused)
{
    SgxPki pki;
    std::swap(pki.pck_crl, pki.root_crl);
    EXPECT_EQ(refusal_of(pki), Kind::unauthentic);
    std::swap(pki.pck_crl, pki.root_crl);
    EXPECT_EQ(verdict_of(pki, pki.quote(own_report()), sgx_pki_now + 21 * 86400).error().kind, Kind::expired);
    pki.pck_crl.push_back(0);
    EXPECT_EQ(refusal_of(pki), Kind::malformed);
}

// [EVIDENCE-8]
TEST(SgxVerify, collateral_counts_to_the_byte_and_only_while_in_force)
{
    SgxPki pki;
    const auto good = pki.tcb_info;
    pki.tcb_info.insert(pki.tcb_info.find("\"version\""), " ");
    EXPECT_EQ(refusal_of(pki), Kind::unauthentic);
    pki.tcb_info = good + "x";
    EXPECT_EQ(refusal_of(pki), Kind::malformed);
    pki.tcb_info = good;
    std::swap(pki.tcb_info, pki.qe_identity);
    EXPECT_EQ(refusal_of(pki), Kind::malformed);
    SgxPkiOptions options;
    options.tcb_next_update = "2027-01-14T00:00:00Z";
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::expired);
}

// [EVIDENCE-9]
TEST(SgxVerify, a_platform_below_every_level_or_another_one_is_unacceptable)
{
    SgxPkiOptions options;
    options.component = 4;
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::unacceptable);
    options = {};
    options.fmspc = "00906ED50001";
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::unacceptable);
}

// [EVIDENCE-9]
TEST(SgxVerify, the_status_is_the_worse_of_platform_and_quoting_enclave)
{
    struct Case {
        const char* platform;
        const char* qe;
        TcbStatus combined;
    };
    for (const auto& [platform, qe, combined] :
         {Case{"UpToDate", "OutOfDate", TcbStatus::OutOfDate},
          Case{"SWHardeningNeeded", "OutOfDate", TcbStatus::OutOfDate},
          Case{"ConfigurationNeeded", "OutOfDate", TcbStatus::OutOfDateConfigurationNeeded},
          Case{"SWHardeningNeeded", "UpToDate", TcbStatus::SWHardeningNeeded},
          Case{"Revoked", "UpToDate", TcbStatus::Revoked}, Case{"UpToDate", "Revoked", TcbStatus::Revoked}}) {
        SgxPkiOptions options;
        options.platform_status = platform;
        options.qe_status = qe;
        const auto verdict = verdict_of(SgxPki(options));
        ASSERT_TRUE(verdict);
        EXPECT_EQ(verdict->status, combined) << platform << " " << qe;
    }
    SgxPkiOptions options;
    options.platform_status = "Splendid";
    EXPECT_EQ(refusal_of(SgxPki(options)), Kind::malformed);
}

TEST(EvidenceJson, what_is_not_json_to_the_last_byte_is_refused)
{
    for (const std::string_view text : {"", "{", "{}}", "[1,]", "{\"a\":1,\"a\":2}", "{\"a\" 1}", "01", "1.5", "-",
                                        "\"\\u0041\"", "\"a", "nul", "[1 2]", "{\"a\":}", "\"a\nb\""}) {
        EXPECT_FALSE(Json::read(text)) << text;
    }
    EXPECT_EQ(Json::read(std::string(100, '[')).error().kind, Kind::exhausted);
    EXPECT_EQ(Json::read(std::string(json_bytes_max + 1, ' ')).error().kind, Kind::exhausted);
}

TEST(EvidenceJson, a_value_knows_its_exact_text)
{
    const std::string text = " { \"a\" : { \"b\" : [ 1 , \"x\\n\" ] } } ";
    const auto json = Json::read(text);
    ASSERT_TRUE(json);
    const auto* inner = *json->member("a");
    EXPECT_EQ(inner->text(), "{ \"b\" : [ 1 , \"x\\n\" ] }");
    EXPECT_EQ(*(**(*inner->member("b"))->array())[1].string(), "x\n");
    EXPECT_FALSE(inner->member("c"));
    EXPECT_FALSE(inner->number());
}

TEST(EvidenceJson, times_and_hexadecimal_have_one_form)
{
    EXPECT_EQ(*read_time("1970-01-01T00:00:00Z"), 0);
    EXPECT_EQ(*read_time("2027-01-15T08:00:00Z"), sgx_pki_now);
    for (const std::string_view text : {"2027-01-15T08:00:00", "2027-1-15T08:00:00Z", "2027-13-15T08:00:00Z",
                                        "2027-01-15 08:00:00Z", "2027-01-15T24:00:00Z", "1969-01-15T08:00:00Z"}) {
        EXPECT_FALSE(read_time(text)) << text;
    }
    ByteArray<2> bytes{};
    EXPECT_TRUE(read_hex_into("aB0f", bytes));
    for (const std::string_view text : {"ab", "ab0", "ab0g", "-1-2", "ab0f00"}) {
        EXPECT_FALSE(read_hex_into(text, bytes)) << text;
    }
}

} // namespace
} // namespace caisson::protocol::evidence
