// The TPM root of a node, as the server judges it: which TPM at enrolment, its evidence over each connection, and what
// a policy may demand of it. Spec: docs/spec/tpm.md, section 5.
#pragma once

#include "host/store/trust_store.hpp"
#include "protocol/evidence/tpm_credential.hpp"
#include "protocol/measurement.hpp"
#include "protocol/verifier_link.hpp"

#include <optional>
#include <string>
#include <vector>

namespace caisson::services::attestation {

// What a connection offered before it enrols, and the secret that only the TPM offered can find.
struct OfferedRoot {
    host::store::RootRecord record;
    protocol::evidence::CredentialSecret secret{};
    protocol::evidence::Credential credential;
};

// `authorities`: PEM; empty: no EK certificate is believed. Fails: malformed, unacceptable (no TPM's keys),
// unauthentic (the certificate is of another key).
[[nodiscard]] host::Outcome<OfferedRoot> challenge_root(const protocol::verifier_link::RootOffer& offer,
                                                        const std::string& authorities, std::uint64_t now_ms);

// [TPM-16] The secret of the challenge and root evidence behind it: the record to keep.
[[nodiscard]] host::Outcome<host::store::RootRecord>
admit_root(const OfferedRoot& offered, Bytes proof, const protocol::WitnessEvidence& witness, std::uint64_t now_ms);

// [TPM-17] Evidence of a later connection, by the same AK; the record is brought up to date.
[[nodiscard]] host::Done recheck_root(host::store::RootRecord& record, Bytes evidence,
                                      const protocol::WitnessEvidence& witness, std::uint64_t now_ms);

// What is proven, whatever the node says of itself: a TPM only when its maker is known, a simulated one otherwise, a
// file without evidence.
[[nodiscard]] protocol::sgx::RootKind proven_root(const std::optional<host::store::RootRecord>& record);

// [TPM-18] Nothing when the root is as strong as the policy demands; else the reason for people.
[[nodiscard]] std::optional<host::store::Reason> root_shortfall(protocol::sgx::RootKind demanded,
                                                                protocol::sgx::RootKind proven);

} // namespace caisson::services::attestation
