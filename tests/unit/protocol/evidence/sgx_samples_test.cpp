// Real quotes of six platform families, mutated copies and a synthetic PKI, each with the verdict to reach
// ([EVIDENCE-1] to [EVIDENCE-9]). The samples lie beside the tree, at ../shared/evidence; without them this says so.
#include "protocol/evidence/json.hpp"
#include "protocol/evidence/sgx_verify.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace caisson::protocol::evidence {
namespace {

using Content = std::string;
const std::filesystem::path folder = CAISSON_EVIDENCE_SAMPLES;

Content file_at(const std::filesystem::path& path)
{
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string text(const Json& json, std::string_view name)
{
    const auto member = json.member(name);
    const auto value = member ? (*member)->string() : Result<std::string_view>(std::string_view());
    return value ? std::string(*value) : std::string();
}

struct Samples {
    Content manifest_text;
    Json manifest;
};

// A bundle says which other one it inherits from ("like").
std::filesystem::path bundle_file(const Json& manifest, const std::string& bundle, const char* name)
{
    auto path = folder / "collateral" / bundle / name;
    if (std::filesystem::exists(path)) {
        return path;
    }
    for (const auto& entry : **(*manifest.member("collateral"))->array()) {
        if (text(entry, "id") == bundle && entry.has("like")) {
            return bundle_file(manifest, text(entry, "like"), name);
        }
    }
    return path;
}

struct Bundle {
    Content tcb_info, tcb_info_chain, qe_identity, qe_identity_chain, pck_crl, root_crl;

    [[nodiscard]] SgxCollateral view() const
    {
        return {tcb_info, tcb_info_chain, qe_identity, qe_identity_chain, bytes_of(pck_crl), bytes_of(root_crl)};
    }
};

Bundle bundle_of(const Json& manifest, const std::string& name)
{
    const auto load = [&](const char* file) { return file_at(bundle_file(manifest, name, file)); };
    return {load("tcb_info.json"),    load("tcb_info_issuer_chain.pem"),
            load("qe_identity.json"), load("qe_identity_issuer_chain.pem"),
            load("pck_crl.der"),      load("root_ca_crl.der")};
}

RootPin pin_of(const std::string& path)
{
    const auto chain = Certificate::read_chain(file_at(folder / path));
    EXPECT_TRUE(chain);
    return chain->at(0).public_key_digest();
}

std::string hex(Bytes bytes)
{
    std::string out;
    for (const auto byte : bytes) {
        constexpr std::string_view digits = "0123456789abcdef";
        out.push_back(digits[byte >> 4U]);
        out.push_back(digits[byte & 15U]);
    }
    return out;
}

void compare_fields(const Json& expected, const SgxVerdict& verdict)
{
    if (!expected.has("fields")) {
        return;
    }
    const auto& fields = **expected.member("fields");
    EXPECT_EQ(hex(verdict.body.mrenclave), text(fields, "mrenclave"));
    EXPECT_EQ(hex(verdict.body.mrsigner), text(fields, "mrsigner"));
    EXPECT_EQ(hex(verdict.body.report_data), text(fields, "report_data"));
    EXPECT_EQ((*fields.member("debug"))->text(), verdict.debug ? "true" : "false");
    EXPECT_EQ(*(*fields.member("isvsvn"))->number(), verdict.body.isv_svn);
    EXPECT_EQ(*(*fields.member("isvprodid"))->number(), verdict.body.isv_prod_id);
    if (fields.has("fmspc")) {
        EXPECT_EQ(hex(verdict.platform.fmspc), text(fields, "fmspc"));
        EXPECT_EQ(*(*fields.member("pck_pcesvn"))->number(), verdict.platform.pcesvn);
        const auto& components = **(*fields.member("pck_tcb_components"))->array();
        for (std::size_t index = 0; index < components.size(); ++index) {
            EXPECT_EQ(*components[index].number(), verdict.platform.components[index]);
        }
    }
    if (expected.has("platform_tcb")) {
        EXPECT_EQ(text(expected, "platform_tcb"), tcb_status_name(verdict.platform_status));
        EXPECT_EQ(text(expected, "qe_tcb"), tcb_status_name(verdict.qe_status));
        EXPECT_EQ(text(expected, "tcb_date"), verdict.platform_date);
        for (const auto& advisory : **(*expected.member("advisory_ids"))->array()) {
            EXPECT_NE(std::find(verdict.advisories.begin(), verdict.advisories.end(), *advisory.string()),
                      verdict.advisories.end());
        }
    }
}

void judge(const Json& manifest, const Json& sample)
{
    const auto& expected = **sample.member("expect");
    const auto outcome = text(expected, "outcome");
    const auto quote_text = file_at(folder / text(sample, "file"));
    const auto quote = bytes_of(quote_text);
    if (outcome == "signature-only") { // no collateral was kept with these
        const auto read = read_sgx_quote(quote);
        ASSERT_TRUE(read) << read.error().what;
        const auto chain = Certificate::read_chain(read->certificate_chain);
        ASSERT_TRUE(chain && !chain->empty());
        EXPECT_TRUE(verify_sgx_signatures(*read, chain->at(0)));
        return;
    }
    const auto bundle = bundle_of(manifest, text(sample, "collateral"));
    const auto now = read_time(text(sample, "verify_at"));
    ASSERT_TRUE(now);
    const auto verdict = verify_sgx_quote(quote, bundle.view(), pin_of(text(sample, "trust_root")), *now);
    EXPECT_EQ(verdict.has_value(), outcome == "verified") << (verdict ? "verified" : verdict.error().what);
    if (verdict) {
        EXPECT_EQ(tcb_status_name(verdict->status), text(expected, "tcb_status"));
        compare_fields(expected, *verdict);
    }
}

TEST(SgxSamples, every_sample_gets_the_verdict_that_stands_beside_it)
{
    if (!std::filesystem::exists(folder / "manifest.json")) {
        GTEST_SKIP() << "there are no samples at " << folder << "; own vectors are in sgx_verify_test.cpp";
    }
    const auto manifest_text = file_at(folder / "manifest.json");
    const auto manifest = Json::read(manifest_text);
    ASSERT_TRUE(manifest) << manifest.error().what;
    int count = 0;
    for (const auto& sample : **(*manifest->member("cases"))->array()) {
        if (text(sample, "kind") == "sgx-quote-v3") {
            SCOPED_TRACE(text(sample, "id"));
            judge(*manifest, sample);
            ++count;
        }
    }
    EXPECT_GE(count, 80);
    std::printf("  %d samples judged\n", count);
}

TEST(SgxSamples, intels_root_is_the_pinned_one)
{
    if (!std::filesystem::exists(folder / "manifest.json")) {
        GTEST_SKIP() << "there are no samples at " << folder;
    }
    EXPECT_EQ(pin_of("roots/intel_sgx_root_ca.pem"), intel_sgx_root);
}

// Real evidence, every byte of it: nothing may be flipped in what is signed.
TEST(SgxSamples, a_real_quote_with_a_flipped_bit_or_cut_short_is_refused)
{
    if (!std::filesystem::exists(folder / "manifest.json")) {
        GTEST_SKIP() << "there are no samples at " << folder;
    }
    const auto manifest_text = file_at(folder / "manifest.json");
    const auto manifest = Json::read(manifest_text);
    ASSERT_TRUE(manifest);
    const auto bundle = bundle_of(*manifest, "sgx-00606a000000-20250606-ev17-plat");
    const auto quote = file_at(folder / "quotes/sgx-v3-04.bin");
    const auto now = *read_time("2025-06-20T10:55:06Z");
    ASSERT_TRUE(verify_sgx_quote(bytes_of(quote), bundle.view(), intel_sgx_root, now));
    for (std::size_t at = 0; at < 436 + 64 + 64 + 384 + 64; at += 13) {
        auto changed = quote;
        changed[at] = static_cast<char>(changed[at] ^ 4);
        EXPECT_FALSE(verify_sgx_quote(bytes_of(changed), bundle.view(), intel_sgx_root, now)) << at;
    }
    const auto read = read_sgx_quote(bytes_of(quote));
    const auto whole =
        static_cast<std::size_t>(read->certificate_chain.data() + read->certificate_chain.size() - quote.data());
    for (std::size_t size = 0; size < whole; size += 97) {
        EXPECT_FALSE(verify_sgx_quote(bytes_of(quote).first(size), bundle.view(), intel_sgx_root, now)) << size;
    }
}

} // namespace
} // namespace caisson::protocol::evidence
