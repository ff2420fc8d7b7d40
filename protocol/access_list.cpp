#include "protocol/access_list.hpp"

#include "protocol/cbor.hpp"
#include "protocol/claims.hpp"

#include <sodium.h>

namespace caisson::protocol {
namespace {

constexpr std::string_view domain = "caisson access list v1";
constexpr std::size_t payload_bytes_max = 96;
constexpr std::size_t signed_bytes_max = payload_bytes_max + cose_overhead_bytes;

Digest digest_of(Bytes keys) noexcept
{
    Digest digest;
    crypto_hash_sha256(digest.data(), keys.data(), keys.size());
    return digest;
}

// [TRUST-9] One form for one set of keys, and a search that halves.
Status check_keys(Bytes keys) noexcept
{
    if (keys.size() % CurveKey::size != 0 || keys.size() > access_keys_max * CurveKey::size) {
        return fail(Kind::malformed, "an access list holds too many keys, or a part of one");
    }
    for (std::size_t at = CurveKey::size; at < keys.size(); at += CurveKey::size) {
        if (std::memcmp(keys.data() + at - CurveKey::size, keys.data() + at, CurveKey::size) >= 0) {
            return fail(Kind::malformed, "the keys of an access list do not ascend");
        }
    }
    return {};
}

// [TRUST-10]
Status check_times(const AccessList& list) noexcept
{
    const bool over_before = list.expires_ms != 0 && list.expires_ms < list.issued_ms;
    if (list.issued_ms > claim::time_ms_max || list.expires_ms > claim::time_ms_max || over_before) {
        return fail(Kind::malformed, "an access list holds a time out of range");
    }
    return {};
}

} // namespace

CurveKey AccessList::key(std::size_t index) const noexcept
{
    CurveKey key;
    copy_bytes(key.bytes, keys.subspan(index * CurveKey::size, CurveKey::size));
    return key;
}

// [TRUST-8] What is signed is small; the keys stand beside it, by their digest.
Result<std::size_t> write_access_list(MutableBytes output, const SigningKey& key, const AccessList& list) noexcept
{
    TRY(check_keys(list.keys));
    TRY(check_times(list));
    ByteArray<payload_bytes_max> payload;
    CborWriter claims(payload);
    claims.begin_map(4);
    claims.write_int(claim::issued_ms);
    claims.write_uint(list.issued_ms);
    claims.write_int(claim::expires_ms);
    claims.write_uint(list.expires_ms);
    claims.write_int(claim::list_serial);
    claims.write_uint(list.serial);
    claims.write_int(claim::list_digest);
    claims.write_bytes(digest_of(list.keys));
    const auto size = TRY(claims.finish());
    ByteArray<signed_bytes_max> document;
    const auto document_size = TRY(write_cose_sign1(document, key, domain, Bytes(payload).first(size)));
    CborWriter writer(output);
    writer.begin_array(2);
    writer.write_bytes(Bytes(document).first(document_size));
    writer.write_bytes(list.keys);
    return writer.finish();
}

Result<AccessList> verify_access_list(Bytes document, const VerifyingKey& key) noexcept
{
    CborReader parts(document);
    TRY(parts.expect_array(2));
    const auto signed_part = TRY(parts.read_bytes(signed_bytes_max));
    AccessList list;
    list.keys = TRY(parts.read_bytes(access_keys_max * CurveKey::size));
    TRY(parts.finish());
    CborReader claims(TRY(verify_cose_sign1(signed_part, key, domain)));
    TRY(claims.expect_map(4));
    TRY(claims.expect_int_key(claim::issued_ms));
    list.issued_ms = TRY(claims.read_uint());
    TRY(claims.expect_int_key(claim::expires_ms));
    list.expires_ms = TRY(claims.read_uint());
    TRY(claims.expect_int_key(claim::list_serial));
    list.serial = TRY(claims.read_uint());
    TRY(claims.expect_int_key(claim::list_digest));
    const auto digest = TRY(claims.read_array_of_bytes<sizeof(Digest)>());
    TRY(claims.finish());
    if (digest != digest_of(list.keys)) {
        return fail(Kind::unauthentic, "the keys of an access list are not those that were signed");
    }
    TRY(check_keys(list.keys));
    TRY(check_times(list));
    return list;
}

} // namespace caisson::protocol
