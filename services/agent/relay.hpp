// Relay: carries Time requests of this node's chambers to the server and the answers back, on a connection of its own,
// so that a long measurement delays none of them. It judges nothing: the chambers do.
#pragma once

#include "services/agent/session.hpp"

namespace caisson::services::agent {

struct RelayLimits {
    std::chrono::milliseconds answer_wait{1'000}; // below a feeder's patience
    std::chrono::milliseconds retry_min{50};
    std::chrono::milliseconds retry_max{1'000};
};

struct RelayedTime {
    std::vector<std::uint8_t> token;
    std::vector<std::vector<std::uint8_t>> results;
};

// Safe for concurrent use; one request at a time goes out.
class Relay {
  public:
    // Requires: `witness` outlives it.
    Relay(host::enclave::WitnessChamber& witness, const Digest& tls_spki_sha256, ConnectVerifier connect,
          RelayLimits limits = {}, RootProver* prover = nullptr)
        : witness_(witness)
        , tls_spki_sha256_(tls_spki_sha256)
        , connect_(std::move(connect))
        , limits_(limits)
        , prover_(prover)
    {
    }

    // Fails: unavailable (the server is away; asked again at once it fails at once, until the next try is due), and
    // what the server says.
    host::Outcome<RelayedTime> time(const protocol::verifier_link::Time& request);

  private:
    host::Done connect();

    std::mutex mutex_;
    host::enclave::WitnessChamber& witness_;
    Digest tls_spki_sha256_;
    ConnectVerifier connect_;
    RelayLimits limits_;
    RootProver* prover_;
    std::unique_ptr<Verifier> verifier_;
    std::chrono::milliseconds retry_{0};
    AgentState::Clock::time_point next_try_;
};

} // namespace caisson::services::agent
