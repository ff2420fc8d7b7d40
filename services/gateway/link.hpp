// One link: a connection outside and one on the plain side, their handshakes, then frames both ways. On the server's
// side the program behind hears of a client only after the chamber admitted it; on the client's side a program's
// connection waits until the way outside is open, however often that has to be tried. A refused peer gets a plain
// close, without a word: an unmodified libzmq that gets ERROR never comes back, and most refusals may pass.
// Spec: docs/spec/zmtp.md, docs/spec/gateway.md. One thread.
#pragma once

#include "protocol/zmtp.hpp"
#include "services/gateway/route.hpp"

#include <chrono>

namespace caisson::services::gateway {

[[nodiscard]] std::string z85_of(const protocol::CurveKey& key);

class Link {
  public:
    using Clock = std::chrono::steady_clock;

    Link(Hub& hub, std::shared_ptr<Route> route, ListeningSocket::Accepted accepted, bool parked);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    // Whoever was parked may begin.
    void begin();

    // A turn: first every link says what it wants of the chamber, messages of the voyage and steps of its handshake of
    // the crossing; when these are back, it takes what has come of them, and settles.
    void gather(Voyage& voyage);
    void absorb(const Voyage& voyage);
    [[nodiscard]] bool asks() const noexcept { return asked_ > 0; } // the crossing
    void take_answer();
    // Gives what can be given; then what is there to be waited for.
    void settle();

    // Handshake time, heartbeats, reconnects.
    void on_tick(Clock::time_point now);
    // Lists or keys were read anew.
    void check_allowed();

    void end(Reason reason, const std::string& why);
    // The chamber has closed its session.
    void end_untrusted();
    // The chamber is gone with every session: who had begun with it begins anew.
    void lose_chamber();

    Links::iterator place; // of whoever keeps all links

