// WitnessChamber: the witness chamber's requests as typed calls. The enclave judges; this only writes and reads.
#pragma once

#include "airlock/witness/requests.hpp"
#include "host/enclave/enclave.hpp"
#include "protocol/measurement.hpp"

#include <vector>

namespace caisson::host::enclave {

struct NewIdentity {
    protocol::WitnessKey witness_key;
    std::vector<std::uint8_t> sealed;
};

struct LoadedIdentity {
    protocol::WitnessKey witness_key;
    protocol::BoxKey policy_key;
};

struct WantedMeasurement {
    std::uint32_t index = 0;
    airlock::witness::Wanted what{};
    std::string path; // for a fact: its name
};

// Not owning: the Enclave outlives it. Safe for concurrent use as far as Enclave::call is.
class WitnessChamber {
  public:
    explicit WitnessChamber(Enclave& enclave) noexcept
        : enclave_(enclave)
    {
    }

    Outcome<NewIdentity> create_identity(const protocol::VerifyingKey& server_signing_key,
                                         const protocol::BoxKey& server_box_key);
    Outcome<LoadedIdentity> load_identity(Bytes sealed);
    Outcome<protocol::sgx::TargetInfo> target_info();
    Done accept_report(Bytes report, const protocol::CurveKey& key);
    Done forget_key(const protocol::CurveKey& key);
    Outcome<std::vector<std::uint8_t>> evidence(const Digest& tls_spki_sha256, const protocol::Exporter& exporter,
                                                const protocol::EvidenceNonce& nonce);
    // The REPORT over that evidence, for the quoting enclave of `target`.
    Outcome<protocol::sgx::Report> quote_report(const protocol::sgx::TargetInfo& target, const Digest& tls_spki_sha256,
                                                const protocol::Exporter& exporter,
                                                const protocol::EvidenceNonce& nonce);
    Outcome<std::uint32_t> open_policy(Bytes sealed_policy);
    // Fails: missing (everything is measured; `finish` may follow).
    Outcome<WantedMeasurement> next_measurement();
    // One chunk of what next_measurement wants. Requires: chunk.size() <= chunk_bytes_max.
    Done absorb(Bytes chunk, bool last);
    // The first chunk of a file.
    Done absorb_with_mode(Bytes chunk, std::uint32_t st_mode, bool last);
    Done absorb_error(int error_number);
    Outcome<std::vector<std::uint8_t>> finish(const protocol::Exporter& exporter);

    [[nodiscard]] protocol::sgx::Platform platform() const noexcept { return enclave_.facts().platform; }
    [[nodiscard]] bool alive() noexcept { return enclave_.alive(); }

  private:
    Enclave& enclave_;
};

} // namespace caisson::host::enclave
