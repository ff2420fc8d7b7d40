// A virtual socket: end-to-end sessions and letters of one key over whatever carries multipart messages. No I/O: it is
// given what came, and gives what is to be sent. One thread at a time. Spec: docs/spec/e2e.md.
#pragma once

#include "library/packets.hpp"
#include "library/reassembly.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>

namespace caisson::library {

struct Event {
    int type = 0;
    int code = CAISSON_OK;
    CurveKey peer;
    std::optional<Parts> parts;
};

struct EndpointSettings {
    protocol::e2e::Order order = protocol::e2e::Order::strict;
    std::size_t chunk_bytes = std::size_t{64} << 10U;
    bool accepts_all = false;
    std::chrono::milliseconds retry{2000};
};

class Endpoint {
  public:
    using Clock = std::chrono::steady_clock;

    // Requires: the chamber outlives it.
    static Outcome<std::unique_ptr<Endpoint>> open(Chamber& chamber, std::uint32_t key);
    ~Endpoint();
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    [[nodiscard]] EndpointSettings& settings() noexcept { return settings_; }
    Done allow(const CurveKey& peer);
    // [E2E-32] Fails: unauthentic (a state there is not of this key, or altered), and what the disk says.
    Done keep_letters(std::filesystem::path folder);

    Done connect(const CurveKey& peer, Parts route);
    [[nodiscard]] bool is_open(const CurveKey& peer) const;
    // Fails: missing (there is no session with this peer now).
    Done send(const CurveKey& peer, std::span<const Bytes> parts);
    Done send_many(std::span<const CurveKey> peers, const Parts& route, std::span<const Bytes> parts);
    // Fails: exhausted (a letter is one packet).
    Done send_letter(std::span<const CurveKey> peers, const Parts& route, std::span<const Bytes> parts);
    Done rekey(const CurveKey& peer);
    Done disconnect(const CurveKey& peer);

    void receive(std::span<const Bytes> parts);
    // Messages that are there together, without copying what they bring: the steps of their handshakes go through the
    // ring at once.
    void receive_many(std::vector<Parts> messages);
    std::optional<Parts> outgoing();
    std::optional<Event> next();

  private:
    enum class Step : std::uint8_t { welcome, ready, open };
    struct Session {
        std::uint32_t number = 0;
        E2eId id;
        CurveKey peer;
        bool is_client = false;
        Step step = Step::welcome;
        Parts route;
        Reassembly reassembly;
        Clock::time_point began = Clock::now();
        bool ended = false;
    };
    struct Wish { // a peer we are a client of
        Parts route;
        Clock::time_point next_try;
        std::chrono::milliseconds pause{};
    };
    struct ToSeal {
        std::shared_ptr<Session> session;
        Piece piece;
        bool ends_group = false; // the carrier's message ends here
    };
    struct ToOpen {
        std::shared_ptr<Session> session;
        Buffer packet;
        Parts route;
    };
    using OpenedHead = ByteArray<sizeof(std::uint32_t) + sizeof(std::uint64_t)>; // flags, counter: before the text
    struct BeforeId {
        bool operator()(const E2eId& a, const E2eId& b) const noexcept { return a.bytes < b.bytes; }
    };

    Endpoint(Chamber& chamber, std::uint32_t key, const KeyFacts& facts)
        : chamber_(chamber)
        , key_(key)
        , facts_(facts)
    {
    }

    // A step of a handshake: what came, and what is asked because of it, first with that and then for the answer.
    struct Handshake {
        protocol::e2e::PacketType type{};
        std::shared_ptr<Session> session; // WELCOME's; INITIATE's, when it has opened
        Buffer packet;
        Parts route;
        Request request{};
        std::uint32_t subject = 0;
        Buffer answer; // as large as it may be
        Result<std::size_t> result = std::size_t{0};
    };
    void take_message(Parts parts);
    Done take_packet(Buffer packet, const Parts& route);
    Done take_hello(Buffer packet, const Parts& route);
    Done take_welcome(const protocol::e2e::Packet& packet, Buffer bytes);
    Done take_initiate(Buffer packet, const Parts& route);
    void go_on_with_handshakes();
    void ask_many(std::span<Handshake> steps);
    // What comes of a first answer: the next thing to ask, if there is one.
    Outcome<std::optional<Handshake>> after(Handshake& step);
    Outcome<Handshake> after_welcome(Handshake& step);
    Outcome<Handshake> after_initiate(Handshake& step);
    Done finish(Handshake& step);
    Done take_ready(const protocol::e2e::Packet& packet, Bytes bytes);
    Done take_data(Buffer packet, const Parts& route);
    Done take_letter(Bytes packet);
    Done begin_handshake(const CurveKey& peer, Wish& wish);
    void retry_handshakes();
    void seal_waiting();
    void open_waiting();
    void take_opened(ToOpen& work, const OpenedHead& head, Result<std::size_t> result);
    void end(const std::shared_ptr<Session>& session, Kind why, bool tells);
    void forget(const std::shared_ptr<Session>& session);
    void limit_sessions_of(const CurveKey& peer);
    // Null: none of ours. Fails: malformed.
    [[nodiscard]] Outcome<std::shared_ptr<Session>> session_for(const protocol::e2e::Packet& packet) const;
    [[nodiscard]] std::shared_ptr<Session> find(const E2eId& id) const;
    [[nodiscard]] std::shared_ptr<Session> open_session(const CurveKey& peer) const;
    Done know_sender(const CurveKey& sender);
    Done store_sender(const CurveKey& sender);
    [[nodiscard]] std::filesystem::path state_path(const CurveKey& sender) const;
    void refuse(Kind kind, const CurveKey& peer);
    void push_outgoing(const Parts& route, Parts packets);

    Chamber& chamber_;
    std::uint32_t key_;
    KeyFacts facts_;
    EndpointSettings settings_;
    std::set<CurveKey> allowed_;
    std::filesystem::path letters_folder_; // empty: no letters are taken
    std::map<CurveKey, Wish> wishes_;
    std::map<E2eId, std::shared_ptr<Session>, BeforeId> sessions_;
    std::map<CurveKey, std::deque<std::shared_ptr<Session>>> by_peer_; // the newest is last
    std::vector<ToSeal> to_seal_;
    std::size_t to_seal_bytes_ = 0;
    std::vector<ToOpen> to_open_;
    std::vector<Handshake> handshakes_;
    std::deque<Parts> outgoing_;
    std::deque<Event> events_;
};

} // namespace caisson::library

struct caisson_endpoint {
    std::unique_ptr<caisson::library::Endpoint> inside;
};
