#include "protocol/evidence/tpm_structures.hpp"

#include "core/wire.hpp"
#include "protocol/evidence/tpm_digest.hpp"

namespace caisson::protocol::evidence {
namespace {

constexpr std::size_t name_bytes_max = 2 + 64;
constexpr std::size_t key_bytes_max = 512;
constexpr std::size_t curve_bytes_max = 66;

// A TPM2B: two octets of size, then so many.
Result<Bytes> read_sized(Reader& reader, std::size_t bytes_max) noexcept
{
    const auto size = TRY(reader.read_be<std::uint16_t>());
    if (size > bytes_max) {
        return fail(Kind::malformed, "tpm: a field is longer than its kind may be");
    }
    return reader.read_bytes(size);
}

Result<void> read_symmetric(Reader& reader, TpmPublic& key) noexcept
{
    key.symmetric = TRY(reader.read_be<std::uint16_t>());
    if (key.symmetric == TPM_ALG_NULL) {
        return {};
    }
    key.symmetric_bits = TRY(reader.read_be<std::uint16_t>());
    const auto mode = TRY(reader.read_be<std::uint16_t>());
    if (key.symmetric != TPM_ALG_AES || mode != TPM_ALG_CFB) {
        return fail(Kind::malformed, "tpm: a key wraps with another cipher than AES-CFB");
    }
    return {};
}

Result<void> read_scheme(Reader& reader, TpmPublic& key) noexcept
{
    key.scheme = TRY(reader.read_be<std::uint16_t>());
    if (key.scheme == TPM_ALG_NULL) {
        return {};
    }
    if (key.scheme != TPM_ALG_RSASSA && key.scheme != TPM_ALG_RSAPSS && key.scheme != TPM_ALG_ECDSA) {
        return fail(Kind::malformed, "tpm: a key has a scheme that is not known here");
    }
    key.scheme_hash = TRY(reader.read_be<std::uint16_t>());
    return {};
}

Result<void> read_key(Reader& reader, TpmPublic& key) noexcept
{
    TRY(read_symmetric(reader, key));
    TRY(read_scheme(reader, key));
    if (key.type == TPM_ALG_RSA) {
        key.rsa_bits = TRY(reader.read_be<std::uint16_t>());
        key.rsa_exponent = TRY(reader.read_be<std::uint32_t>());
        key.rsa_modulus = TRY(read_sized(reader, key_bytes_max));
        return key.rsa_modulus.size() * 8 == key.rsa_bits
                   ? Result<void>()
                   : fail(Kind::malformed, "tpm: an RSA modulus has another size than the key says");
    }
    key.curve = TRY(reader.read_be<std::uint16_t>());
    const auto kdf = TRY(reader.read_be<std::uint16_t>());
    if (kdf != TPM_ALG_NULL) {
        return fail(Kind::malformed, "tpm: an ECC key has a key derivation of its own");
    }
    key.x = TRY(read_sized(reader, curve_bytes_max));
    key.y = TRY(read_sized(reader, curve_bytes_max));
    return {};
}

Result<PcrSelection> read_selection(Reader& reader) noexcept
{
    PcrSelection selection;
    const auto count = TRY(reader.read_be<std::uint32_t>());
    if (count > pcr_banks_max) {
        return fail(Kind::malformed, "tpm: a quote selects more banks than there are");
    }
    for (selection.count = 0; selection.count < count; ++selection.count) {
        auto& bank = selection.banks[selection.count];
        bank.hash = TRY(reader.read_be<std::uint16_t>());
        const auto size = TRY(reader.read_be<std::uint8_t>());
        if (size > pcr_select_bytes_max) {
            return fail(Kind::malformed, "tpm: a quote selects more PCRs than there are");
        }
        const auto bits = TRY(reader.read_bytes(size));
        for (std::size_t index = 0; index < bits.size(); ++index) {
            bank.mask |= static_cast<std::uint32_t>(bits[index]) << (8 * index);
        }
    }
    return selection;
}

} // namespace

std::size_t hash_bytes(std::uint16_t hash) noexcept
{
    switch (hash) {
    case TPM_ALG_SHA1: return 20;
    case TPM_ALG_SHA256: return 32;
    case TPM_ALG_SHA384: return 48;
    case TPM_ALG_SHA512: return 64;
    default: return 0;
    }
}

Result<TpmPublic> read_tpm_public(Bytes bytes) noexcept
{
    if (bytes.size() > tpm_structure_bytes_max) {
        return fail(Kind::malformed, "tpm: a public area is too long");
    }
    Reader reader(bytes);
    TpmPublic key;
    key.whole = bytes;
    key.type = TRY(reader.read_be<std::uint16_t>());
    key.name_hash = TRY(reader.read_be<std::uint16_t>());
    key.attributes = TRY(reader.read_be<std::uint32_t>());
    key.policy = TRY(read_sized(reader, 64));
    if (key.type != TPM_ALG_RSA && key.type != TPM_ALG_ECC) {
        return fail(Kind::malformed, "tpm: a public area is of no RSA or ECC key");
    }
    TRY(read_key(reader, key));
    TRY(reader.finish());
    return key;
}

Result<std::vector<std::uint8_t>> tpm_name(std::uint16_t name_hash, Bytes public_area)
{
    const auto size = hash_bytes(name_hash);
    if (size == 0) {
        return fail(Kind::malformed, "tpm: a name is made with a hash that is not known here");
    }
    std::vector<std::uint8_t> name(2 + size);
    Writer writer(name);
    writer.write_be(name_hash);
    EVP_Digest(public_area.data(), public_area.size(), writer.rest().data(), nullptr, digest_of(name_hash), nullptr);
    return name;
}

Result<TpmAttest> read_tpm_attest(Bytes bytes, std::uint16_t wanted_type) noexcept
{
    if (bytes.size() > tpm_structure_bytes_max) {
        return fail(Kind::malformed, "tpm: an attestation is too long");
    }
    Reader reader(bytes);
    TpmAttest attest;
    if (TRY(reader.read_be<std::uint32_t>()) != TPM_GENERATED_VALUE) {
        return fail(Kind::unauthentic, "tpm: magic: the message was not made by a TPM");
    }
    attest.type = TRY(reader.read_be<std::uint16_t>());
    if (attest.type != wanted_type) {
        return fail(Kind::unacceptable, "tpm: attest-type: the TPM attests something else");
    }
    attest.qualified_signer = TRY(read_sized(reader, name_bytes_max));
    attest.extra_data = TRY(read_sized(reader, name_bytes_max));
    attest.clock = TRY(reader.read_be<std::uint64_t>());
    attest.reset_count = TRY(reader.read_be<std::uint32_t>());
    attest.restart_count = TRY(reader.read_be<std::uint32_t>());
    attest.safe = TRY(reader.read_be<std::uint8_t>()) != 0;
    attest.firmware = TRY(reader.read_be<std::uint64_t>());
    if (wanted_type == TPM_ST_ATTEST_QUOTE) {
        attest.selection = TRY(read_selection(reader));
        attest.pcr_digest = TRY(read_sized(reader, 64));
    } else {
        attest.index_name = TRY(read_sized(reader, name_bytes_max));
        attest.offset = TRY(reader.read_be<std::uint16_t>());
        attest.content = TRY(read_sized(reader, tpm_structure_bytes_max));
    }
    TRY(reader.finish());
    return attest;
}

Result<TpmSignature> read_tpm_signature(Bytes bytes) noexcept
{
    if (bytes.size() > tpm_structure_bytes_max) {
        return fail(Kind::malformed, "tpm: a signature is too long");
    }
    Reader reader(bytes);
    TpmSignature signature;
    signature.scheme = TRY(reader.read_be<std::uint16_t>());
    if (signature.scheme != TPM_ALG_RSASSA && signature.scheme != TPM_ALG_RSAPSS && signature.scheme != TPM_ALG_ECDSA) {
        return fail(Kind::unauthentic, "tpm: signature: made in a scheme that is not known here");
    }
    signature.hash = TRY(reader.read_be<std::uint16_t>());
    if (signature.scheme == TPM_ALG_ECDSA) {
        signature.r = TRY(read_sized(reader, curve_bytes_max));
        signature.s = TRY(read_sized(reader, curve_bytes_max));
    } else {
        signature.rsa = TRY(read_sized(reader, key_bytes_max));
    }
    TRY(reader.finish());
    return signature;
}

std::vector<std::uint8_t> nv_name(const NvPublic& nv)
{
    ByteArray<4 + 2 + 4 + 2 + 2> area{};
    Writer writer(area);
    writer.write_be(nv.index);
    writer.write_be(TPM_ALG_SHA256);
    writer.write_be(nv.attributes);
    writer.write_be(std::uint16_t{0}); // no policy
    writer.write_be(nv.data_bytes);
    return tpm_name(TPM_ALG_SHA256, area).value_or(std::vector<std::uint8_t>());
}

} // namespace caisson::protocol::evidence
