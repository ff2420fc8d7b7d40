// One ZMTP connection of a library socket: greeting, handshake (CURVE in the chamber, or NULL), then messages.
// Spec: docs/spec/zmtp.md, docs/spec/curve.md. One thread.
#pragma once

#include "library/chamber.hpp"
#include "library/output_queue.hpp"
#include "library/transport.hpp"
#include "protocol/zmtp.hpp"

#include <chrono>
#include <deque>
#include <optional>
#include <set>

namespace caisson::library {

using Clock = std::chrono::steady_clock;
using Parts = std::vector<Buffer>;

inline constexpr std::size_t message_parts_max = 65536;

// What the connections of a socket have in common.
struct SocketSettings {
    Chamber* chamber = nullptr; // null: NULL
    int type = CAISSON_PAIR;
    std::optional<std::uint32_t> key;
    std::optional<CurveKey> server_key; // a client of this server
    std::set<CurveKey> allowed;         // empty: all that the gate admits
    Buffer identity;
    std::size_t part_bytes_max = std::size_t{64} << 20U;
    std::size_t send_queue_bytes = std::size_t{1} << 20U;
    std::size_t receive_queue_bytes = std::size_t{64} << 20U;
    std::chrono::milliseconds linger{1000};
    std::chrono::milliseconds handshake{30'000};
};

// A message that came, or a subscription that a subscriber asked for.
struct Incoming {
    enum class What : std::uint8_t { message, subscribe, cancel };
    What what = What::message;
    Parts parts; // of a subscription: the prefix
    std::size_t bytes = 0;
};

class Connection {
  public:
    Connection(Descriptor descriptor, const SocketSettings& settings);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    [[nodiscard]] int descriptor() const noexcept { return descriptor_.number(); }
    [[nodiscard]] bool wants_write() const noexcept { return output_.bytes() > 0; }
    void on_readable();
    // Seals what was queued and writes what can be written.
    void flush();

    [[nodiscard]] bool open() const noexcept { return state_ == State::open; }
    [[nodiscard]] bool ended() const noexcept { return state_ == State::ended; }
    [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
    [[nodiscard]] bool expired(Clock::time_point now) const;
    void end(std::string reason);

    // Queued until flush. Requires: open, at least one part.
    void queue(std::span<const Bytes> parts);
    void queue(std::span<Buffer> parts); // which are taken
    void queue_subscription(Bytes prefix, bool subscribe);
    [[nodiscard]] bool has_room() const noexcept;

    [[nodiscard]] std::deque<Incoming>& inbox() noexcept { return inbox_; }
    [[nodiscard]] const std::deque<Incoming>& inbox() const noexcept { return inbox_; }
    [[nodiscard]] const Buffer& peer_identity() const noexcept { return peer_identity_; }
    [[nodiscard]] const CurveKey& peer_key() const noexcept { return peer_key_; }

  private:
    enum class State : std::uint8_t { greeting, hello, welcome, initiate, ready, open, ended };

    [[nodiscard]] bool is_curve() const noexcept { return settings_.key.has_value(); }
    [[nodiscard]] bool is_client() const noexcept { return settings_.server_key.has_value(); }
    [[nodiscard]] MutableBytes room_for_input();
    [[nodiscard]] Bytes input() const noexcept { return Bytes(input_).subspan(input_used_, input_end_ - input_used_); }
    [[nodiscard]] std::size_t frame_bytes_max() const noexcept;

    Done progress();
    Done take_greeting();
    Done begin_handshake();
    Done take_command(Bytes body); // of the handshake
    Done take_hello(Bytes body);
    Done take_welcome(Bytes body);
    Done take_initiate(Bytes body);
    Done take_ready(Bytes body);
    Done take_metadata(Bytes metadata);
    Done take_frames();        // NULL
    Done take_sealed_frames(); // CURVE, many at once
    Done take_part(bool more, Bytes body);
    Done take_peer_command(Bytes body);
    void take_subscription(Bytes prefix, bool subscribe);
    Done seal_pending();
    [[nodiscard]] Buffer own_metadata() const;
    void write_frame(std::uint8_t flags, Buffer&& body);
    void send_part(std::uint32_t message_flags, Buffer&& body);
    void make_peer_live(const CurveKey& peer);

    Descriptor descriptor_;
    const SocketSettings& settings_;
    State state_ = State::greeting;
    std::string reason_;
    Clock::time_point began_ = Clock::now();
    Buffer input_;
    std::size_t input_used_ = 0;
    std::size_t input_end_ = 0; // what came; behind it is room
    OutputQueue output_;
    struct Pending {
        std::uint32_t flags;
        Buffer text;
    };
    std::vector<Pending> pending_;
    std::size_t pending_bytes_ = 0;
    Parts partial_;
    std::size_t partial_bytes_ = 0;
    std::deque<Incoming> inbox_;
    std::uint8_t peer_minor_ = 1;
    std::uint32_t session_ = 0;
    bool peer_kept_ = false;
    CurveKey peer_key_;
    Buffer peer_identity_;
};

// Which socket types talk with each other (RFC 28, RFC 29).
[[nodiscard]] bool types_fit(std::string_view ours, std::string_view theirs) noexcept;
[[nodiscard]] const char* type_name(int type) noexcept; // null: there is no such type

} // namespace caisson::library
