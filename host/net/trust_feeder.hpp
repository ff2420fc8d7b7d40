// TrustFeeder: keeps a curve chamber supplied with time tokens and Attestation Results from the node's agent.
// What it delays, drops or repeats can only make the chamber trust less: everything it carries is judged inside.
#pragma once

#include "host/enclave/enclave.hpp"
#include "host/fault.hpp"
#include "protocol/attestation_result.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace caisson::host::net {

// A key that lives in the chamber and is to become this node's by a local report.
struct FedKey {
    std::uint32_t id = 0; // as ImportSealedPrivateKey answered it
    protocol::CurveKey public_key;
};

struct FeederState {
    bool connected = false;    // to the agent
    bool registered = false;   // every key was accepted by the witness since the last connect
    std::uint64_t tokens = 0;  // accepted by the chamber
    std::uint64_t results = 0; // accepted by the chamber
    std::string trouble;       // the last reason why not; empty while all is well
};

struct FeederLimits {
    std::chrono::milliseconds interval{250}; // protocol::token_interval_ms
    std::chrono::milliseconds answer_wait{500};
    std::chrono::milliseconds retry_max{1000};
};

// Safe for concurrent use. One thread inside, which ends with the object.
class TrustFeeder {
  public:
    // Requires: `curve` outlives the feeder. No connection is needed to start: it retries by itself.
    TrustFeeder(enclave::Enclave& curve, std::filesystem::path agent_socket, std::vector<FedKey> keys,
                FeederLimits limits = {});
    // Waits for no agent, however silent: whoever drops a feeder may have others to serve.
    ~TrustFeeder();
    TrustFeeder(const TrustFeeder&) = delete;
    TrustFeeder& operator=(const TrustFeeder&) = delete;

    // From now on asks for the results of the node that owns `key` always, at once for the first time. Returns when
    // the chamber was handed the answer, or after FeederLimits::answer_wait: true if an answer came. Whether the key is
    // admitted is the chamber's to say. False at once when FedPeers::kept_max keys are kept.
    bool add_peer(const protocol::CurveKey& key);
    // The same for a live session, waiting for nothing. False: too many. Released as often as kept.
    bool keep_peer(const protocol::CurveKey& key);
    void release_peer(const protocol::CurveKey& key);
    // Asks once, soon, waiting for nothing: for somebody who knocks and is not admitted.
    void want_peer(const protocol::CurveKey& key);

    // Another key of the chamber. Registered at the next turn.
    void add_key(const FedKey& key);

    // Waits until a time token was accepted by the chamber, so that the gate can open. False: not within `wait`.
    bool wait_until_fed(std::chrono::milliseconds wait);

    [[nodiscard]] FeederState state() const;

  private:
    struct Inside;
    std::unique_ptr<Inside> inside_;
};

} // namespace caisson::host::net
