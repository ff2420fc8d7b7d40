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
    bool listed = false; // by a signed access list, which the chamber enforces
    protocol::CurveKey public_key;
};

struct AcceptedAccessList {
    std::uint64_t serial = 0;
    std::uint32_t keys = 0;
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

using CurveTag = ByteArray<airlock::curve::box_tag_bytes>;

// Not owning: the Enclave outlives it. Safe for concurrent use as far as Enclave is.
class CurveChamber {
  public:
    explicit CurveChamber(Enclave& enclave) noexcept
        : enclave_(enclave)
    {
    }

    Outcome<LoadedCurveKey> import_sealed(Bytes sealed);
    // `where` names the list in errors. Fails: missing (no loaded key is pinned to its signer or any), unauthentic,
    // conflict (not newer than the list in force), malformed.
    Outcome<AcceptedAccessList> accept_access_list(Bytes document, const std::string& where);
    Result<std::vector<std::uint8_t>> process_hello(std::uint32_t key, Bytes body);
    Result<InitiatedSession> process_initiate(std::uint32_t key, Bytes body);
    Result<std::vector<std::uint8_t>> produce_ready(std::uint32_t session, Bytes metadata);
    void close_session(std::uint32_t session);
    Result<CurvePeerState> peer_state(const protocol::CurveKey& peer);
    // Its sessions end; the key must be imported again to be used.
    void forget_key(std::uint32_t key);
    // This machine stood still, or was copied, restored or moved: all sessions and handshakes have ended.
    Status new_epoch();
    // The sessions that the chamber has closed just now, because it would refuse them a message.
    std::vector<std::uint32_t> sweep_sessions();

    // All with one crossing, each with its own status; one that is larger than a request goes alone, in pieces.
    void produce_messages(std::span<CurveMessage> messages);
    void process_messages(std::span<CurveMessage> messages);

    // Messages of any size, in order: begin, pieces, finish. A session has one unfinished message each way, and nothing
    // else goes that way meanwhile. Fails: exhausted (try later), and what ends the session.
    // The first 33 octets of the body, whose tag (at octet 16) `finish` gives.
    Result<ByteArray<airlock::curve::message_head_bytes>> begin_produce(std::uint32_t session, std::uint32_t flags,
                                                                        std::uint64_t text_bytes);
    Status produce_piece(std::uint32_t session, Bytes text, MutableBytes ciphertext);
    Result<CurveTag> finish_produce(std::uint32_t session);
    // Keep what process_piece writes to yourself until finish_process has said yes.
    Status begin_process(std::uint32_t session, Bytes head, std::uint64_t text_bytes);
    Status process_piece(std::uint32_t session, Bytes ciphertext, MutableBytes text);
    Result<std::uint32_t> finish_process(std::uint32_t session); // flags

  private:
    // `text` and `ciphertext` may be the same place.
    Status pass_pieces(airlock::curve::Request request, std::uint32_t session, Bytes from, MutableBytes to);
    void produce_large(CurveMessage& message);
    void process_large(CurveMessage& message);
    void produce_batch(std::span<CurveMessage> messages);
    void process_batch(std::span<CurveMessage> messages);
    Result<std::vector<std::uint8_t>> ask(airlock::curve::Request request, std::uint32_t subject, Bytes rest,
                                          std::size_t room);

    Enclave& enclave_;
};

} // namespace caisson::host::enclave
