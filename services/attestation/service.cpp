#include "services/attestation/service.hpp"

#include "host/text.hpp"
#include "services/attestation/appraise.hpp"
#include "services/attestation/minimum.hpp"
#include "services/attestation/policy_file.hpp"

#include <sodium.h>

namespace caisson::services::attestation {
namespace {

namespace link = protocol::verifier_link;
using host::Fault;
using host::fault;
using host::hex;
using host::Outcome;
using host::store::NodeRecord;
using host::store::VerdictRecord;
using protocol::TrustTier;

constexpr std::size_t hardware_claim = 4; // in AR4SI's order
constexpr std::uint64_t overdue_grace_ms = 5'000;
constexpr std::uint64_t default_interval_ms = 2'000;
constexpr std::uint64_t default_hold_ms = 30'000;

Outcome<std::vector<std::uint8_t>> sealed_to(const protocol::BoxKey& key, Bytes document)
{
    std::vector<std::uint8_t> sealed(document.size() + crypto_box_SEALBYTES);
    if (crypto_box_seal(sealed.data(), document.data(), document.size(), key.bytes.data()) != 0) {
        return fault(Kind::malformed, "the witness's key for policies is no key");
    }
    return sealed;
}

struct Timing {
    std::uint64_t interval_ms = default_interval_ms;
    std::uint64_t hold_ms = default_hold_ms;
};

// What the node's policy says; the defaults while it has none.
Outcome<Timing> timing_of(host::store::TrustStore& store, const std::string& node)
{
    const auto record = TRY(store.policy(node));
    if (!record) {
        return Timing{};
    }
    const auto policy = TRY(parse_policy(record->text, "the policy of " + node));
    return Timing{policy.interval_ms, policy.hold_ms};
}

std::string in_words(const host::store::Reason& reason)
{
    auto text = reason.path.empty() ? reason.what : reason.path + " " + reason.what;
    if (!reason.expected.empty() || !reason.found.empty()) {
        text += ": expected " + (reason.expected.empty() ? "nothing" : reason.expected) + ", found " +
                (reason.found.empty() ? "nothing" : reason.found);
    }
    return text.substr(0, link::text_bytes_max);
}

} // namespace

NodeState state_of(const std::optional<VerdictRecord>& verdict, std::uint64_t now_ms)
{
    if (!verdict || verdict->tier == TrustTier::none) {
        return NodeState::unknown;
    }
    if (now_ms > verdict->due_ms) {
        return NodeState::overdue;
    }
    switch (verdict->tier) {
    case TrustTier::affirming: return NodeState::trusted;
    case TrustTier::warning: return NodeState::warning;
    default: return NodeState::contraindicated;
    }
}

const char* state_name(NodeState state) noexcept
{
    switch (state) {
    case NodeState::unknown: return "unknown";
    case NodeState::trusted: return "trusted";
    case NodeState::warning: return "warning";
    case NodeState::contraindicated: return "contraindicated";
    case NodeState::overdue: return "overdue";
    }
    return "unknown";
}

Service::Service(const ServerKeys& keys, host::store::TrustStore& store, Clock clock, Log log)
    : keys_(keys)
    , store_(store)
    , clock_(std::move(clock))
    , log_(std::move(log))
{
}

Service::Answer Service::answer(Peer& peer, Bytes body)
{
    Answer answer;
    link::Frame frame;
    Outcome<Reply> reply = fault(Kind::malformed, "this is no message of the verifier link");
    if (const auto read = link::read_frame_body(body); read) {
        frame.request = read->request;
        reply = dispatch(peer, read->message);
    } else {
        answer.fatal = true;
    }
    if (!reply) {
        log_((peer.node ? peer.node->name : "a stranger") + ": refused: " + reply.error().what);
        const auto text = reply.error().what.substr(0, link::text_bytes_max);
        Reply refused;
        refused.texts.push_back(text);
        refused.message = link::Refused{reply.error().kind, refused.texts.back()};
        reply = std::move(refused);
    }
    frame.message = reply->message;
    answer.frame.resize(link::document_bytes_max);
    answer.frame.resize(link::write_frame(answer.frame, frame).value_or(0));
    return answer;
}

Outcome<Service::Reply> Service::dispatch(Peer& peer, const Message& message)
{
    if (const auto* request = std::get_if<link::Enrol>(&message)) {
        return enrol(peer, *request);
    }
    if (const auto* request = std::get_if<link::RootOffer>(&message)) {
        return offer_root(peer, *request);
    }
    if (!peer.spki_sha256) {
        return fault(Kind::forbidden, "without a certificate only enrolment is possible"); // [ATTEST-1]
    }
    if (const auto* request = std::get_if<link::Hello>(&message)) {
        return hello(peer, *request);
    }
    if (!peer.node) {
        return fault(Kind::forbidden, "a connection begins with Hello");
    }
    if (std::holds_alternative<link::PolicyRequest>(message)) {
        return policy(peer);
    }
    if (const auto* request = std::get_if<link::Result>(&message)) {
        return result(peer, *request);
    }
    if (const auto* request = std::get_if<link::Time>(&message)) {
        return time(peer, *request);
    }
    return fault(Kind::malformed, "this message is not for a server");
}

// [ATTEST-2] Signed by the witness it names, over this connection and this TLS key.
Outcome<protocol::WitnessEvidence> Service::checked_evidence(const Peer& peer, Bytes document, const Digest& spki)
{
    const auto evidence = TRY(protocol::verify_evidence(document));
    if (evidence.exporter != peer.exporter) {
        return fault(Kind::unauthentic, "the evidence was made for another connection");
    }
    if (evidence.tls_spki_sha256 != spki) {
        return fault(Kind::unauthentic, "the evidence was made for another TLS key");
    }
    return evidence;
}

// Which TPM a node has: answered with a secret that only that TPM finds. Whoever asks learns nothing, and enrols nobody
// without a token.
Outcome<Service::Reply> Service::offer_root(Peer& peer, const link::RootOffer& request)
{
    peer.offered_root = TRY(challenge_root(request, keys_.tpm_authorities, clock_()));
    Reply reply;
    reply.message =
        link::RootChallenge{peer.offered_root->credential.id_object, peer.offered_root->credential.encrypted_secret};
    return reply;
}

// A node that enrolled with a TPM shows its evidence over every connection: without it, it is somebody else, or has
// fallen back to a weaker root.
Outcome<std::optional<host::store::RootRecord>> Service::checked_root(const std::string& node, Bytes shown,
                                                                      const protocol::WitnessEvidence& evidence)
{
    auto root = TRY(store_.root(node));
    if (!root) {
        return root;
    }
    if (shown.empty()) {
        return fault(Kind::unauthentic, node + ": it enrolled with a TPM root and shows no evidence of it; if its root "
                                               "was made anew, enrol it again");
    }
    TRY(recheck_root(*root, shown, evidence, clock_()));
    TRY(store_.set_root(node, root));
    return root;
}

// [EVIDENCE-12] Who enrolled on SGX shows a quote over every connection, and who says SGX has enrolled so.
Outcome<std::optional<host::store::CpuRecord>> Service::checked_cpu(const std::string& node, Bytes shown,
                                                                    const protocol::WitnessEvidence& evidence)
{
    auto cpu = TRY(store_.cpu(node));
    const bool says_sgx = evidence.chamber.platform == protocol::sgx::Platform::sgx;
    if (says_sgx != cpu.has_value()) {
        return fault(Kind::unauthentic, node +
                                            (says_sgx ? ": it did not enrol on SGX and says now that it runs there"
                                                      : ": it enrolled on SGX and runs elsewhere now") +
                                            "; enrol it again");
    }
    if (!cpu) {
        return cpu;
    }
    cpu = TRY(check_quote(keys_.sgx, shown, evidence, clock_()));
    TRY(store_.set_cpu(node, cpu));
    return cpu;
}

// [ATTEST-3] A token is good once and for an hour; the node's name is the invited one, whatever it calls itself.
Outcome<Service::Reply> Service::enrol(Peer& peer, const link::Enrol& request)
{
    const auto spki = TRY(host::net::spki_sha256_of_request(request.csr));
    const auto evidence = TRY(checked_evidence(peer, request.evidence, spki));
    if (evidence.nonce.bytes != request.token) {
        return fault(Kind::unauthentic, "the evidence was made for another token");
    }
    std::optional<host::store::RootRecord> root;
    std::optional<host::store::CpuRecord> cpu;
    if (evidence.chamber.platform == protocol::sgx::Platform::sgx) {
        cpu = TRY(check_quote(keys_.sgx, request.root, evidence, clock_()));
    } else if (!request.root.empty()) {
        if (!peer.offered_root) {
            return fault(Kind::forbidden, "a TPM root is offered before it is proved");
        }
        const auto offered = std::move(*peer.offered_root); // good once
        peer.offered_root.reset();
        root = TRY(admit_root(offered, request.root, evidence, clock_()));
    }
    Digest token_sha256;
    crypto_hash_sha256(token_sha256.data(), request.token.data(), request.token.size());
    const auto now = clock_();
    std::string certificate;
    const auto make = [&](const std::string& name) -> Outcome<NodeRecord> {
        const auto certified = TRY(host::net::certify_node(keys_.authority, request.csr, name));
        certificate = certified.certificate_pem;
        return NodeRecord{name, evidence.witness, certified.spki_sha256, now};
    };
    const auto node = TRY(store_.enrol(token_sha256, now, make));
    TRY(store_.set_root(node.name, root));
    TRY(store_.set_cpu(node.name, cpu));
    log_(node.name + ": enrolled, witness key " + hex(node.witness_key.bytes) +
         (evidence.chamber.debug ? ", DEBUG enclave" : ""));
    if (cpu) {
        log_(node.name + ": its witness runs on " + cpu->text);
    }
    if (root) {
        log_(node.name + ": its root is a TPM" + (root->simulated ? ", simulated" : "") +
             (root->tpm.empty() ? ", without a certificate" : ", " + root->tpm) +
             (root->endorsed ? "" : "; no authority of this server vouches for it"));
    }
    Reply reply;
    reply.texts.push_back(std::move(certificate));
    reply.message = link::Enrolled{reply.texts.back()};
    return reply;
}

// [ATTEST-4] The certificate finds the node, the evidence proves its witness: a stolen TLS key alone says nothing.
Outcome<Service::Reply> Service::hello(Peer& peer, const link::Hello& request)
{
    auto node = TRY(store_.node_by_spki(*peer.spki_sha256));
    if (!node) {
        return fault(Kind::forbidden, "the certificate belongs to no node (it was enrolled anew, or removed)");
    }
    const auto evidence = TRY(checked_evidence(peer, request.evidence, *peer.spki_sha256));
    if (evidence.witness != node->witness_key) {
        return fault(Kind::unauthentic, node->name + ": the evidence is of another witness than the enrolled one");
    }
    peer.cpu = TRY(checked_cpu(node->name, request.root, evidence));
    peer.root = peer.cpu ? std::nullopt : TRY(checked_root(node->name, request.root, evidence));
    peer.chamber = evidence.chamber;
    const auto timing = TRY(timing_of(store_, node->name));
    peer.policy_key = evidence.policy_key;
    peer.node = std::move(node);
    peer.outstanding.reset();
    Reply reply;
    reply.texts.push_back(peer.node->name);
    reply.message = link::Welcome{reply.texts.back(), timing.interval_ms, timing.hold_ms};
    return reply;
}

// [ATTEST-5] A fresh nonce for each round, one round at a time; the list is readable by that witness alone.
Outcome<Service::Reply> Service::policy(Peer& peer)
{
    const auto record = TRY(store_.policy(peer.node->name));
    if (!record) {
        return fault(Kind::missing,
                     "there is no policy for this node yet: \"caisson policy set " + peer.node->name + " FILE\"");
    }
    const auto parsed = TRY(parse_policy(record->text, "the policy of " + peer.node->name));
    protocol::MeasurementPolicy head;
    head.policy = policy_id(*record);
    head.witness = peer.node->witness_key;
    randombytes_buf(head.nonce.bytes.data(), head.nonce.bytes.size());
    std::vector<protocol::PolicyItem> items;
    for (const auto& entry : parsed.entries) {
        items.push_back({entry.kind, entry.name});
    }
    std::vector<std::uint8_t> document(protocol::policy_document_bytes_max);
    document.resize(TRY(protocol::write_policy(document, keys_.signing_secret, head, items)));
    peer.outstanding = head.nonce;
    peer.outstanding_policy = head.policy;
    Reply reply;
    reply.owned.push_back(TRY(sealed_to(peer.policy_key, document)));
    reply.message = link::Policy{reply.owned.back()};
    return reply;
}

// [ATTEST-6] The answer to the outstanding nonce, over this connection, by this witness; then the nonce is used up.
Outcome<VerdictRecord> Service::judge(const Peer& peer, Bytes document)
{
    const auto& node = peer.node->name;
    const auto verified = TRY(protocol::verify_result(document, peer.node->witness_key));
    const auto& head = verified.head;
    if (!peer.outstanding || head.nonce != *peer.outstanding || head.policy != peer.outstanding_policy) {
        return fault(Kind::unauthentic, node + ": the result answers no outstanding policy (replayed, or too late)");
    }
    if (head.exporter != peer.exporter) {
        return fault(Kind::unauthentic, node + ": the result was made for another connection");
    }
    if (head.witness != peer.chamber) {
        return fault(Kind::unauthentic, node + ": the witness says another thing of itself than at Hello");
    }
    for (const auto& claim : std::span(head.keys).first(head.key_count)) {
        if (claim.platform == protocol::sgx::Platform::sgx && !peer.cpu) {
            return fault(Kind::unauthentic, node + ": it vouches for a key on SGX and has shown no quote itself");
        }
    }
    return measured_verdict(peer, verified);
}

Outcome<VerdictRecord> Service::measured_verdict(const Peer& peer, const protocol::VerifiedResult& result)
{
    const auto& node = peer.node->name;
    const auto& head = result.head;
    const auto record = TRY(store_.policy(node));
    const auto timing = TRY(timing_of(store_, node));
    const auto proven = proven_of(head.witness, peer.root, peer.cpu);
    VerdictRecord verdict;
    verdict.checked_ms = clock_();
    verdict.due_ms = verdict.checked_ms + 2 * timing.interval_ms + overdue_grace_ms;
    verdict.policy = head.policy;
    verdict.platform = head.witness.platform;
    verdict.root = proven.root;
    verdict.debug = head.witness.debug;
    verdict.witness_mrenclave = head.witness.mrenclave;
    verdict.keys.assign(head.keys.begin(), head.keys.begin() + static_cast<std::ptrdiff_t>(head.key_count));
    for (auto& claim : verdict.keys) { // what is proven, not what is said
        claim.root = claim.platform == head.witness.platform ? proven.root : protocol::sgx::RootKind::file;
    }
    if (!record || record->references.empty()) {
        verdict.reasons.push_back(
            {"", "there are no reference values: \"caisson baseline set " + node + " FILE\"", "", ""});
        return verdict;
    }
    const auto references = TRY(parse_references(record->references, "the reference values of " + node));
    auto appraisal = TRY(appraise(result.measurements, references));
    verdict.tier = appraisal.tier;
    verdict.vector = appraisal.vector;
    verdict.reasons = std::move(appraisal.reasons);
    const auto policy = TRY(parse_policy(record->text, "the policy of " + node));
    auto missing = shortfalls(policy, proven, verdict.keys);
    for (auto& shortfall : missing) {
        verdict.tier = std::max(verdict.tier, shortfall.tier);
        verdict.vector[hardware_claim] =
            std::max(verdict.vector[hardware_claim], static_cast<std::int8_t>(shortfall.tier));
        verdict.reasons.insert(verdict.reasons.begin(), std::move(shortfall.reason));
    }
    return verdict;
}

void Service::log_change(const std::string& node, const VerdictRecord& verdict,
                         const std::optional<VerdictRecord>& before)
{
    if (before && before->tier == verdict.tier && before->reasons == verdict.reasons) {
        return; // a steady state is not told again and again
    }
    log_(node + ": " + protocol::trust_tier_name(verdict.tier));
    for (const auto& reason : verdict.reasons) {
        log_("  " + in_words(reason));
    }
}

Outcome<Service::Reply> Service::result(Peer& peer, const link::Result& request)
{
    if (request.sealed.size() < crypto_box_SEALBYTES) {
        return fault(Kind::truncated, "a sealed result is too short");
    }
    std::vector<std::uint8_t> document(request.sealed.size() - crypto_box_SEALBYTES);
    if (crypto_box_seal_open(document.data(), request.sealed.data(), request.sealed.size(), keys_.box_key.bytes.data(),
                             keys_.box_secret.expose().data()) != 0) {
        return fault(Kind::unauthentic, "a result does not open: it was not encrypted to this server");
    }
    auto judged = judge(peer, document);
    peer.outstanding.reset();
    auto verdict = TRY(std::move(judged));
    const auto before = TRY(store_.verdict(peer.node->name));
    verdict.since_ms = before && before->tier == verdict.tier ? before->since_ms : verdict.checked_ms;
    log_change(peer.node->name, verdict, before);
    for (const auto& key : TRY(store_.set_verdict(peer.node->name, verdict))) {
        log_(peer.node->name + ": claims the key " + hex(key.bytes) + ", which is another node's; it is not believed");
    }
    const auto timing = TRY(timing_of(store_, peer.node->name));
    Reply reply;
    link::Verdict answer;
    answer.tier = verdict.tier;
    answer.next_in_ms = timing.interval_ms;
    reply.texts.reserve(link::reasons_max);
    for (const auto& reason : verdict.reasons) {
        if (answer.reason_count == link::reasons_max) {
            break;
        }
        reply.texts.push_back(in_words(reason));
        answer.reasons[answer.reason_count++] = reply.texts.back();
    }
    reply.message = answer;
    return reply;
}

// [ATTEST-7] Signed anew for each question, and good for the hold time only: who withholds the next one lets it lapse.
Outcome<std::optional<std::vector<std::uint8_t>>> Service::signed_result_for(const protocol::CurveKey& key)
{
    const auto owner = TRY(store_.owner_of(key));
    const auto verdict = owner ? TRY(store_.verdict(*owner)) : std::optional<VerdictRecord>();
    if (!verdict) {
        return std::optional<std::vector<std::uint8_t>>();
    }
    const auto now = clock_();
    const auto state = state_of(verdict, now);
    protocol::AttestationResult result;
    for (const auto& node : TRY(store_.nodes())) {
        if (node.name == *owner) {
            result.node = node.witness_key;
        }
    }
    std::memcpy(result.name.data(), owner->data(), std::min(owner->size(), result.name.size()));
    result.issued_ms = now;
    result.expires_ms = now + TRY(timing_of(store_, *owner)).hold_ms;
    result.status = state == NodeState::overdue ? TrustTier::none : verdict->tier;
    result.vector = verdict->vector;
    result.policy = verdict->policy;
    result.key_count = std::min(verdict->keys.size(), result.keys.size());
    std::copy_n(verdict->keys.begin(), result.key_count, result.keys.begin());
    std::vector<std::uint8_t> document(protocol::attestation_result_bytes_max);
    document.resize(TRY(protocol::write_attestation_result(document, keys_.signing_secret, result)));
    return document;
}

Outcome<Service::Reply> Service::time(const Peer& peer, const link::Time& request)
{
    protocol::TimeToken token;
    token.nonce = request.nonce;
    token.time_ms = clock_();
    token.hold_ms = TRY(timing_of(store_, peer.node->name)).hold_ms;
    token.messages_max = messages_per_token;
    Reply reply;
    reply.owned.reserve(1 + link::keys_max);
    std::vector<std::uint8_t> signed_token(protocol::time_token_bytes_max);
    signed_token.resize(TRY(protocol::write_time_token(signed_token, keys_.signing_secret, token)));
    reply.owned.push_back(std::move(signed_token));
    link::TimeAnswer answer;
    answer.token = reply.owned.back();
    for (std::size_t index = 0; index < request.key_count; ++index) {
        auto document = TRY(signed_result_for(request.keys[index]));
        if (document) {
            reply.owned.push_back(std::move(*document));
            answer.results[answer.result_count++] = reply.owned.back();
        }
    }
    reply.message = answer;
    return reply;
}

} // namespace caisson::services::attestation
