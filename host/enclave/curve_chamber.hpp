// CurveChamber: the curve chamber's requests as a server needs them, typed. The enclave judges; this writes and reads.
#pragma once

#include "airlock/curve/requests.hpp"
#include "host/enclave/enclave.hpp"
#include "protocol/attestation_result.hpp"

#include <vector>

namespace caisson::host::enclave {

struct LoadedCurveKey {
    std::uint32_t id = 0;
    bool gated = false;
    protocol::CurveKey public_key;
};

struct InitiatedSession {
    std::uint32_t session = 0; // 0: not admitted
    protocol::CurveKey client;
    bool admitted = false;
    std::vector<std::uint8_t> metadata;
};

struct CurvePeerState {
    bool admitted = false;
    protocol::TrustTier tier = protocol::TrustTier::none;
    protocol::WitnessKey node;
    Digest measurement{}; // MRENCLAVE of the chamber that holds the peer's key; zeros while unknown
};

// One message of a batch: from text to MESSAGE body, or back.
struct CurveMessage {
    std::uint32_t session = 0;
    std::uint32_t flags = 0; // message_more, message_command; filled in when it is opened
    Bytes input;
    std::vector<std::uint8_t> output;
    Status status; // why not
};

// Not owning: the Enclave outlives it. Safe for concurrent use as far as Enclave is.
class CurveChamber {
  public:
    explicit CurveChamber(Enclave& enclave) noexcept
        : enclave_(enclave)
    {
    }

    Outcome<LoadedCurveKey> import_sealed(Bytes sealed);
    Result<std::vector<std::uint8_t>> process_hello(std::uint32_t key, Bytes body);
    Result<InitiatedSession> process_initiate(std::uint32_t key, Bytes body);
    Result<std::vector<std::uint8_t>> produce_ready(std::uint32_t session, Bytes metadata);
    void close_session(std::uint32_t session);
    Result<CurvePeerState> peer_state(const protocol::CurveKey& peer);
    // Its sessions end; the key must be imported again to be used.
    void forget_key(std::uint32_t key);
    // The sessions that the chamber has closed just now, because it would refuse them a message.
    std::vector<std::uint32_t> sweep_sessions();

    // All with one crossing; each has its own status.
    void produce_messages(std::span<CurveMessage> messages);
    void process_messages(std::span<CurveMessage> messages);

  private:
    Result<std::vector<std::uint8_t>> ask(airlock::curve::Request request, std::uint32_t subject, Bytes rest,
                                          std::size_t room);

    Enclave& enclave_;
};

} // namespace caisson::host::enclave
