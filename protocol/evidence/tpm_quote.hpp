// What a TPM 2.0 attests: its PCRs, and the content of an NV index, under its attestation key (AK). Verified strictly,
// to a key that the caller pins. Spec: docs/spec/tpm.md, section 2.
#pragma once

#include "protocol/evidence/public_key.hpp"

namespace caisson::protocol::evidence {

struct PcrValue {
    std::uint16_t hash = 0;
    std::uint8_t index = 0;
    Bytes value;
};

struct SignedAttest {
    Bytes attest;    // TPMS_ATTEST
    Bytes signature; // TPMT_SIGNATURE
};

struct QuoteDemands {
    Bytes nonce;                                       // what extraData must be, whole
    PcrSelection required;                             // each must be covered, in its bank
    std::optional<std::span<const PcrValue>> values{}; // the PCRs the prover says it has; none: not compared
};

struct VerifiedQuote {
    TpmAttest attest;
    std::uint16_t hash = 0; // of the signature, and of the PCR digest
};

// [TPM-2] Fails: truncated, malformed, unauthentic (magic, signature, nonce, values), unacceptable (not a quote, or of
// other PCRs than required).
[[nodiscard]] Result<VerifiedQuote> verify_tpm_quote(const SignedAttest& quote, const PublicKey& key,
                                                     const QuoteDemands& demands);

// [TPM-3] The whole content of the index `name`. Fails: as above; unacceptable (another index, or a part of it).
[[nodiscard]] Result<Bytes> verify_nv_certify(const SignedAttest& certified, const PublicKey& key, Bytes nonce,
                                              Bytes name);

// [TPM-4] May this key's signatures be believed to be over what a TPM made itself? Only a restricted signing key, made
// in its TPM and bound to it. Fails: unacceptable.
[[nodiscard]] Status expect_attestation_key(const TpmPublic& key) noexcept;

} // namespace caisson::protocol::evidence
