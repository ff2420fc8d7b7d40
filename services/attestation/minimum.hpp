// What a policy demands of a node besides its measurements: the least platform and root, no debug enclave, a TCB that
// is up to date. Compared with what was proved, never with what a node says of itself. Spec: docs/spec/measurement.md,
// section 6.
#pragma once

#include "host/store/trust_store.hpp"
#include "services/attestation/policy_file.hpp"

#include <optional>
#include <span>
#include <vector>

namespace caisson::services::attestation {

// What a connection has proved of its node.
struct Proven {
    protocol::sgx::Platform platform = protocol::sgx::Platform::process;
    protocol::sgx::RootKind root = protocol::sgx::RootKind::file;
    bool debug = false;
    std::string tcb_status; // of the CPU, in Intel's words; empty: no CPU vouches for anything
    Digest mrenclave{};     // of the witness
};

// The platform is the CPU only with a quote that leads to Intel; the root as [TPM-18] and [EVIDENCE-11] have it.
[[nodiscard]] Proven proven_of(const protocol::ChamberIdentity& witness,
                               const std::optional<host::store::RootRecord>& tpm,
                               const std::optional<host::store::CpuRecord>& cpu);

struct Shortfall {
    host::store::Reason reason;
    protocol::TrustTier tier = protocol::TrustTier::contraindicated;
};

// [MEASURE-20] Nothing when all demands are met; else each that is not, for people.
[[nodiscard]] std::vector<Shortfall> shortfalls(const Policy& policy, const Proven& proven,
                                                std::span<const protocol::CurveKeyClaim> keys);

} // namespace caisson::services::attestation
