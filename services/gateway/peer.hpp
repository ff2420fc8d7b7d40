// One client of a listener and its own connection to the plain back end: the CURVE handshake, then frames both ways.
// The back end hears of a client only after the chamber admitted it. A refused client gets a plain close, without a
// word: an unmodified libzmq that gets ERROR never comes back, and a refusal for lack of trust may pass. Spec:
// docs/spec/zmtp.md. One thread.
#pragma once

#include "host/enclave/curve_chamber.hpp"
#include "host/net/trust_feeder.hpp"
#include "protocol/zmtp.hpp"
#include "services/gateway/stream.hpp"

#include <chrono>
#include <functional>

namespace caisson::services::gateway {

// What a listener lends its peers.
struct PeerContext {
    const ListenerConfig& config;
    host::enclave::CurveChamber& chamber;
    const host::enclave::LoadedCurveKey& key;
    // Asked to keep the results of live clients fresh, and once for those who are not admitted, so that their next try
    // may succeed. Null while no listener's key is gated.
    host::net::TrustFeeder* feeder;
    std::function<void(const std::string&)> log;
};

class Peer {
  public:
    using Clock = std::chrono::steady_clock;

    Peer(const PeerContext& context, ListeningSocket::Accepted accepted);
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    [[nodiscard]] const std::string& source() const noexcept { return source_; }
    [[nodiscard]] bool authenticated() const noexcept { return stage_ >= Stage::backend_greeting; }
    [[nodiscard]] bool ended() const noexcept { return stage_ == Stage::ended; }

    // What to wait for; a stream whose other side is full is not read from.
    struct Wish {
        int descriptor = -1;
        bool read = false;
        bool write = false;
    };
    [[nodiscard]] Wish client_wish() const noexcept;
    [[nodiscard]] Wish backend_wish() const noexcept;

    void on_client_ready(bool readable, bool writable);
    void on_backend_ready(bool readable, bool writable);
    // Handshake time, and the gate for those who say nothing.
    void on_tick(Clock::time_point now);
    // The allow list was read anew.
    void check_allowed();

    void end(const std::string& why);

  private:
    void close_session();
    void want() const;
    enum class Stage : std::uint8_t {
        ended,
        client_greeting,
        hello,
        initiate,
        backend_greeting,
        backend_ready,
        open,
    };

    void advance();
    [[nodiscard]] Status step(bool& moved);
    [[nodiscard]] Status read_client_greeting(bool& moved);
    [[nodiscard]] Status process_hello(bool& moved);
    [[nodiscard]] Status process_initiate(bool& moved);
    [[nodiscard]] Status admit(const host::enclave::InitiatedSession& initiated);
    [[nodiscard]] Status open_backend();
    [[nodiscard]] Status read_backend_greeting(bool& moved);
    [[nodiscard]] Status read_backend_ready(bool& moved);
    [[nodiscard]] Status relay_to_backend(bool& moved);
    [[nodiscard]] Status relay_to_client(bool& moved);
    [[nodiscard]] Result<std::optional<protocol::zmtp::Frame>> next_handshake_frame(Stream& stream);
    void write_frame(Stream& stream, std::uint8_t flags, Bytes body);
    [[nodiscard]] bool is_allowed(const protocol::CurveKey& key) const;

    PeerContext context_;
    Stream client_;
    Stream backend_;
    std::string source_;
    std::string name_;
    Stage stage_ = Stage::client_greeting;
    Clock::time_point began_ = Clock::now();
    std::uint8_t minor_ = 1;
    std::uint32_t session_ = 0;
    bool kept_ = false; // by the feeder
    protocol::CurveKey client_key_;
    std::vector<std::uint8_t> metadata_;
};

} // namespace caisson::services::gateway
