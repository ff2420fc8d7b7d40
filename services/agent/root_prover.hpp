// RootProver: what this node's root can prove to a server. A file root proves nothing and has none.
#pragma once

#include "host/tpm/tpm_root.hpp"
#include "protocol/measurement.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace caisson::services::agent {

// Safe for concurrent use.
class RootProver {
  public:
    virtual ~RootProver() = default;

    virtual host::Outcome<host::tpm::EndorsementOffer> offer() = 0;
    virtual host::Outcome<std::vector<std::uint8_t>> activate(Bytes id_object, Bytes encrypted_secret) = 0;
    // Encoded root evidence over `extra`.
    virtual host::Outcome<std::vector<std::uint8_t>> evidence(const Digest& extra) = 0;
};

// The prover of the home's TPM root; null where the root is a file.
[[nodiscard]] std::unique_ptr<RootProver> prover_of(const std::filesystem::path& home);

// Root evidence that belongs to this evidence of the witness; empty without a prover.
[[nodiscard]] host::Outcome<std::vector<std::uint8_t>> root_evidence_for(RootProver* prover, Bytes witness_evidence);

} // namespace caisson::services::agent
