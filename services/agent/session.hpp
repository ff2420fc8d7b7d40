// Session: the measuring half of an agent. Connects, proves who it is, and then measures whenever the server wants.
#pragma once

#include "services/agent/measurer.hpp"
#include "services/agent/root_prover.hpp"
#include "services/agent/state.hpp"
#include "services/agent/verifier.hpp"

#include <functional>

namespace caisson::services::agent {

struct SessionLimits {
    std::chrono::milliseconds answer_wait{10'000};
    std::chrono::milliseconds retry_min{100};
    std::chrono::milliseconds retry_max{5'000};
};

// Evidence over the connection of `verifier`, and the server's welcome. Every connection begins so.
host::Outcome<protocol::verifier_link::Welcome> say_hello(Verifier& verifier, host::enclave::WitnessChamber& witness,
                                                          const Digest& tls_spki_sha256, RootProver* prover,
                                                          std::chrono::milliseconds wait);

class Session {
  public:
    // Requires: all outlive it.
    Session(host::enclave::WitnessChamber& witness, const Digest& tls_spki_sha256, ConnectVerifier connect,
            AgentState& state, SessionLimits limits = {}, std::string proc = "/proc", RootProver* prover = nullptr)
        : witness_(witness)
        , tls_spki_sha256_(tls_spki_sha256)
        , connect_(std::move(connect))
        , state_(state)
        , limits_(limits)
        , prover_(prover)
        , measurer_(witness, state.stop_flag(), std::move(proc))
    {
    }

    // `revive` is called, from `run`, as long as the witness chamber has ended: it starts it anew or says why not.
    // Without one the end of the chamber is the end of the session.
    void revive_with(std::function<host::Done()> revive) { revive_ = std::move(revive); }

    // Until the state says stop. Connections that end are made anew.
    // Fails: unavailable (the witness chamber ended, and nobody revives it).
    host::Done run();

  private:
    host::Done connect();
    // How long until the next.
    host::Outcome<std::chrono::milliseconds> round();
    void note(const protocol::verifier_link::Verdict& verdict, const MeasuredRound& measured);

    host::enclave::WitnessChamber& witness_;
    Digest tls_spki_sha256_;
    ConnectVerifier connect_;
    AgentState& state_;
    SessionLimits limits_;
    RootProver* prover_; // null: the root proves nothing
    Measurer measurer_;
    std::unique_ptr<Verifier> verifier_;
    std::function<host::Done()> revive_;
};

} // namespace caisson::services::agent
