#include "protocol/cose_sign1.hpp"

#include "core/check.hpp"
#include "protocol/cbor.hpp"

#include <sodium.h>

namespace caisson::protocol {
namespace {

constexpr std::uint64_t cose_sign1_tag = 18;
constexpr std::size_t signature_bytes = crypto_sign_BYTES;
constexpr std::size_t domain_bytes_max = 64;
// [TRUST-1] The encoded protected header {1: -8}: alg EdDSA (RFC 9053, section 2.2), and no other is accepted.
constexpr ByteArray<3> protected_header{0xa1, 0x01, 0x27};
constexpr std::size_t to_be_signed_bytes_max = cose_payload_bytes_max + domain_bytes_max + 32;

static_assert(SigningKey::size == crypto_sign_SECRETKEYBYTES);
static_assert(VerifyingKey::size == crypto_sign_PUBLICKEYBYTES);

// [TRUST-2] Sig_structure (RFC 9052, section 4.4) into `buffer`.
Result<std::size_t> write_to_be_signed(MutableBytes buffer, std::string_view domain, Bytes payload) noexcept
{
    CborWriter writer(buffer);
    writer.begin_array(4);
    writer.write_text("Signature1");
    writer.write_bytes(protected_header);
    writer.write_bytes(bytes_of(domain));
    writer.write_bytes(payload);
    return writer.finish();
}

} // namespace

Result<std::size_t> write_cose_sign1(MutableBytes output, const SigningKey& key, std::string_view domain,
                                     Bytes payload) noexcept
{
    CHECK(domain.size() <= domain_bytes_max);
    if (payload.size() > cose_payload_bytes_max) {
        return fail(Kind::exhausted, "the payload of a signed document is too large");
    }
    ByteArray<to_be_signed_bytes_max> buffer;
    const auto size = TRY(write_to_be_signed(buffer, domain, payload));
    ByteArray<signature_bytes> signature;
    crypto_sign_detached(signature.data(), nullptr, buffer.data(), size, key.expose().data());

    CborWriter writer(output);
    writer.write_tag(cose_sign1_tag);
    writer.begin_array(4);
    writer.write_bytes(protected_header);
    writer.begin_map(0);
    writer.write_bytes(payload);
    writer.write_bytes(signature);
    return writer.finish();
}

Result<Bytes> verify_cose_sign1(Bytes document, const VerifyingKey& key, std::string_view domain) noexcept
{
    CHECK(domain.size() <= domain_bytes_max);
    CborReader reader(document);
    TRY(reader.expect_tag(cose_sign1_tag));
    TRY(reader.expect_array(4));
    if (!same_bytes(TRY(reader.read_bytes(protected_header.size())), protected_header)) {
        return fail(Kind::malformed, "a signed document names an algorithm other than EdDSA");
    }
    TRY(reader.expect_map(0));
    const auto payload = TRY(reader.read_bytes(cose_payload_bytes_max));
    const auto signature = TRY(reader.read_array_of_bytes<signature_bytes>());
    TRY(reader.finish());

    ByteArray<to_be_signed_bytes_max> buffer;
    const auto size = TRY(write_to_be_signed(buffer, domain, payload));
    if (crypto_sign_verify_detached(signature.data(), buffer.data(), size, key.bytes.data()) != 0) {
        return fail(Kind::unauthentic, "the signature of a document does not verify");
    }
    return payload;
}

} // namespace caisson::protocol
