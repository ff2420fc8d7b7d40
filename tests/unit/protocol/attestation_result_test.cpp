#include "protocol/attestation_result.hpp"

#include "tests/unit/protocol/signed_documents.hpp"

namespace caisson::protocol {
namespace {

AttestationResult sample(std::size_t key_count = 2)
{
    AttestationResult result;
    result.node.bytes.fill(0x22);
    std::memcpy(result.name.data(), "beta", 4);
    result.issued_ms = 1'790'000'000'123;
    result.expires_ms = result.issued_ms + 1'000;
    result.status = TrustTier::contraindicated;
    result.vector = {2, 0, 96, 2, 0, -1, 0, 0};
    result.policy.fill(0x33);
    result.key_count = key_count;
    for (std::size_t index = 0; index < key_count; ++index) {
        auto& claim = result.keys[index];
        claim.key.bytes.fill(static_cast<std::uint8_t>(index));
        claim.mrenclave.fill(0x44);
        claim.mrsigner.fill(0x55);
        claim.product = 1;
        claim.svn = 3;
        claim.debug = index == 0;
        claim.platform = sgx::Platform::process;
        claim.root = sgx::RootKind::file;
    }
    return result;
}

std::vector<std::uint8_t> signed_result(const test::Signer& signer, const AttestationResult& result)
{
    std::vector<std::uint8_t> document(attestation_result_bytes_max);
    document.resize(write_attestation_result(document, signer.secret, result).value_or(0));
    return document;
}

TEST(AttestationResult, comes_back_whole)
{
    const test::Signer signer(5);
    const auto result = verify_attestation_result(signed_result(signer, sample()), signer.key);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->node, sample().node);
    EXPECT_EQ(result->name_text(), "beta");
    EXPECT_EQ(result->issued_ms, sample().issued_ms);
    EXPECT_EQ(result->expires_ms, sample().expires_ms);
    EXPECT_EQ(result->status, TrustTier::contraindicated);
    EXPECT_EQ(result->vector, sample().vector);
    EXPECT_EQ(result->policy, sample().policy);
    EXPECT_EQ(result->key_count, 2U);
    EXPECT_EQ(result->keys, sample().keys);
}

TEST(AttestationResult, the_largest_fits_its_limit)
{
    const test::Signer signer(5);
    auto result = sample(curve_claims_max);
    result.name.fill('n');
    EXPECT_TRUE(verify_attestation_result(signed_result(signer, result), signer.key));
}

TEST(AttestationResult, every_truncation_and_every_flipped_bit_is_refused)
{
    const test::Signer signer(5);
    test::expect_every_change_refused(signed_result(signer, sample()), [&](Bytes bytes) {
        return verify_attestation_result(bytes, signer.key).has_value();
    });
}

TEST(AttestationResult, a_time_token_is_no_result)
{
    const test::Signer signer(5);
    const auto document = signed_result(signer, sample());
    EXPECT_EQ(verify_cose_sign1(document, signer.key, "caisson time token v1").error().kind, Kind::unauthentic);
}

// [TRUST-7]
TEST(AttestationResult, expiry_before_issue_is_malformed_even_when_signed)
{
    const test::Signer signer(5);
    auto result = sample();
    result.expires_ms = result.issued_ms - 1;
    EXPECT_EQ(verify_attestation_result(signed_result(signer, result), signer.key).error().kind, Kind::malformed);
}

// [TRUST-6]
TEST(AttestationResult, an_unknown_platform_is_malformed_even_when_signed)
{
    const test::Signer signer(5);
    auto result = sample();
    result.keys[0].platform = static_cast<sgx::Platform>(9);
    EXPECT_EQ(verify_attestation_result(signed_result(signer, result), signer.key).error().kind, Kind::malformed);
}

} // namespace
} // namespace caisson::protocol
