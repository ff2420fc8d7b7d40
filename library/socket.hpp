// A ZeroMQ socket without threads: its connections move on inside send, receive and poll. One thread at a time.
// What each type does with messages: RFC 28 (REQ, REP, DEALER, ROUTER), 29 (PUB, SUB), 30 (PUSH, PULL), 31 (PAIR).
#pragma once

#include "library/connection.hpp"

#include <list>
#include <map>

namespace caisson::library {

class Socket {
  public:
    static Outcome<std::unique_ptr<Socket>> open(Chamber* chamber, int type);
    ~Socket();
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    [[nodiscard]] SocketSettings& settings() noexcept { return settings_; }
    // Fails: forbidden (after bind or connect).
    [[nodiscard]] Done expect_unused() const;

    Outcome<Address> bind(const Address& address);
    Done connect(const Address& address);
    Done subscribe(Bytes prefix, bool subscribes);

    // timeout_ms as in caisson.h. Fails: unavailable (time is up), forbidden (the type does not, or not now), missing
    // (ROUTER: nobody has this identity).
    Done send(std::span<const Bytes> parts, int timeout_ms);
    // The same without writing it out: `flush` does. For many messages at once.
    Done queue(std::span<const Bytes> parts, int timeout_ms);
    Done queue(Parts parts, int timeout_ms); // without copying them, to most types
    void flush();
    Outcome<Parts> receive(int timeout_ms);
    bool poll(int timeout_ms); // true: a message is there
    [[nodiscard]] const CurveKey& last_peer() const noexcept { return last_peer_; }
    [[nodiscard]] std::size_t peer_count() const noexcept;

  private:
    struct Connector {
        Address address;
        Clock::time_point next;
        std::chrono::milliseconds pause{};
        bool connected = false;
    };
    struct Peer {
        std::unique_ptr<Connection> connection;
        Connector* connector = nullptr; // null: it came to us
        bool greeted = false;           // what a new peer gets was done
        Buffer identity;                // ROUTER: how it is called here
        std::map<Buffer, std::size_t> subscriptions;
    };

    Socket(Chamber* chamber, int type);
    void turn(int timeout_ms); // one wait, and what came of it
    void start_connections();
    void accept_peers();
    void greet(Peer& peer);
    void take_subscriptions(Peer& peer);
    void remove_ended();
    [[nodiscard]] int time_until_work(int timeout_ms) const;
    [[nodiscard]] bool is_reading() const;
    template <typename Ready>
    Done wait_until(int timeout_ms, Ready ready);
    [[nodiscard]] Peer* next_writable();
    [[nodiscard]] Peer* with_identity(Bytes identity);
    [[nodiscard]] Peer* next_readable();
    [[nodiscard]] Done check_parts(std::span<const Bytes> parts) const;
    void turn_now_and_then();
    Done queue_to_subscribers(std::span<const Bytes> parts);
    [[nodiscard]] Outcome<Peer*> wait_for_peer(Bytes identity, int timeout_ms); // ROUTER
    [[nodiscard]] Outcome<Peer*> wait_for_any_peer(int timeout_ms);
    Done queue_reply(std::span<const Bytes> parts);
    Done queue_request(std::span<const Bytes> parts, int timeout_ms);
    bool take_request(Peer& peer, Parts& parts); // false: it is none
    bool accept_parts(Peer& peer, Parts& parts);
    [[nodiscard]] bool wants(Bytes topic) const;

    SocketSettings settings_;
    std::list<Connector> connectors_;
    std::list<ListeningSocket> listeners_;
    std::list<Peer> peers_;
    std::map<Buffer, std::size_t> subscriptions_; // SUB, XSUB
    std::deque<Parts> ready_;                     // XPUB: subscriptions as messages
    Peer* conversation_ = nullptr;                // REQ: who answers; REP: who asked
    bool in_conversation_ = false;
    Parts envelope_;
    CurveKey last_peer_;
    Clock::time_point next_turn_{};
    std::uint32_t next_identity_ = 1;
};

} // namespace caisson::library

struct caisson_socket {
    std::unique_ptr<caisson::library::Socket> inside;
};

struct caisson_parts {
    caisson::library::Parts parts;
};
