// The CPU of a node, as the server judges it: an SGX quote over the witness's evidence, at enrolment and over each
// later connection. Spec: docs/spec/evidence.md, "Towards the server".
#pragma once

#include "host/store/trust_store.hpp"
#include "protocol/evidence/sgx_verify.hpp"
#include "protocol/measurement.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace caisson::services::attestation {

// Intel's statements about one family of platforms, and the root that they and its quotes lead to.
struct SgxTrust {
    std::string tcb_info;
    std::string tcb_info_chain;
    std::string qe_identity;
    std::string qe_identity_chain;
    std::vector<std::uint8_t> pck_crl;
    std::vector<std::uint8_t> root_crl;
    protocol::evidence::RootPin root = protocol::evidence::intel_sgx_root;
    bool simulated = false; // another root than Intel's: what leads to it is no hardware trust

    [[nodiscard]] protocol::evidence::SgxCollateral collateral() const noexcept
    {
        return {tcb_info, tcb_info_chain, qe_identity, qe_identity_chain, pck_crl, root_crl};
    }
};

// [EVIDENCE-10] A genuine quote of the very enclave that `evidence` says its witness is, over that evidence.
// Fails: missing (no quote, or no collateral here), as verify_sgx_quote; unauthentic (of another enclave, or over
// something else), unacceptable (revoked).
[[nodiscard]] host::Outcome<host::store::CpuRecord> check_quote(const std::vector<SgxTrust>& trusted, Bytes quote,
                                                                const protocol::WitnessEvidence& evidence,
                                                                std::uint64_t now_ms);

// Verifies the collateral in `folder` and keeps it in HOME/server/sgx, in the place of what was known of that family.
// `root_sha256`: hexadecimal, of a root's public key that is not Intel's; empty: Intel's. Returns the FMSPC.
[[nodiscard]] host::Outcome<std::string> trust_sgx(const std::filesystem::path& home,
                                                   const std::filesystem::path& folder, const std::string& root_sha256,
                                                   std::uint64_t now_ms);

// All that is kept there.
[[nodiscard]] host::Outcome<std::vector<SgxTrust>> load_all_sgx_trust(const std::filesystem::path& home);

} // namespace caisson::services::attestation
