// Appraisal: what a witness found against what must be there. Nothing that differs is small enough to be let pass.
#pragma once

#include "host/store/trust_store.hpp"
#include "services/attestation/references.hpp"

namespace caisson::services::attestation {

// At most this many reasons are kept of one result; the last then says how many more there are.
inline constexpr std::size_t reasons_max = 32;

struct Appraisal {
    protocol::TrustTier tier = protocol::TrustTier::none;
    std::array<std::int8_t, 8> vector{}; // AR4SI
    std::vector<host::store::Reason> reasons;
};

// Takes the measurements to their end. Fails: malformed.
[[nodiscard]] Result<Appraisal> appraise(protocol::Measurements measurements, const References& references);

// Bound to in every Attestation Result: SHA-256 of the policy's text and the reference values.
[[nodiscard]] Digest policy_id(const host::store::PolicyRecord& policy);

} // namespace caisson::services::attestation
