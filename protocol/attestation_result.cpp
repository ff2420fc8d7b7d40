#include "protocol/attestation_result.hpp"

#include "core/check.hpp"
#include "core/text.hpp"
#include "protocol/cbor.hpp"
#include "protocol/claims.hpp"

namespace caisson::protocol {
namespace {

constexpr std::string_view domain = "caisson attestation result v1";
constexpr std::string_view developer = "caisson";
constexpr std::string_view build = "1";
constexpr std::uint8_t ueid_type_rand = 0x01; // RFC 9711, section 4.2.1.1
constexpr std::uint64_t ms_per_second = 1000;

void write_submodule(CborWriter& writer, const AttestationResult& result) noexcept
{
    writer.begin_map(1);
    writer.write_text(claim::submodule);
    writer.begin_map(3);
    writer.write_uint(claim::ear_status);
    writer.write_uint(static_cast<std::uint64_t>(result.status));
    writer.write_uint(claim::ear_trustworthiness_vector);
    writer.begin_map(result.vector.size());
    for (std::size_t index = 0; index < result.vector.size(); ++index) {
        writer.write_uint(index);
        writer.write_int(result.vector[index]);
    }
    writer.write_uint(claim::ear_appraisal_policy_id);
    std::array<char, 2 * sizeof(Digest)> policy{};
    write_hex(policy, result.policy);
    writer.write_text({policy.data(), policy.size()});
}

Result<std::size_t> write_payload(MutableBytes payload, const AttestationResult& result) noexcept
{
    CborWriter writer(payload);
    writer.begin_map(10);
    writer.write_uint(claim::exp);
    writer.write_uint((result.expires_ms + ms_per_second - 1) / ms_per_second);
    writer.write_uint(claim::iat);
    writer.write_uint(result.issued_ms / ms_per_second);
    writer.write_uint(claim::ueid);
    ByteArray<1 + WitnessKey::size> ueid{ueid_type_rand};
    copy_bytes(MutableBytes(ueid).subspan(1), result.node.bytes);
    writer.write_bytes(ueid);
    writer.write_uint(claim::eat_profile);
    writer.write_text(claim::ear_profile);
    writer.write_uint(claim::submods);
    write_submodule(writer, result);
    writer.write_uint(claim::ear_verifier_id);
    writer.begin_map(2);
    writer.write_uint(0);
    writer.write_text(developer);
    writer.write_uint(1);
    writer.write_text(build);
    writer.write_int(claim::issued_ms);
    writer.write_uint(result.issued_ms);
    writer.write_int(claim::expires_ms);
    writer.write_uint(result.expires_ms);
    writer.write_int(claim::node_name);
    writer.write_text(result.name_text());
    writer.write_int(claim::curve_keys);
    writer.begin_array(result.key_count);
    for (std::size_t index = 0; index < result.key_count; ++index) {
        write_curve_key_claim(writer, result.keys[index]);
    }
    return writer.finish();
}

// [TRUST-6]
template <typename Enumeration>
Result<Enumeration> read_enumeration(CborReader& reader, std::initializer_list<Enumeration> known) noexcept
{
    const auto value = TRY(reader.read_uint());
    for (const auto candidate : known) {
        if (value == static_cast<std::uint64_t>(candidate)) {
            return candidate;
        }
    }
    return fail(Kind::malformed, "an attestation result holds an unknown value");
}

Result<std::uint16_t> read_uint16(CborReader& reader) noexcept
{
    const auto value = TRY(reader.read_uint());
    if (value > UINT16_MAX) {
        return fail(Kind::malformed, "an attestation result holds a value out of range");
    }
    return static_cast<std::uint16_t>(value);
}

Status read_submodule(CborReader& reader, AttestationResult& result) noexcept
{
    TRY(reader.expect_map(1));
    if (TRY(reader.read_text(claim::submodule.size())) != claim::submodule) {
        return fail(Kind::malformed, "an attestation result speaks of another submodule");
    }
    TRY(reader.expect_map(3));
    TRY(reader.expect_key(claim::ear_status));
    result.status = TRY(read_enumeration(
        reader, {TrustTier::none, TrustTier::affirming, TrustTier::warning, TrustTier::contraindicated}));
    TRY(reader.expect_key(claim::ear_trustworthiness_vector));
    TRY(reader.expect_map(result.vector.size()));
    for (std::size_t index = 0; index < result.vector.size(); ++index) {
        TRY(reader.expect_key(index));
        const auto value = TRY(reader.read_int());
        if (value < INT8_MIN || value > INT8_MAX) {
            return fail(Kind::malformed, "an attestation result holds a claim out of range");
        }
        result.vector[index] = static_cast<std::int8_t>(value);
    }
    TRY(reader.expect_key(claim::ear_appraisal_policy_id));
    const auto policy = TRY(reader.read_text(2 * sizeof(Digest)));
    if (TRY(read_hex(result.policy, policy)) != sizeof(Digest)) {
        return fail(Kind::malformed, "an attestation result holds a policy id of the wrong size");
    }
    return {};
}

Status read_identity(CborReader& reader, AttestationResult& result) noexcept
{
    TRY(reader.expect_map(10));
    TRY(reader.expect_key(claim::exp));
    const auto exp = TRY(reader.read_uint());
    TRY(reader.expect_key(claim::iat));
    const auto iat = TRY(reader.read_uint());
    if (exp > claim::time_ms_max || iat > exp) {
        return fail(Kind::malformed, "an attestation result holds a time out of range");
    }
    TRY(reader.expect_key(claim::ueid));
    const auto ueid = TRY(reader.read_array_of_bytes<1 + WitnessKey::size>());
    if (ueid[0] != ueid_type_rand) {
        return fail(Kind::malformed, "an attestation result names its node in an unknown form");
    }
    copy_bytes(result.node.bytes, Bytes(ueid).subspan(1));
    TRY(reader.expect_key(claim::eat_profile));
    if (TRY(reader.read_text(claim::ear_profile.size())) != claim::ear_profile) {
        return fail(Kind::malformed, "an attestation result has another profile");
    }
    return {};
}

Status read_own_claims(CborReader& reader, AttestationResult& result) noexcept
{
    TRY(reader.expect_int_key(claim::issued_ms));
    result.issued_ms = TRY(reader.read_uint());
    TRY(reader.expect_int_key(claim::expires_ms));
    result.expires_ms = TRY(reader.read_uint());
    // [TRUST-7]
    if (result.expires_ms > claim::time_ms_max || result.issued_ms > result.expires_ms) {
        return fail(Kind::malformed, "an attestation result holds a time out of range");
    }
    TRY(reader.expect_int_key(claim::node_name));
    const auto name = TRY(reader.read_text(node_name_bytes_max));
    std::memcpy(result.name.data(), name.data(), name.size());
    TRY(reader.expect_int_key(claim::curve_keys));
    result.key_count = TRY(reader.begin_array(curve_claims_max));
    for (std::size_t index = 0; index < result.key_count; ++index) {
        result.keys[index] = TRY(read_curve_key_claim(reader));
    }
    return reader.finish();
}

} // namespace

void write_curve_key_claim(CborWriter& writer, const CurveKeyClaim& claim) noexcept
{
    writer.begin_array(8);
    writer.write_bytes(claim.key.bytes);
    writer.write_bytes(claim.mrenclave);
    writer.write_bytes(claim.mrsigner);
    writer.write_uint(claim.product);
    writer.write_uint(claim.svn);
    writer.write_bool(claim.debug);
    writer.write_uint(static_cast<std::uint64_t>(claim.platform));
    writer.write_uint(static_cast<std::uint64_t>(claim.root));
}

Result<CurveKeyClaim> read_curve_key_claim(CborReader& reader) noexcept
{
    CurveKeyClaim claim;
    TRY(reader.expect_array(8));
    claim.key.bytes = TRY(reader.read_array_of_bytes<CurveKey::size>());
    claim.mrenclave = TRY(reader.read_array_of_bytes<sizeof(Digest)>());
    claim.mrsigner = TRY(reader.read_array_of_bytes<sizeof(Digest)>());
    claim.product = TRY(read_uint16(reader));
    claim.svn = TRY(read_uint16(reader));
    claim.debug = TRY(reader.read_bool());
    claim.platform = TRY(read_enumeration(reader, {sgx::Platform::inproc, sgx::Platform::process, sgx::Platform::sgx}));
    claim.root = TRY(read_enumeration(
        reader, {sgx::RootKind::file, sgx::RootKind::tpm, sgx::RootKind::cpu, sgx::RootKind::software_tpm}));
    return claim;
}

const char* trust_tier_name(TrustTier tier) noexcept
{
    switch (tier) {
    case TrustTier::none: return "unknown";
    case TrustTier::affirming: return "trusted";
    case TrustTier::warning: return "warning";
    case TrustTier::contraindicated: return "contraindicated";
    }
    return "unknown";
}

std::string_view AttestationResult::name_text() const noexcept
{
    std::size_t size = 0;
    while (size < name.size() && name[size] != '\0') {
        ++size;
    }
    return {name.data(), size};
}

Result<std::size_t> write_attestation_result(MutableBytes output, const SigningKey& key,
                                             const AttestationResult& result) noexcept
{
    CHECK(result.key_count <= curve_claims_max);
    ByteArray<attestation_result_bytes_max> payload;
    const auto size = TRY(write_payload(payload, result));
    return write_cose_sign1(output, key, domain, Bytes(payload).first(size));
}

Result<AttestationResult> verify_attestation_result(Bytes document, const VerifyingKey& key) noexcept
{
    CborReader reader(TRY(verify_cose_sign1(document, key, domain)));
    AttestationResult result;
    TRY(read_identity(reader, result));
    TRY(reader.expect_key(claim::submods));
    TRY(read_submodule(reader, result));
    TRY(reader.expect_key(claim::ear_verifier_id));
    TRY(reader.expect_map(2));
    TRY(reader.expect_key(0));
    TRY(reader.read_text(node_name_bytes_max));
    TRY(reader.expect_key(1));
    TRY(reader.read_text(node_name_bytes_max));
    TRY(read_own_claims(reader, result));
    return result;
}

} // namespace caisson::protocol
