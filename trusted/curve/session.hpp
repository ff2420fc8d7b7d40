// CurveZMQ sessions of the codec: a handshake, then messages, each side's counters strictly rising.
// Spec: docs/spec/curve.md. One thread.
#pragma once

#include "airlock/curve/requests.hpp"
#include "core/wire.hpp"
#include "trusted/curve/boxes.hpp"
#include "trusted/curve/cookies.hpp"
#include "trusted/curve/gate.hpp"
#include "trusted/curve/key_table.hpp"
#include "trusted/curve/streams.hpp"
#include "trusted/runtime/arena_table.hpp"

#include <span>

namespace caisson::trusted::curve {

using airlock::curve::SessionState;

// [CURVE-51] A handshake not finished by then is over: about a minute at the rates of today's time-stamp counters.
inline constexpr std::uint64_t handshake_ticks_max = std::uint64_t{1} << 37U;

struct Session {
    std::uint32_t id = 0; // 0: the place is free
    SessionState state = SessionState::hello_due;
    bool is_server = false;
    Gate* gate = nullptr; // null: the own key is not gated
    std::uint32_t own_key = 0;
    std::uint32_t next_free = 0; // of a free place: the one that was closed after it
    std::uint64_t began_ticks = 0;
    CurveKey peer; // the peer's long-term key
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    SharedKey key;       // C' and S'; of a client that waits for WELCOME: C' and S
    StreamLease sealing; // of unfinished messages, to the peer
    StreamLease opening; // and from it
    // Of its messages: made with the first one.
    bool has_message_keys = false;
    crypto::BoxSubkey to_peer;
    crypto::BoxSubkey from_peer;

    // A client until INITIATE is sent.
    CurveSecretKey transient;
    CurveKey own_transient;
    CurveKey peer_transient;
    Cookie cookie{};
};

class Sessions {
  public:
    explicit Sessions(Arena& arena) noexcept
        : sessions_(arena)
    {
    }

    // The place that has been free for longest, or a new one. Fails: exhausted (sessions_max, or the arena is full),
    // and as Arena::grow; the others go on.
    [[nodiscard]] Result<Session*> open(std::uint64_t now_ticks) noexcept;
    // Fails: missing.
    [[nodiscard]] Result<Session*> find(std::uint32_t id) noexcept;
    [[nodiscard]] Result<const Session*> find(std::uint32_t id) const noexcept;
    // The same for the way of every message: null where there is none.
    [[nodiscard]] Session* at(std::uint32_t id) noexcept
    {
        const auto index = id & ((1U << index_bits) - 1);
        return id != 0 && index < sessions_.size() && sessions_[index].id == id ? &sessions_[index] : nullptr;
    }
    void close(Session& session) noexcept;
    // The places from `first` on, at most `count` of them, used or not.
    [[nodiscard]] std::span<Session> places(std::size_t first, std::size_t count) noexcept;
    void close_all_of(std::uint32_t own_key) noexcept;
    void close_all() noexcept;
    void close_late_handshakes(std::uint64_t now_ticks) noexcept;

  private:
    static constexpr std::uint32_t index_bits = 14;
    static_assert(airlock::curve::sessions_max <= 1U << index_bits);

    ArenaTable<Session, airlock::curve::sessions_max> sessions_;
    std::uint32_t free_first_ = 0; // of the places that were closed, in that order
    std::uint32_t free_last_ = 0;
    std::size_t free_count_ = 0;
    std::uint32_t generation_ = 0; // upper part of the ids: one closed is not soon another's
};

// Of handshakes, what needs no product of keys; the other steps are handshakes.hpp's. process_ready returns the size of
// the metadata.
[[nodiscard]] Result<std::size_t> produce_ready(Session& session, Bytes metadata, MutableBytes output) noexcept;
[[nodiscard]] Result<std::size_t> process_ready(Session& session, Bytes body, MutableBytes metadata) noexcept;

// Both sides. Messages are message_batch.hpp's.
[[nodiscard]] Result<std::size_t> process_error(Bytes body, MutableBytes reason) noexcept;

// Large messages, session_stream.cpp: each moves the session between `open` and the states with an unfinished message.
[[nodiscard]] Result<std::size_t> produce_message_begin(Session& session, Streams& streams, Bytes rest,
                                                        MutableBytes output) noexcept;
[[nodiscard]] Result<std::size_t> produce_message_piece(Session& session, Bytes text, MutableBytes output) noexcept;
[[nodiscard]] Result<std::size_t> produce_message_finish(Session& session, MutableBytes output) noexcept;
[[nodiscard]] Result<std::size_t> process_message_begin(Session& session, Streams& streams, Bytes rest) noexcept;
[[nodiscard]] Result<std::size_t> process_message_piece(Session& session, Bytes box, MutableBytes output) noexcept;
[[nodiscard]] Result<std::uint32_t> process_message_finish(Session& session) noexcept;

// Long before a counter could come round.
inline constexpr std::uint64_t counter_max = std::uint64_t{1} << 62U;

// [CURVE-13] Strictly rising; a gap is no fault. Fails: malformed.
[[nodiscard]] inline Status take_counter(const Session& session, std::uint64_t counter) noexcept
{
    if (counter <= session.received || counter >= counter_max) {
        return fail(Kind::malformed, "a nonce was used before, or is none");
    }
    return {};
}

// Fails: exhausted.
[[nodiscard]] inline Result<std::uint64_t> next_counter(Session& session) noexcept
{
    if (session.sent + 1 >= counter_max) {
        return fail(Kind::exhausted, "the session's counter is used up");
    }
    return ++session.sent;
}

[[nodiscard]] inline bool known_message_flags(std::uint32_t flags) noexcept
{
    constexpr auto known = airlock::curve::message_more | airlock::curve::message_command;
    return (flags & ~known) == 0;
}

// A command body after its name. Fails: truncated; malformed (another command's).
[[nodiscard]] Result<Reader> after_name(Bytes body, std::string_view name) noexcept;

// [CURVE-16] Names of 1 to 255 octets of RFC 23's letters, values up to the end, nothing left over. Fails: malformed.
[[nodiscard]] Status check_metadata(Bytes metadata) noexcept;

} // namespace caisson::trusted::curve
