// Policies of sealed objects as digests (TPM 2.0 Library, part 3, chapter 23), computed without a TPM, and the signed
// policy: who holds the signing key approves PCR values, and machines that have them need no new sealing.
// Spec: docs/spec/tpm.md, section 4.
#pragma once

#include "protocol/evidence/tpm_structures.hpp"

namespace caisson::protocol::evidence {

inline constexpr std::string_view approval_reference = "caisson root v1"; // the policyRef of every approval

// The digest of the values, ascending: what PolicyPCR and a quote of one bank hold.
[[nodiscard]] Digest pcr_digest_of(std::span<const Digest> values);

// Each extends the policy `before` by one assertion.
[[nodiscard]] Digest policy_pcr(const Digest& before, const PcrBank& selection, const Digest& pcr_digest);
[[nodiscard]] Digest policy_nv_equals(const Digest& before, Bytes nv_name, Bytes value);
[[nodiscard]] Digest policy_secret(const Digest& before, Bytes entity_name);
[[nodiscard]] Digest policy_authorize(Bytes signer_name);

// What is signed to approve `policy`: SHA-256(policy, approval_reference).
[[nodiscard]] Digest approval_digest(const Digest& policy);

// The TPMT_PUBLIC of a P-256 key in PEM, secret or public, as a TPM takes it in to verify approvals.
// Fails: malformed.
[[nodiscard]] Result<std::vector<std::uint8_t>> signer_public(std::string_view pem);

// An approval of `policy` as TPMT_SIGNATURE. Fails: malformed (no P-256 secret key), unavailable.
[[nodiscard]] Result<std::vector<std::uint8_t>> approve_policy(std::string_view secret_key_pem, const Digest& policy);

} // namespace caisson::protocol::evidence
