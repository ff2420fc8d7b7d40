#include "protocol/evidence/tpm_quote.hpp"

#include "protocol/evidence/openssl_handles.hpp"
#include "protocol/evidence/tpm_digest.hpp"

#include <algorithm>

namespace caisson::protocol::evidence {
namespace {

Status expect_covered(const PcrSelection& selection, const PcrSelection& required) noexcept
{
    for (std::size_t index = 0; index < required.count; ++index) {
        std::uint32_t covered = 0;
        for (std::size_t bank = 0; bank < selection.count; ++bank) {
            covered |= selection.banks[bank].hash == required.banks[index].hash ? selection.banks[bank].mask : 0;
        }
        if ((covered & required.banks[index].mask) != required.banks[index].mask) {
            return fail(Kind::unacceptable, "tpm: pcr-selection: the quote does not cover the PCRs asked for");
        }
    }
    return {};
}

const PcrValue* find(std::span<const PcrValue> values, std::uint16_t hash, std::uint8_t index) noexcept
{
    const auto found =
        std::ranges::find_if(values, [&](const PcrValue& value) { return value.hash == hash && value.index == index; });
    return found == values.end() ? nullptr : &*found;
}

// The digest is over the selected values, bank by bank in the order of the selection, ascending within a bank; its
// hash is the signature's, not the bank's.
Status expect_values(const TpmAttest& quote, std::uint16_t hash, std::span<const PcrValue> values)
{
    const DigestContext context(EVP_MD_CTX_new());
    if (EVP_DigestInit_ex(context.get(), digest_of(hash), nullptr) != 1) {
        return fail(Kind::unauthentic, "tpm: signature: made with a hash that is not known here");
    }
    for (std::size_t bank = 0; bank < quote.selection.count; ++bank) {
        const auto& selected = quote.selection.banks[bank];
        for (std::uint8_t index = 0; index < 8 * pcr_select_bytes_max; ++index) {
            if ((selected.mask >> index & 1U) == 0) {
                continue;
            }
            const auto* value = find(values, selected.hash, index);
            if (value == nullptr || value->value.size() != hash_bytes(selected.hash)) {
                return fail(Kind::unauthentic, "tpm: pcr-digest: a quoted PCR's value is not given");
            }
            EVP_DigestUpdate(context.get(), value->value.data(), value->value.size());
        }
    }
    ByteArray<EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_DigestFinal_ex(context.get(), digest.data(), &size);
    return same_bytes(Bytes(digest).first(size), quote.pcr_digest)
               ? Status()
               : fail(Kind::unauthentic, "tpm: pcr-digest: the PCR values are not the quoted ones");
}

// What every attestation must pass: structure, signature, nonce.
Result<VerifiedQuote> verify_attest(const SignedAttest& attested, std::uint16_t type, const PublicKey& key, Bytes nonce)
{
    VerifiedQuote verified;
    verified.attest = TRY(read_tpm_attest(attested.attest, type));
    const auto signature = TRY(read_tpm_signature(attested.signature));
    verified.hash = signature.hash;
    TRY(key.verify(signature, attested.attest));
    if (!same_bytes(verified.attest.extra_data, nonce)) {
        return fail(Kind::unauthentic, "tpm: nonce: the attestation was made for another question");
    }
    return verified;
}

} // namespace

Result<VerifiedQuote> verify_tpm_quote(const SignedAttest& quote, const PublicKey& key, const QuoteDemands& demands)
{
    auto verified = TRY(verify_attest(quote, TPM_ST_ATTEST_QUOTE, key, demands.nonce));
    TRY(expect_covered(verified.attest.selection, demands.required));
    if (demands.values) {
        TRY(expect_values(verified.attest, verified.hash, *demands.values));
    }
    return verified;
}

Result<Bytes> verify_nv_certify(const SignedAttest& certified, const PublicKey& key, Bytes nonce, Bytes name)
{
    const auto verified = TRY(verify_attest(certified, TPM_ST_ATTEST_NV, key, nonce));
    if (!same_bytes(verified.attest.index_name, name) || verified.attest.offset != 0) {
        return fail(Kind::unacceptable, "tpm: index: the TPM certifies another index, or not all of it");
    }
    return verified.attest.content;
}

Status expect_attestation_key(const TpmPublic& key) noexcept
{
    constexpr auto wanted =
        object_fixed_tpm | object_fixed_parent | object_sensitive_data_origin | object_restricted | object_sign_encrypt;
    const bool good = (key.attributes & wanted) == wanted && (key.attributes & object_decrypt) == 0;
    return good ? Status() : fail(Kind::unacceptable, "tpm: ak-not-restricted: the key also signs what no TPM made");
}

} // namespace caisson::protocol::evidence
