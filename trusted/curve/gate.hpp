// The gate: who may talk now. It stands inside: the host carries time tokens and Attestation Results, and can lose,
// delay, repeat or swap them, but only towards less trust. Spec: docs/spec/curve.md, the gate.
#pragma once

#include "airlock/curve/requests.hpp"
#include "protocol/attestation_result.hpp"
#include "protocol/time_token.hpp"
#include "trusted/curve/access.hpp"
#include "trusted/curve/boxes.hpp"

#include <optional>

namespace caisson::trusted::curve {

inline constexpr std::size_t nodes_max = 64;

// Time inside: the Verifier's clock over our own nonce, carried on by the tick counter. Ticks since the nonce was made
// are counted, so the estimate runs ahead of the true time, never behind; it never goes back.
class Clock {
  public:
    [[nodiscard]] const protocol::TimeNonce& make_nonce(Runtime& runtime) noexcept;

    // A nonce that another gate of the chamber made just now.
    void use_nonce(const protocol::TimeNonce& nonce, std::uint64_t now_ticks) noexcept;

    // Fails: forbidden (another nonce than the last one made), conflict (time would go back).
    [[nodiscard]] Status accept(const protocol::TimeToken& token, std::uint64_t now_ticks) noexcept;

    [[nodiscard]] bool known() const noexcept { return tokens_ > 0; }
    [[nodiscard]] std::uint64_t last_ms() const noexcept { return last_.time_ms; } // as the Verifier signed it
    [[nodiscard]] std::uint64_t now_ms(std::uint64_t now_ticks) const noexcept;
    [[nodiscard]] std::uint64_t age_ms(std::uint64_t now_ticks) const noexcept;
    // Known, and the last token is younger than its hold time.
    [[nodiscard]] bool fresh(std::uint64_t now_ticks) const noexcept;

    // Uses up one of the messages the last token permits; false when none is left.
    [[nodiscard]] bool take_message() noexcept;
    [[nodiscard]] std::uint64_t messages_left() const noexcept { return messages_left_; }

  private:
    void calibrate(const protocol::TimeToken& token, std::uint64_t now_ticks) noexcept;

    protocol::TimeNonce nonce_;
    bool nonce_live_ = false;
    std::uint64_t nonce_ticks_ = 0;

    protocol::TimeToken last_;
    std::uint64_t last_made_ticks_ = 0;     // when its nonce was made
    std::uint64_t last_accepted_ticks_ = 0; // when it came back
    std::uint64_t tokens_ = 0;
    std::uint64_t messages_left_ = 0;
    std::uint64_t ticks_per_ms_; // a lower bound of the true rate

  public:
    Clock() noexcept;
};

// What a key's blob pins: an attestation server whose trust a peer needs, an access list that must name him, or both.
class Gate {
  public:
    void pin(const protocol::VerifyingKey& verifier) noexcept { verifier_ = verifier; }
    // The list outlives the gate.
    void pin_list(const Access& list) noexcept { list_ = &list; }
    [[nodiscard]] bool asks_trust() const noexcept { return verifier_ != protocol::VerifyingKey{}; }
    [[nodiscard]] const Access* list() const noexcept { return list_; } // null: it has none
    [[nodiscard]] const protocol::VerifyingKey& verifier() const noexcept { return verifier_; }
    [[nodiscard]] Clock& clock() noexcept { return clock_; }
    [[nodiscard]] const Clock& clock() const noexcept { return clock_; }

    // Fails: unauthentic, malformed, and as Clock::accept.
    [[nodiscard]] Status accept_token(Bytes document, std::uint64_t now_ticks) noexcept;
    // The newest result of each node stays. Fails: unauthentic, malformed, conflict (older than what is known or was),
    // exhausted.
    [[nodiscard]] Status accept_result(Bytes document, std::uint64_t now_ticks) noexcept;

    // The peer is trusted by a fresh result, and time is fresh; and the list in force names him.
    [[nodiscard]] bool admits(const CurveKey& peer, std::uint64_t now_ticks) const noexcept;
    // The same, for one message, which it counts.
    [[nodiscard]] bool permits_message(const CurveKey& peer, std::uint64_t now_ticks) noexcept;

    struct PeerState {
        bool admitted = false;
        protocol::TrustTier tier = protocol::TrustTier::none;
        std::uint64_t expires_in_ms = 0;
        protocol::WitnessKey node;
        Digest mrenclave{}; // of the chamber that holds the peer's key
    };
    [[nodiscard]] PeerState peer_state(const CurveKey& peer, std::uint64_t now_ticks) const noexcept;
    [[nodiscard]] std::uint32_t result_count() const noexcept;

  private:
    struct Node {
        bool used = false;
        protocol::WitnessKey node;
        std::uint64_t issued_ms = 0;
        std::uint64_t expires_ms = 0;
        protocol::TrustTier status = protocol::TrustTier::none;
        std::array<CurveKey, protocol::curve_claims_max> keys;
        std::array<Digest, protocol::curve_claims_max> mrenclaves;
        std::size_t key_count = 0;
    };

    [[nodiscard]] bool list_names(const CurveKey& peer, std::uint64_t now_ticks) const noexcept;
    // The place of the peer's key among the node's; nothing when the node does not claim it.
    [[nodiscard]] std::optional<std::size_t> place_of(const Node& node, const CurveKey& peer) const noexcept;
    [[nodiscard]] Node* find(const protocol::WitnessKey& node) noexcept;
    [[nodiscard]] Result<Node*> place_for_new(std::uint64_t now_ticks) noexcept;

    protocol::VerifyingKey verifier_; // zeros: trust is not asked for
    const Access* list_ = nullptr;
    Clock clock_;
    std::array<Node, nodes_max> nodes_;
    std::uint64_t forgotten_issued_ms_ = 0; // the newest result that gave way to another's
};

} // namespace caisson::trusted::curve
