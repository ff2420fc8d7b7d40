#include "protocol/time_token.hpp"

#include "protocol/claims.hpp"
#include "tests/unit/protocol/signed_documents.hpp"

namespace caisson::protocol {
namespace {

TimeToken sample()
{
    TimeToken token;
    token.nonce.bytes.fill(0x11);
    token.time_ms = 1'790'000'000'123;
    token.hold_ms = 30'000;
    token.messages_max = 1'000'000;
    return token;
}

std::vector<std::uint8_t> signed_token(const test::Signer& signer, const TimeToken& token)
{
    std::vector<std::uint8_t> document(time_token_bytes_max);
    document.resize(write_time_token(document, signer.secret, token).value_or(0));
    return document;
}

TEST(TimeToken, comes_back_whole)
{
    const test::Signer signer(3);
    const auto token = verify_time_token(signed_token(signer, sample()), signer.key);
    ASSERT_TRUE(token);
    EXPECT_EQ(*token, sample());
}

TEST(TimeToken, every_truncation_and_every_flipped_bit_is_refused)
{
    const test::Signer signer(3);
    test::expect_every_change_refused(signed_token(signer, sample()),
                                      [&](Bytes bytes) { return verify_time_token(bytes, signer.key).has_value(); });
}

TEST(TimeToken, another_verifier_is_unauthentic)
{
    const auto document = signed_token(test::Signer(3), sample());
    EXPECT_EQ(verify_time_token(document, test::Signer(4).key).error().kind, Kind::unauthentic);
}

// [TRUST-5]
TEST(TimeToken, times_beyond_reason_are_malformed_even_when_signed)
{
    const test::Signer signer(3);
    auto token = sample();
    token.time_ms = UINT64_MAX;
    EXPECT_EQ(verify_time_token(signed_token(signer, token), signer.key).error().kind, Kind::malformed);
    token = sample();
    token.hold_ms = claim::hold_ms_max + 1;
    EXPECT_EQ(verify_time_token(signed_token(signer, token), signer.key).error().kind, Kind::malformed);
}

} // namespace
} // namespace caisson::protocol
