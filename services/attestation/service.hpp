// The Verifier's work without its network: enrolment, evidence, policies, results, trust. Every message of the verifier
// link ends in one function here. Safe for concurrent use: state is in the store and behind one lock.
// Spec: docs/spec/attestation.md.
#pragma once

#include "host/store/trust_store.hpp"
#include "protocol/verifier_link.hpp"
#include "services/attestation/node_root.hpp"
#include "services/attestation/server_home.hpp"

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace caisson::services::attestation {

// One time token permits so many messages of one chamber: more than a core can handle between two tokens.
inline constexpr std::uint64_t messages_per_token = 5'000'000;

// What the network layer knows of a connection, and what the connection has proved so far.
struct Peer {
    protocol::Exporter exporter;
    std::optional<Digest> spki_sha256; // of its certificate; none before enrolment

    std::optional<host::store::NodeRecord> node; // after Hello
    std::optional<OfferedRoot> offered_root;     // before Enrol
    std::optional<host::store::RootRecord> root; // after Hello: the TPM root that this connection has proved
    std::optional<host::store::CpuRecord> cpu;   // after Hello: the CPU that this connection has proved
    protocol::ChamberIdentity chamber;           // after Hello: what the witness said it is
    protocol::BoxKey policy_key;
    std::optional<protocol::IterationNonce> outstanding; // the policy that is being measured
    Digest outstanding_policy{};
};

class Service {
  public:
    using Clock = std::function<std::uint64_t()>; // Unix time in milliseconds
    using Log = std::function<void(const std::string&)>;

    Service(const ServerKeys& keys, host::store::TrustStore& store, Clock clock, Log log);

    // The answer to `body`, a frame's body: a whole frame. Whatever is refused is answered with Refused; a peer that
    // speaks nonsense gets malformed and is to be cut off (`fatal`).
    struct Answer {
        std::vector<std::uint8_t> frame;
        bool fatal = false;
    };
    Answer answer(Peer& peer, Bytes body);

  private:
    using Message = protocol::verifier_link::Message;
    // Owns what the views in `message` point to.
    struct Reply {
        Message message;
        std::vector<std::vector<std::uint8_t>> owned;
        std::vector<std::string> texts;
    };

    host::Outcome<Reply> dispatch(Peer& peer, const Message& message);
    host::Outcome<Reply> offer_root(Peer& peer, const protocol::verifier_link::RootOffer& request);
    host::Outcome<Reply> enrol(Peer& peer, const protocol::verifier_link::Enrol& request);
    host::Outcome<Reply> hello(Peer& peer, const protocol::verifier_link::Hello& request);
    host::Outcome<Reply> policy(Peer& peer);
    host::Outcome<Reply> result(Peer& peer, const protocol::verifier_link::Result& request);
    host::Outcome<Reply> time(const Peer& peer, const protocol::verifier_link::Time& request);

    host::Outcome<std::optional<host::store::RootRecord>> checked_root(const std::string& node, Bytes shown,
                                                                       const protocol::WitnessEvidence& evidence);
    host::Outcome<std::optional<host::store::CpuRecord>> checked_cpu(const std::string& node, Bytes shown,
                                                                     const protocol::WitnessEvidence& evidence);
    host::Outcome<protocol::WitnessEvidence> checked_evidence(const Peer& peer, Bytes document, const Digest& spki);
    host::Outcome<host::store::VerdictRecord> judge(const Peer& peer, Bytes document);
    host::Outcome<host::store::VerdictRecord> measured_verdict(const Peer& peer,
                                                               const protocol::VerifiedResult& result);
    void log_change(const std::string& node, const host::store::VerdictRecord& verdict,
                    const std::optional<host::store::VerdictRecord>& before);
    host::Outcome<std::optional<std::vector<std::uint8_t>>> signed_result_for(const protocol::CurveKey& key);

    const ServerKeys& keys_;
    host::store::TrustStore& store_;
    Clock clock_;
    Log log_;
};

// How a node stands at `now_ms`: its verdict, unless its word is overdue.
enum class NodeState : std::uint8_t { unknown, trusted, warning, contraindicated, overdue };
[[nodiscard]] NodeState state_of(const std::optional<host::store::VerdictRecord>& verdict, std::uint64_t now_ms);
const char* state_name(NodeState state) noexcept;

} // namespace caisson::services::attestation
