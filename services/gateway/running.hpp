// A gateway at work: its listeners, its links, the chamber they share, and one turn after the other.
//   running.cpp    from the file to the loop, and the turn
//   admission.cpp  who gets in, and who waits
//   reload.cpp     the file, lists and keys read anew, while sessions go on
//   revival.cpp    a chamber that ended is started anew
// One thread, but for the trust feeder's.
#pragma once

#include "host/enclave/supervisor.hpp"
#include "host/store/key_store.hpp"
#include "host/vm/copy_watch.hpp"
#include "services/gateway/control.hpp"
#include "services/gateway/gateway.hpp"
#include "services/gateway/link.hpp"
#include "services/gateway/waiting_ranks.hpp"

#include <array>
#include <atomic>
#include <deque>
#include <list>
#include <unordered_map>

namespace caisson::services::gateway {

class Gateway;

// A listening socket of a route, and who waits to be let in there.
struct Door final : Watcher {
    Door(Gateway& a_gateway, std::shared_ptr<Route> a_route)
        : gateway(a_gateway)
        , route(std::move(a_route))
    {
    }
    void on_ready(bool readable, bool writable) override;
    [[nodiscard]] bool takes_strangers() const noexcept { return route->config.side == Side::server; }

    Gateway& gateway; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    std::shared_ptr<Route> route;
    Loop::Wish wish;
    bool paused = false;
};

// Hears from the kernel that the chamber has ended.
struct ChamberWatch final : Watcher {
    void on_ready(bool readable, bool writable) override;

    Loop::Wish wish;
    bool ended = false;
};

// How many handshakes a source has under way, and who waits for one to end.
struct Source {
    std::size_t active = 0;
    std::deque<Link*> parked;
    std::size_t ranked = 0; // how many of them Gateway::ranks_ knows of
    bool queued = false;    // in Gateway::queue_
};

// How many descriptors this process may have open: as many as the system lets it have.
[[nodiscard]] std::size_t descriptor_limit();

// What signals have said, from whatever thread they came in.
struct Signals {
    std::atomic<bool> stop{false};
    std::atomic<bool> reload{false};
    std::atomic<bool> copied{false};
};

class Gateway final : public Hub, public Observed {
  public:
    using Enclave = host::enclave::Enclave;
    using Clock = Link::Clock;

    // All of these, and what `shared` names, outlive it.
    Gateway(const GatewayOptions& options, Signals& signals, Enclave& enclave, const Shared& shared)
        : Hub(shared)
        , options_(options)
        , signals_(signals)
        , enclave_(enclave)
        , supervisor_(
              enclave, [this] { return host::enclave::Root::open(options_.home); },
              [this](Enclave& /*fresh*/) { return revive(); })
        , control_(shared.loop, *this)
        , voyage_(enclave)
    {
    }
    ~Gateway() { links_.clear(); }
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    host::Done open();
    void run();
    void accept_from(Door& door);

    void on_authenticated(Link& link) override { leave_handshake(link); }
    void on_ended(Link& link) override;
    [[nodiscard]] Observation observe() const override;

  private:
    // running.cpp
    host::Outcome<std::shared_ptr<Route>> open_route(const RouteConfig& config);
    host::Outcome<RouteKey> load_key(const std::string& name);
    host::Done load_lists(Route& route);
    host::Done load_access(Route& route);
    void begin_epoch(const std::string& why);
    void announce(const Route& route);
    void tell_chamber();
    void start_feeder();
    void turn();
    void serve_awake();
    void sail(Clock::time_point now);
    void tick_all();
    void end_refused_sessions();
    void bury();
    void give_way();

    // admission.cpp
    void fit_connections(std::size_t descriptors);
    void watch_doors();
    [[nodiscard]] bool make_room(const Source& newcomer);
    void turn_away(const Door& door, const ListeningSocket::Accepted& accepted);
    void admit(Door& door, ListeningSocket::Accepted accepted);
    void queue(const std::string& network, Source& source);
    void rank(const std::string& network, Source& source);
    void begin_waiting();
    void leave_handshake(Link& link);
    void forget_if_idle(const std::string& network);

    // reload.cpp
    // What a reload prepares before it changes anything.
    struct Prepared {
        RouteConfig config;
        Door* door = nullptr;         // null: a new one
        std::shared_ptr<Route> route; // new, or the next of `door`
    };
    void reload();
    host::Outcome<Prepared> prepare(const RouteConfig& config);
    void commit(std::vector<Prepared>& prepared);
    void forget_unused_keys(const std::vector<RouteKey>& before);
    [[nodiscard]] std::vector<RouteKey> keys_in_use() const;
    void reread_lists();
    void reread_access(Route& route);

    // revival.cpp
    void watch_chamber();
    void mind_chamber();
    void drop_sessions();
    host::Done revive();

    const GatewayOptions& options_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    Signals& signals_;              // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    Enclave& enclave_;              // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    host::enclave::Supervisor supervisor_;
    ChamberWatch chamber_watch_;
    Config config_;
    std::optional<host::store::KeyStore> keys_;
    std::unique_ptr<host::net::TrustFeeder> trust_feeder_; // outlives the links, who release their keys
    std::list<Door> doors_;
    Links links_;
    std::vector<const Link*> ended_;                  // among them still
    std::unordered_map<std::string, Source> sources_; // by network, while they have a handshake
    WaitingRanks ranks_;                              // of all sources
    std::deque<std::string> queue_;   // networks of which somebody may begin as soon as there is a place
    std::size_t connections_max_ = 0; // what the file says, or what there are descriptors for
    std::size_t handshakes_ = 0;
    std::size_t parked_ = 0;
    std::size_t live_ = 0;
    bool took_in_ = false; // somebody, since give_way
    Control control_;
    Clock::time_point next_tick_ = Clock::now();
    std::uint64_t ticks_ = 0;
    std::uint64_t turns_ = 0;
    Voyage voyage_; // empty between two turns
    host::vm::CopyWatch copy_watch_{host::vm::read_clocks()};
};

} // namespace caisson::services::gateway
