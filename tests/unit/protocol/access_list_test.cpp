#include "protocol/access_list.hpp"

#include "protocol/cbor.hpp"
#include "protocol/claims.hpp"
#include "tests/unit/protocol/signed_documents.hpp"

namespace caisson::protocol {
namespace {

std::vector<std::uint8_t> keys_of(std::initializer_list<std::uint8_t> firsts)
{
    std::vector<std::uint8_t> keys;
    for (const auto first : firsts) {
        keys.push_back(first);
        keys.insert(keys.end(), CurveKey::size - 1, 0x5a);
    }
    return keys;
}

std::vector<std::uint8_t> signed_list(const test::Signer& signer, const AccessList& list)
{
    std::vector<std::uint8_t> document(access_list_bytes_max);
    document.resize(write_access_list(document, signer.secret, list).value_or(0));
    return document;
}

// What a signer could sign, and our writer would not.
struct Claims {
    std::uint64_t issued_ms = 1000;
    std::uint64_t expires_ms = 0;
    std::string_view domain = "caisson access list v1";
};

std::vector<std::uint8_t> signed_anyhow(const test::Signer& signer, Bytes keys, const Claims& said = {})
{
    Digest digest;
    crypto_hash_sha256(digest.data(), keys.data(), keys.size());
    ByteArray<128> payload;
    CborWriter claims(payload);
    claims.begin_map(4);
    claims.write_int(claim::issued_ms);
    claims.write_uint(said.issued_ms);
    claims.write_int(claim::expires_ms);
    claims.write_uint(said.expires_ms);
    claims.write_int(claim::list_serial);
    claims.write_uint(7);
    claims.write_int(claim::list_digest);
    claims.write_bytes(digest);
    ByteArray<256> document;
    const auto size = *write_cose_sign1(document, signer.secret, said.domain, claims.written());
    std::vector<std::uint8_t> out(size + keys.size() + 16);
    CborWriter writer(out);
    writer.begin_array(2);
    writer.write_bytes(Bytes(document).first(size));
    writer.write_bytes(keys);
    out.resize(*writer.finish());
    return out;
}

Kind why_not(Bytes document, const test::Signer& signer)
{
    const auto list = verify_access_list(document, signer.key);
    EXPECT_FALSE(list);
    return list ? Kind::unavailable : list.error().kind;
}

TEST(AccessList, comes_back_whole)
{
    const test::Signer signer(3);
    const auto keys = keys_of({1, 2, 9});
    const auto document = signed_list(signer, {42, 1000, 2000, keys});
    const auto list = verify_access_list(document, signer.key);
    ASSERT_TRUE(list);
    EXPECT_EQ(list->serial, 42U);
    EXPECT_EQ(list->issued_ms, 1000U);
    EXPECT_EQ(list->expires_ms, 2000U);
    ASSERT_EQ(list->key_count(), 3U);
    EXPECT_TRUE(same_bytes(list->key(2).bytes, Bytes(keys).last(CurveKey::size)));
}

TEST(AccessList, an_empty_list_is_one)
{
    const test::Signer signer(3);
    const auto list = verify_access_list(signed_list(signer, {1, 1000, 0, {}}), signer.key);
    ASSERT_TRUE(list);
    EXPECT_EQ(list->key_count(), 0U);
}

TEST(AccessList, every_truncation_and_every_flipped_bit_is_refused) // [TRUST-8]
{
    const test::Signer signer(3);
    const auto keys = keys_of({1, 2});
    test::expect_every_change_refused(signed_list(signer, {42, 1000, 0, keys}),
                                      [&](Bytes bytes) { return verify_access_list(bytes, signer.key).has_value(); });
}

TEST(AccessList, another_signer_and_another_domain_are_unauthentic) // [TRUST-2]
{
    const test::Signer signer(3);
    const auto keys = keys_of({1, 2});
    EXPECT_EQ(why_not(signed_list(test::Signer(4), {42, 1000, 0, keys}), signer), Kind::unauthentic);
    EXPECT_EQ(why_not(signed_anyhow(signer, keys, {1000, 0, "caisson time token v1"}), signer), Kind::unauthentic);
    EXPECT_TRUE(verify_access_list(signed_anyhow(signer, keys), signer.key));
}

TEST(AccessList, keys_of_another_list_are_unauthentic) // [TRUST-8]
{
    const test::Signer signer(3);
    const auto keys = keys_of({1, 2});
    const auto others = keys_of({1, 3});
    auto document = signed_list(signer, {42, 1000, 0, keys});
    std::copy(others.begin(), others.end(), document.end() - static_cast<std::ptrdiff_t>(others.size()));
    EXPECT_EQ(why_not(document, signer), Kind::unauthentic);
}

TEST(AccessList, keys_that_do_not_ascend_are_malformed_even_when_signed) // [TRUST-9]
{
    const test::Signer signer(3);
    for (const auto& keys : {keys_of({2, 1}), keys_of({1, 1}), keys_of({1, 3, 2})}) {
        EXPECT_EQ(why_not(signed_anyhow(signer, keys), signer), Kind::malformed);
        EXPECT_TRUE(signed_list(signer, {42, 1000, 0, keys}).empty());
    }
    auto part = keys_of({1, 2});
    part.pop_back();
    EXPECT_EQ(why_not(signed_anyhow(signer, part), signer), Kind::malformed);
}

TEST(AccessList, more_keys_than_a_chamber_keeps_are_malformed_even_when_signed) // [TRUST-9]
{
    const test::Signer signer(3);
    std::vector<std::uint8_t> keys;
    for (std::size_t index = 0; index <= access_keys_max; ++index) {
        CurveKey key;
        key.bytes[0] = static_cast<std::uint8_t>(index >> 8U);
        key.bytes[1] = static_cast<std::uint8_t>(index);
        keys.insert(keys.end(), key.bytes.begin(), key.bytes.end());
    }
    EXPECT_EQ(why_not(signed_anyhow(signer, keys), signer), Kind::malformed);
    EXPECT_TRUE(signed_list(signer, {42, 1000, 0, keys}).empty());
    const auto most = Bytes(keys).first(access_keys_max * CurveKey::size);
    const auto document = signed_list(signer, {UINT64_MAX, 1000, 0, most});
    ASSERT_TRUE(verify_access_list(document, signer.key));
}

TEST(AccessList, times_beyond_reason_are_malformed_even_when_signed) // [TRUST-10]
{
    const test::Signer signer(3);
    const auto keys = keys_of({1});
    EXPECT_EQ(why_not(signed_anyhow(signer, keys, {UINT64_MAX, 0}), signer), Kind::malformed);
    EXPECT_EQ(why_not(signed_anyhow(signer, keys, {1000, UINT64_MAX}), signer), Kind::malformed);
    EXPECT_EQ(why_not(signed_anyhow(signer, keys, {1000, 999}), signer), Kind::malformed);
}

} // namespace
} // namespace caisson::protocol
