// The witness chamber: measures its node under a secret policy and signs what was found. It keeps the node's identity
// (an Ed25519 key), a key for policies that is new at each start, and the policy in force. No heap, no I/O.
// Spec: docs/spec/measurement.md. One thread.
#pragma once

#include "airlock/table.hpp"
#include "airlock/witness/requests.hpp"
#include "protocol/measurement.hpp"
#include "trusted/runtime/runtime.hpp"
#include "trusted/witness/round.hpp"
#include "trusted/witness/sealed_box.hpp"

namespace caisson::trusted::witness {

// [MEASURE-5] So many rounds back a policy is recognised as one that was used.
inline constexpr std::size_t nonces_remembered = 64;

class Chamber {
  public:
    explicit Chamber(Runtime& runtime) noexcept
        : runtime_(runtime)
    {
    }
    Chamber(const Chamber&) = delete;
    Chamber& operator=(const Chamber&) = delete;

    // One request of airlock/witness/requests.hpp.
    airlock::Answer answer(std::uint32_t request, Bytes input, MutableBytes output) noexcept;

  private:
    using State = airlock::witness::State;

    static const airlock::Row<Chamber> table_[];
    static Result<std::uint32_t> state_of(const Chamber& chamber, Bytes input) noexcept;

    Result<std::size_t> create_identity(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> load_identity(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> target_info(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> accept_report(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> forget_key(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> evidence(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> quote_report(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> open_policy(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> next_measurement(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> absorb(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> finish(Bytes input, MutableBytes output) noexcept;

    [[nodiscard]] protocol::ChamberIdentity own_identity() noexcept;
    [[nodiscard]] Result<protocol::WitnessEvidence> evidence_over(Bytes input) const noexcept;
    [[nodiscard]] Status start_round(Bytes document) noexcept;
    [[nodiscard]] Status remember_nonce(const protocol::IterationNonce& nonce) noexcept;

    Runtime& runtime_;
    State state_ = State::no_identity;
    protocol::SigningKey signing_key_;
    protocol::WitnessKey witness_key_;
    protocol::VerifyingKey server_signing_key_;
    protocol::BoxKey server_box_key_;
    BoxSecretKey policy_secret_key_;
    protocol::BoxKey policy_key_;

    std::array<protocol::CurveKeyClaim, protocol::curve_claims_max> keys_{};
    std::size_t key_count_ = 0;

    std::array<protocol::IterationNonce, nonces_remembered> nonces_{};
    std::size_t nonce_count_ = 0; // of all rounds; the newest overwrite the oldest

    protocol::MeasurementPolicy policy_;
    ByteArray<protocol::policy_document_bytes_max> policy_document_{};
    Round round_;
};

} // namespace caisson::trusted::witness
