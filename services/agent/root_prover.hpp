// RootProver: what this node's root can prove to a server, beside the witness's own evidence. A file root proves
// nothing and has none.
#pragma once

#include "host/enclave/witness_chamber.hpp"
#include "host/tpm/tpm_root.hpp"
#include "protocol/measurement.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace caisson::services::agent {

class TpmProver;

// Safe for concurrent use.
class RootProver {
  public:
    virtual ~RootProver() = default;

    // What goes with this evidence of the witness in Hello, and at enrolment after it.
    virtual host::Outcome<std::vector<std::uint8_t>> proof(host::enclave::WitnessChamber& witness,
                                                           const protocol::WitnessEvidence& evidence) = 0;
    // A TPM is challenged before it enrols; null: this is none.
    virtual TpmProver* tpm() noexcept { return nullptr; }
};

class TpmProver final : public RootProver {
  public:
    explicit TpmProver(std::filesystem::path home)
        : home_(std::move(home))
    {
    }
    host::Outcome<std::vector<std::uint8_t>> proof(host::enclave::WitnessChamber& witness,
                                                   const protocol::WitnessEvidence& evidence) override;
    TpmProver* tpm() noexcept override { return this; }

    host::Outcome<host::tpm::EndorsementOffer> offer();
    host::Outcome<std::vector<std::uint8_t>> activate(Bytes id_object, Bytes encrypted_secret);
    // Encoded root evidence over `extra`.
    host::Outcome<std::vector<std::uint8_t>> evidence(const Digest& extra);

  private:
    std::filesystem::path home_;
};

// Intel's quoting service, as far as a proof needs it (host/enclave/sgx_aesm.hpp).
struct QuotingService {
    std::function<host::Outcome<protocol::sgx::TargetInfo>()> target;
    std::function<host::Outcome<std::vector<std::uint8_t>>(const protocol::sgx::Report& report)> quote;
};

// [EVIDENCE-10] On the platform sgx: a quote over the witness's evidence, made anew for each.
class QuoteProver final : public RootProver {
  public:
    explicit QuoteProver(QuotingService service)
        : service_(std::move(service))
    {
    }
    host::Outcome<std::vector<std::uint8_t>> proof(host::enclave::WitnessChamber& witness,
                                                   const protocol::WitnessEvidence& evidence) override;

  private:
    QuotingService service_;
};

// The prover of the home's TPM root; null where the root is a file.
[[nodiscard]] std::unique_ptr<TpmProver> prover_of(const std::filesystem::path& home);

// The proof that belongs to this evidence of the witness; empty without a prover.
[[nodiscard]] host::Outcome<std::vector<std::uint8_t>>
proof_for(RootProver* prover, host::enclave::WitnessChamber& witness, Bytes witness_evidence);

} // namespace caisson::services::agent
