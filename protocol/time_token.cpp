#include "protocol/time_token.hpp"

#include "protocol/cbor.hpp"
#include "protocol/claims.hpp"

namespace caisson::protocol {
namespace {

constexpr std::string_view domain = "caisson time token v1";

} // namespace

Result<std::size_t> write_time_token(MutableBytes output, const SigningKey& key, const TimeToken& token) noexcept
{
    ByteArray<time_token_bytes_max> payload;
    CborWriter writer(payload);
    writer.begin_map(4);
    writer.write_uint(claim::eat_nonce);
    writer.write_bytes(token.nonce.bytes);
    writer.write_int(claim::issued_ms);
    writer.write_uint(token.time_ms);
    writer.write_int(claim::hold_ms);
    writer.write_uint(token.hold_ms);
    writer.write_int(claim::messages_max);
    writer.write_uint(token.messages_max);
    const auto size = TRY(writer.finish());
    return write_cose_sign1(output, key, domain, Bytes(payload).first(size));
}

Result<TimeToken> verify_time_token(Bytes document, const VerifyingKey& key) noexcept
{
    CborReader reader(TRY(verify_cose_sign1(document, key, domain)));
    TimeToken token;
    TRY(reader.expect_map(4));
    TRY(reader.expect_key(claim::eat_nonce));
    token.nonce.bytes = TRY(reader.read_array_of_bytes<TimeNonce::size>());
    TRY(reader.expect_int_key(claim::issued_ms));
    token.time_ms = TRY(reader.read_uint());
    TRY(reader.expect_int_key(claim::hold_ms));
    token.hold_ms = TRY(reader.read_uint());
    TRY(reader.expect_int_key(claim::messages_max));
    token.messages_max = TRY(reader.read_uint());
    TRY(reader.finish());
    // [TRUST-5]
    if (token.time_ms > claim::time_ms_max || token.hold_ms > claim::hold_ms_max) {
        return fail(Kind::malformed, "a time token is out of range");
    }
    return token;
}

} // namespace caisson::protocol