    [[nodiscard]] bool ended() const noexcept { return stage_ == Stage::ended; }
    [[nodiscard]] bool was_parked() const noexcept { return parked_; } // never began
    [[nodiscard]] bool is_open() const noexcept { return stage_ == Stage::open; }
    [[nodiscard]] bool authenticated() const noexcept { return authenticated_; }
    [[nodiscard]] const std::string& source() const noexcept { return source_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const Route& route() const noexcept { return *route_; }
    [[nodiscard]] const Traffic& traffic() const noexcept { return traffic_; }
    [[nodiscard]] const protocol::CurveKey& peer_key() const noexcept { return peer_key_; }
    [[nodiscard]] std::uint32_t session() const noexcept { return session_; }
    [[nodiscard]] const std::string& trust() const noexcept { return trust_; }
    [[nodiscard]] const std::string& user() const noexcept { return user_; }
    [[nodiscard]] Clock::time_point since() const noexcept { return began_; }
    [[nodiscard]] const char* stage_name() const noexcept;

  private:
    enum class Stage : std::uint8_t {
        ended,
        parked,
        outer_greeting,
        hello,    // server: awaited
        initiate, // server: awaited
        judged,   // server: the user's ZAP handler is asked
        plain_greeting,
        plain_ready,
        retry,       // client: until the next try
        welcome,     // client: awaited
        outer_ready, // awaited
        open,
    };
    struct End final : Watcher {
        explicit End(Link& a_link)
            : link(a_link)
        {
        }
        void on_ready(bool readable, bool writable) override;

        Link& link; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
        Stream stream;
        Loop::Wish wish;
        std::uint8_t minor = 1;
        bool full_frames = false; // more whole frames than one turn takes
        bool gone = false;        // it has closed; what it sent before still goes on
        Clock::time_point gone_since{};
        Clock::time_point heard{};
        Clock::time_point pinged{};
        std::chrono::milliseconds ttl{0};           // the peer's own, from its PING
        std::vector<std::vector<std::uint8_t>> say; // commands of our own, to be sent there
        std::size_t said = 0;                       // of these, on their way in this turn
    };
    // What is on its way through the chamber in one direction: a range of Voyage::passing.
    struct Flow {
        std::size_t first = 0;
        std::size_t count = 0;
        std::size_t wire_bytes = 0; // of the input
        std::size_t room_bytes = 0;
        Buffer* room = nullptr;
        Status broken; // what came behind it

        // A command that goes no further takes no message's place, but it has been read.
        [[nodiscard]] bool boards() const noexcept { return count > 0 || wire_bytes > 0 || !broken; }
    };

    // A message on its way in pieces.
    struct Large {
        std::size_t text_bytes = 0;
        std::size_t left = 0;
        bool more = false;
        Buffer held; // the frame that it becomes
    };

    // link.cpp
    void wake();
    // Nobody knows yet who it is.
    [[nodiscard]] bool is_stranger() const noexcept { return is_server() && !authenticated_; }
    [[nodiscard]] const Loop& loop() const noexcept { return is_stranger() ? hub_.strangers.loop() : hub_.loop; }
    void update_wishes();
    [[nodiscard]] bool drains(const End& from) const noexcept;
    [[nodiscard]] static bool is_full(const End& to) noexcept;
    void refuse(const Error& error);
    [[nodiscard]] bool is_server() const noexcept { return route_->config.side == Side::server; }
    [[nodiscard]] Status step(bool& moved);
    void write_frame(Stream& stream, std::uint8_t flags, Bytes body);
    [[nodiscard]] Result<bool> read_greeting(End& end, protocol::zmtp::Mechanism mechanism);
    [[nodiscard]] Result<std::optional<protocol::zmtp::Frame>> next_command(Stream& stream);
    [[nodiscard]] std::vector<std::uint8_t> ready_for_plain() const;
    void write_own_properties(Writer& writer) const;
    void become_open();
    // What `rest` points to must stay until the link's next turn.
    void ask(airlock::curve::Request request, std::uint32_t subject, Bytes rest, std::size_t room);
    [[nodiscard]] Status absorb_steps();
    void forget_asked() noexcept;
    void close_session();
    [[nodiscard]] Status check_plain_user(End& end);
    // Goes on with the address: at once, or when its name was looked up.
    void with_address(const Endpoint& endpoint, void (Link::*then)(host::Outcome<SocketAddress>));

    // link_server.cpp
    void greet();
    [[nodiscard]] Status step_server(bool& moved);
    [[nodiscard]] Status absorb_server(airlock::curve::Request request, Result<Bytes> answer);
    [[nodiscard]] Status read_hello(bool& moved);
    [[nodiscard]] Status read_initiate(bool& moved);
    [[nodiscard]] Status take_initiated(Bytes answer);
    [[nodiscard]] Status admit(std::uint32_t admitted);
    [[nodiscard]] Status ask_zap(std::vector<std::string> credentials);
    [[nodiscard]] Status on_admitted();
    void open_backend();
    void take_backend_address(host::Outcome<SocketAddress> address);
    [[nodiscard]] Status read_plain_ready(bool& moved);
    [[nodiscard]] Status answer_outer_ready(Bytes metadata);
    void want() const;
    // The chamber has refused the peer: because its access list does not name it, or because of its node's state.
    [[nodiscard]] bool is_unlisted() const;
    [[nodiscard]] Reason why_refused() const { return is_unlisted() ? Reason::not_listed : Reason::untrusted; }

    // link_client.cpp
    [[nodiscard]] Status step_client(bool& moved);
    [[nodiscard]] Status absorb_client(airlock::curve::Request request, Result<Bytes> answer);
    [[nodiscard]] Status read_program_ready(bool& moved);
    void connect_outer();
    void take_outer_address(host::Outcome<SocketAddress> address);
    void retry_later(const std::string& why);
    [[nodiscard]] Status begin_outer(bool& moved);
    [[nodiscard]] Status read_welcome(bool& moved);
    [[nodiscard]] Status read_outer_ready(bool& moved);
    [[nodiscard]] Status take_outer_ready(Bytes metadata);
    void note_trust();

    // link_relay.cpp
    void gather_relay(Voyage& voyage);
    void absorb_relay(const Voyage& voyage);
    void gather_inward(Voyage& voyage);
    void gather_outward(Voyage& voyage);
    void absorb_inward(const Voyage& voyage);
    void absorb_outward(const Voyage& voyage);
    void go_on_when_not_full();
    [[nodiscard]] bool may_board(End& from, const End& to) noexcept;
    [[nodiscard]] Status relay_unprotected(End& from, End& to);
    template <typename Take>
    void take_frames(End& from, Flow& flow, std::size_t body_bytes_max, Take take);
    void break_off(const Error& error);
    // How a command travels on: not at all, as it is, or as the message that ZMTP 3.0 has for it.
    struct Passage {
        bool forward = true;
        std::uint8_t flags = protocol::zmtp::frame_command;
        Bytes octet; // before the body
        Bytes body;
    };
    [[nodiscard]] Result<Passage> take_command(End& from, const End& to, Bytes body);
    void say(End& to, Bytes command);
    void write_said(End& to);
    // The frames of a flow on their way out: its room as far as it is written, and what lies in the ring between.
    struct Outgoing {
        MutableBytes room;
        std::size_t written = 0;
        std::size_t given = 0;                              // of the room, in pieces
        std::vector<std::vector<std::uint8_t>> copies = {}; // of commands in the ring
    };
    [[nodiscard]] Status pass_on(const Voyage& voyage, const Passing& one, Outgoing& out);
    void add_lent(Outgoing& out, Bytes piece);
    static void lay_out(Passing& one, std::size_t body_bytes, Flow& flow);
    void give(End& to, const Flow& flow, const Outgoing& out);
    void beat(End& end, Clock::time_point now);

    // link_large.cpp
    [[nodiscard]] bool is_large(const End& from, const protocol::zmtp::FrameHead& frame) const noexcept;
    [[nodiscard]] bool is_large_next(const End& from) const noexcept;
    [[nodiscard]] Status gather_large(End& from);
    [[nodiscard]] Status begin_large_inward(const protocol::zmtp::FrameHead& frame);
    [[nodiscard]] Status pass_large_inward();
    [[nodiscard]] Status begin_large_outward(const protocol::zmtp::FrameHead& frame);
    [[nodiscard]] Status pass_large_outward();

    Hub& hub_;
    std::shared_ptr<Route> route_;
    End outer_;
    End plain_;
    std::string source_;
    std::string name_;
    Stage stage_ = Stage::parked;
    bool parked_ = true;
    bool awake_ = false;
    bool authenticated_ = false;
    bool kept_ = false;    // by the feeder
    bool greeted_ = false; // server: the client is
    bool plain_greeted_ = false;
    bool looking_up_ = false; // the name of where we connect to
    Clock::time_point began_ = Clock::now();
    Clock::time_point stage_since_ = began_;

    std::uint32_t session_ = 0;
    std::uint32_t own_key_ = 0; // its id in the chamber
    std::size_t key_index_ = 0; // the one that HELLO is tried with
    protocol::CurveKey peer_key_;
    std::string trust_;
    std::string user_;                   // whom ZAP says it is
    std::vector<std::uint8_t> metadata_; // the other side's, for the plain side; freed when open
    struct Wanted {
        airlock::curve::Request request{};
        std::uint32_t subject = 0;
        Bytes rest;
        std::size_t room = 0;
    };
    std::array<Wanted, 2> steps_; // of the chamber: one, and one that stands on nothing but that the first went well
    std::size_t wanted_ = 0;      // how many in the next crossing
    std::size_t asked_ = 0;       // how many in this one
    Crossing::Ticket ticket_ = 0; // of the first
    std::optional<ZapVerdict> verdict_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true); // for answers that come late

    std::chrono::milliseconds backoff_{0};
    Clock::time_point retry_at_{};
    Traffic traffic_;
    Flow inward_;
    Flow outward_;
    std::size_t boarding_room_ = 0; // how many frames the voyage at hand still takes
    std::unique_ptr<Large> large_inward_;
    std::unique_ptr<Large> large_outward_;
};

} // namespace caisson::services::gateway
