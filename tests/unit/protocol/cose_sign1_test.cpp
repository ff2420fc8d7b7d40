#include "protocol/cose_sign1.hpp"

#include "tests/unit/protocol/signed_documents.hpp"

namespace caisson::protocol {
namespace {

std::vector<std::uint8_t> signed_text(const test::Signer& signer, std::string_view domain, std::string_view text)
{
    std::vector<std::uint8_t> document(text.size() + cose_overhead_bytes);
    document.resize(write_cose_sign1(document, signer.secret, domain, bytes_of(text)).value_or(0));
    return document;
}

TEST(CoseSign1, gives_back_what_was_signed)
{
    const test::Signer signer(1);
    const auto document = signed_text(signer, "test v1", "hello");
    const auto payload = verify_cose_sign1(document, signer.key, "test v1");
    ASSERT_TRUE(payload);
    EXPECT_EQ(text_of(*payload), "hello");
}

TEST(CoseSign1, every_truncation_and_every_flipped_bit_is_refused)
{
    const test::Signer signer(1);
    test::expect_every_change_refused(signed_text(signer, "test v1", "hello"), [&](Bytes bytes) {
        return verify_cose_sign1(bytes, signer.key, "test v1").has_value();
    });
}

TEST(CoseSign1, another_key_is_unauthentic)
{
    const auto document = signed_text(test::Signer(1), "test v1", "hello");
    EXPECT_EQ(verify_cose_sign1(document, test::Signer(2).key, "test v1").error().kind, Kind::unauthentic);
}

// [TRUST-2]
TEST(CoseSign1, another_domain_is_unauthentic)
{
    const test::Signer signer(1);
    const auto document = signed_text(signer, "test v1", "hello");
    EXPECT_EQ(verify_cose_sign1(document, signer.key, "test v2").error().kind, Kind::unauthentic);
}

// [TRUST-1]
TEST(CoseSign1, an_algorithm_of_the_attackers_choice_is_malformed)
{
    const test::Signer signer(1);
    auto document = signed_text(signer, "test v1", "hello");
    document[5] = 0x26; // ES256 instead of EdDSA
    EXPECT_EQ(verify_cose_sign1(document, signer.key, "test v1").error().kind, Kind::malformed);
}

// [TRUST-4]
TEST(CoseSign1, a_payload_over_the_limit_is_not_signed)
{
    const test::Signer signer(1);
    const std::vector<std::uint8_t> payload(cose_payload_bytes_max + 1);
    std::vector<std::uint8_t> document(payload.size() + cose_overhead_bytes);
    EXPECT_EQ(write_cose_sign1(document, signer.secret, "test v1", payload).error().kind, Kind::exhausted);
}

} // namespace
} // namespace caisson::protocol
