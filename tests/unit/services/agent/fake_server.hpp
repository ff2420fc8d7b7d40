// A server for tests of agents: real signatures and boxes, one file to measure, no memory, no TLS.
#pragma once

#include "host/fault.hpp"
#include "protocol/measurement.hpp"
#include "protocol/verifier_link.hpp"

#include <sodium.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

namespace caisson::services::agent {

// A server with one policy (one file) that trusts a node as long as that file says `expected`.
class FakeServer {
  public:
    explicit FakeServer(std::string file)
        : file_(std::move(file))
    {
        const ByteArray<32> seed{3};
        crypto_sign_seed_keypair(verifying_key.bytes.data(), signing_key_.expose().data(), seed.data());
        crypto_box_seed_keypair(box_key.bytes.data(), box_secret_.data(), seed.data());
    }

    // What a connection with this exporter is answered. `storage` keeps the views alive.
    host::Outcome<protocol::verifier_link::Message> answer(const protocol::verifier_link::Message& message,
                                                           const protocol::Exporter& exporter,
                                                           std::vector<std::uint8_t>& storage)
    {
        const std::lock_guard lock(mutex);
        if (down) {
            return host::fault(Kind::unavailable, "down");
        }
        namespace link = protocol::verifier_link;
        if (const auto* const enrol = std::get_if<protocol::verifier_link::Enrol>(&message)) {
            return enrol_node(*enrol, exporter);
        }
        if (const auto* const hello = std::get_if<protocol::verifier_link::Hello>(&message)) {
            const auto evidence = protocol::verify_evidence(hello->evidence);
            if (!evidence || evidence->exporter != exporter || evidence->witness != node) {
                return host::fault(Kind::unauthentic, "hello");
            }
            policy_key_ = evidence->policy_key;
            ++hellos;
            return protocol::verifier_link::Welcome{"alpha", 20, 1000};
        }
        if (std::holds_alternative<protocol::verifier_link::PolicyRequest>(message)) {
            storage = sealed_policy();
            return protocol::verifier_link::Policy{storage};
        }
        if (const auto* const result = std::get_if<protocol::verifier_link::Result>(&message)) {
            return judge(*result, exporter);
        }
        if (const auto* const time = std::get_if<protocol::verifier_link::Time>(&message)) {
            storage.assign(time->nonce.bytes.begin(), time->nonce.bytes.end());
            protocol::verifier_link::TimeAnswer told;
            told.token = storage;
            told.result_count = time->key_count;
            told.results.fill(storage);
            return told;
        }
        return host::fault(Kind::malformed, "what?");
    }

    std::mutex mutex;
    bool down = false;
    std::atomic<int> judged = 0;
    std::atomic<int> hellos = 0;
    std::string expected = "good";
    ByteArray<32> token{9, 9, 9};
    bool token_used = false;
    protocol::WitnessKey node;
    protocol::VerifyingKey verifying_key;
    protocol::BoxKey box_key;
    protocol::MeasurementResult last_head;

  private:
    host::Outcome<protocol::verifier_link::Message> enrol_node(const protocol::verifier_link::Enrol& enrol,
                                                               const protocol::Exporter& exporter)
    {
        const auto evidence = protocol::verify_evidence(enrol.evidence);
        if (!evidence || evidence->exporter != exporter || evidence->nonce.bytes != token) {
            return host::fault(Kind::unauthentic, "enrol");
        }
        if (enrol.token != token || token_used) {
            return host::fault(Kind::forbidden, "the token was used before");
        }
        token_used = true;
        node = evidence->witness;
        return protocol::verifier_link::Enrolled{"CERTIFICATE"};
    }
    std::vector<std::uint8_t> sealed_policy()
    {
        const protocol::PolicyItem item{protocol::PolicyItemKind::file, file_};
        protocol::MeasurementPolicy head;
        randombytes_buf(head.nonce.bytes.data(), head.nonce.bytes.size());
        head.witness = node;
        nonce_ = head.nonce;
        std::vector<std::uint8_t> document(protocol::policy_document_bytes_max);
        document.resize(*protocol::write_policy(document, signing_key_, head, {&item, 1}));
        std::vector<std::uint8_t> box(document.size() + crypto_box_SEALBYTES);
        crypto_box_seal(box.data(), document.data(), document.size(), policy_key_.bytes.data());
        return box;
    }
    host::Outcome<protocol::verifier_link::Message> judge(const protocol::verifier_link::Result& result,
                                                          const protocol::Exporter& exporter)
    {
        std::vector<std::uint8_t> document(result.sealed.size());
        if (crypto_box_seal_open(document.data(), result.sealed.data(), result.sealed.size(), box_key.bytes.data(),
                                 box_secret_.data()) != 0) {
            return host::fault(Kind::unauthentic, "result");
        }
        document.resize(document.size() - crypto_box_SEALBYTES);
        auto verified = protocol::verify_result(document, node);
        if (!verified || verified->head.exporter != exporter || verified->head.nonce != nonce_) {
            return host::fault(Kind::unauthentic, "result");
        }
        last_head = verified->head;
        Digest digest;
        crypto_hash_sha256(digest.data(), bytes_of(expected).data(), expected.size());
        protocol::verifier_link::Verdict verdict;
        verdict.next_in_ms = 20;
        verdict.tier = protocol::TrustTier::affirming;
        if ((**verified->measurements.next()).digest != digest) {
            verdict.tier = protocol::TrustTier::contraindicated;
            verdict.reasons[0] = "the file changed";
            verdict.reason_count = 1;
        }
        ++judged;
        return verdict;
    }

    std::string file_;
    protocol::SigningKey signing_key_;
    ByteArray<32> box_secret_{};
    protocol::BoxKey policy_key_;
    protocol::IterationNonce nonce_;
};

} // namespace caisson::services::agent
