// End-to-end sessions: CURVE's handshake in packets that any broker may carry, then packets of data that are bound to
// the session, its direction and their place in it. Spec: docs/spec/e2e.md. One thread.
#pragma once

#include "protocol/e2e.hpp"
#include "trusted/curve/handshake_step.hpp"
#include "trusted/curve/replay_window.hpp"

namespace caisson::trusted::curve {

using protocol::e2e::Order;
using protocol::e2e::Packet;
using protocol::e2e::PacketType;
using E2eId = protocol::e2e::Id;

inline constexpr std::uint32_t epochs_ahead_max = 8;                        // a receiver follows so far at once
inline constexpr std::uint64_t epoch_packets_max = std::uint64_t{1} << 16U; // then the sender moves on by itself
inline constexpr std::uint64_t epoch_text_bytes_max = std::uint64_t{1} << 30U;

// The key of one direction, and where it stands in its chain.
struct E2eDirection {
    SharedKey key;
    std::uint32_t epoch = 0;
    std::uint64_t epoch_first = 0; // the counter with which the epoch began
    std::uint64_t epoch_text_bytes = 0;
    SharedKey previous; // of a receiver whose carrier reorders, for a while
    bool has_previous = false;
    bool has_subkey = false;
    crypto::BoxSubkey subkey; // e2e_place.hpp's data_subkey
};

struct E2eSession {
    Session curve; // id, state, side, gate, own key, peer; its keys until the handshake is over
    E2eId session_id;
    Order order = Order::strict;
    E2eDirection sending;
    E2eDirection receiving;
    std::uint64_t sent = 0;
    ReplayWindow received;
};

class E2eSessions {
  public:
    explicit E2eSessions(Arena& arena) noexcept
        : sessions_(arena)
    {
    }

    // Fails: exhausted (e2e_sessions_max, or the arena is full), and as Arena::grow.
    [[nodiscard]] Result<E2eSession*> open() noexcept;
    // Fails: missing.
    [[nodiscard]] Result<E2eSession*> find(std::uint32_t id) noexcept;
    [[nodiscard]] Result<const E2eSession*> find(std::uint32_t id) const noexcept;
    static void close(E2eSession& session) noexcept { session = E2eSession{}; }
    void close_all_of(std::uint32_t own_key) noexcept;
    void close_all() noexcept;

  private:
    ArenaTable<E2eSession, airlock::curve::e2e_sessions_max> sessions_;
    std::uint32_t generation_ = 0;
};

// A packet of data, or READY, whose text is metadata.
[[nodiscard]] Result<std::size_t> e2e_seal(E2eSession& session, PacketType type, std::uint8_t flags, Bytes text,
                                           MutableBytes output) noexcept;

struct E2eOpened {
    std::uint8_t flags = 0;
    std::uint64_t counter = 0;
    std::size_t text_bytes = 0;
};
// The text goes to the front of `text`, which needs one octet more than it. Fails: malformed, unauthentic; expired (was
// there before); conflict (strict order, and packets before it are missing: the session cannot go on).
[[nodiscard]] Result<E2eOpened> e2e_open(E2eSession& session, const Packet& packet, MutableBytes text) noexcept;
[[nodiscard]] Result<E2eOpened> e2e_open_fanout(E2eSession& session, const Packet& packet, MutableBytes text) noexcept;

// [E2E-11] The sender's key moves on. Fails: exhausted.
[[nodiscard]] Status e2e_rekey(E2eSession& session) noexcept;

// [E2E-16] One content for many sessions. Requires: all are open, and their count fits a packet.
[[nodiscard]] Result<std::size_t> e2e_seal_fanout(Runtime& runtime, std::span<E2eSession*> sessions, std::uint8_t flags,
                                                  Bytes text, MutableBytes output) noexcept;

// Shared with letters: seals `text` once under a new key, and what a slot needs to open it.
struct SealedContent {
    SharedKey key;
    ByteArray<protocol::e2e::digest_bytes> digest;
};
[[nodiscard]] SealedContent seal_content(Runtime& runtime, const E2eId& packet_id, Bytes text,
                                         MutableBytes box) noexcept;
// Fails: unauthentic (another content than the one the slot was made for).
[[nodiscard]] Status open_content(const SealedContent& content, const E2eId& packet_id, Bytes box,
                                  MutableBytes text) noexcept;

} // namespace caisson::trusted::curve
