#include "services/gateway/running.hpp"

#include "host/store/access_signer.hpp"
#include "services/gateway/route_files.hpp"

#include <numeric>
#include <set>

#include <sched.h>

namespace caisson::services::gateway {
namespace {

using host::Done;
using host::fault;
using host::Outcome;
using host::enclave::platform_name;
using host::enclave::root_name;

constexpr std::chrono::milliseconds tick{100};
constexpr std::uint64_t list_ticks = 3; // between two looks whether a list was written anew

// Who keeps out whom the lists do not name.
std::string enforced_by(const Route& route)
{
    return !route.is_listed() ? (route.has_host_lists() ? "host" : "none")
                              : (route.has_host_lists() ? "chamber+host" : "chamber");
}

std::string access_words(const Route& route)
{
    if (route.config.access_list.empty()) {
        return ", ADMITS NOBODY: its key asks for a signed list, and access_list is not given";
    }
    return ", admits whom the chamber's access list names (serial " + std::to_string(route.access.serial) + ", " +
           std::to_string(route.access.keys) + " keys)";
}

} // namespace

Outcome<RouteKey> Gateway::load_key(const std::string& name)
{
    const auto record = TRY(keys_->load(name));
    auto key = chamber.import_sealed(record.sealed);
    if (!key) {
        return fault(key.error().kind, "key " + name + ": " + key.error().what);
    }
    return RouteKey{name, *key};
}

Done Gateway::load_lists(Route& route)
{
    route.list_mark = mark_of(route.config.allow_file);
    route.allowed = TRY(load_allowed(route.config));
    route.password = TRY(load_password(route.config));
    return route.config.access_list.empty() ? Done{} : load_access(route);
}

// [GATE-14] The chamber checks the list, and from then on enforces it.
Done Gateway::load_access(Route& route)
{
    const auto& path = route.config.access_list;
    route.access_mark = mark_of(path);
    const auto document = TRY(host::store::load_access_file(path));
    route.access = TRY(chamber.accept_access_list(document, path));
    return {};
}

void Gateway::announce(const Route& route)
{
    const auto& config = route.config;
    const bool serves = config.side == Side::server;
    std::string words = config.name + ": listens on " + route.socket->endpoint().text() +
                        (serves ? ", back end " + config.plain().text() : ", connects to " + config.outer().text());
    if (!config.is_protected()) {
        words += ", UNPROTECTED: mechanism " +
                 std::string(config.mechanism == protocol::zmtp::Mechanism::null ? "NULL, nobody proves who he is"
                                                                                 : "PLAIN, passwords are readable") +
                 " and messages are readable on the way";
    } else if (serves) {
        words += route.is_gated()    ? ", admits only trusted nodes"
                 : route.is_listed() ? ""
                                     : ", UNGATED: admits every client with a CURVE key";
        words += route.is_listed() ? access_words(route) : "";
        words += route.allowed ? " that this host's list names (host-enforced)" : "";
        words += route.zap ? ", asks the ZAP handler (host-enforced)" : "";
    }
    if (config.plain_leaves_machine) {
        words += ", PLAIN SIDE BEYOND LOOPBACK: " + config.plain().text() + " is readable on the way";
    }
    log.line(words, {{"listener", config.name}, {"reason", "listens"}});
}

Outcome<std::shared_ptr<Route>> Gateway::open_route(const RouteConfig& config)
{
    auto route = std::make_shared<Route>();
    route->config = config;
    for (const auto& name : config.keys) {
        route->keys.push_back(TRY(load_key(name)));
    }
    TRY(load_lists(*route));
    if (config.zap) {
        route->zap = std::make_unique<ZapClient>(loop, *config.zap);
    }
    route->socket.emplace(TRY(ListeningSocket::open(config.listen)));
    announce(*route);
    return route;
}

Done Gateway::open()
{
    config_ = TRY(load_config(options_.config));
    tell_chamber();
    fit_connections(descriptor_limit());
    keys_.emplace(options_.home);
    for (const auto& config : config_.routes) {
        doors_.emplace_back(*this, TRY(open_route(config)));
    }
    start_feeder();
    watch_doors();
    watch_chamber();
    return control_.open(options_.home, config_.metrics);
}

void Gateway::tell_chamber()
{
    const auto guard = host::enclave::guard_of(enclave_.facts());
    log.line("curve chamber on " + guard_text(guard), {{"platform", platform_name(guard.platform)},
                                                       {"root", root_name(guard.root)},
                                                       {"debug", guard.debug ? "true" : "false"}});
    for (const auto& protection : enclave_.facts().protections) {
        if (!protection.active) {
            log.line("without protection \"" + protection.name + "\": " + protection.reason,
                     {{"reason", "protection"}});
        }
    }
}

void Gateway::start_feeder()
{
    std::vector<host::net::FedKey> fed;
    for (const auto& door : doors_) {
        for (const auto& key : door.route->keys) {
            const bool known =
                std::any_of(fed.begin(), fed.end(), [&key](const auto& one) { return one.id == key.loaded.id; });
            if (key.loaded.gated && !known) {
                fed.push_back({key.loaded.id, key.loaded.public_key});
            }
        }
    }
    if (!fed.empty() && feeder == nullptr) {
        trust_feeder_ =
            std::make_unique<host::net::TrustFeeder>(enclave_, options_.home / "agent" / "agent.sock", std::move(fed));
        feeder = trust_feeder_.get();
    }
}

void Gateway::bury()
{
    if (ended_.empty()) {
        return;
    }
    std::erase_if(awake, [](const Link* link) { return link->ended(); });
    strangers.forget_ended();
    for (const auto* link : std::exchange(ended_, {})) { // of ten thousand few: nobody looks at the others
        links_.erase(link->place);
    }
    watch_doors();
}

void Gateway::tick_all()
{
    const auto now = Clock::now();
    if (now < next_tick_) {
        return;
    }
    next_tick_ = now + tick;
    hurried = handshakes_ >= config_.handshakes_max && parked_ > 0;
    for (const auto& link : links_) {
        link->on_tick(now);
    }
    for (auto& door : doors_) {
        door.paused = false;
        if (door.route->zap) {
            door.route->zap->on_tick(now);
        }
    }
    control_.on_tick(now);
    mind_chamber();
    if (signals_.copied.exchange(false)) {
        begin_epoch("SIGUSR1 says that this machine was copied, restored or moved");
    } else if (copy_watch_.stood_still(host::vm::read_clocks())) {
        begin_epoch("the clocks say that this machine stood still: it was suspended, restored or moved");
    }
    end_refused_sessions();
    if (++ticks_ % list_ticks == 0) {
        reread_lists();
    }
    watch_doors();
}

// [GATE-15] What the chamber has ended, ends here too: peers begin anew, with new keys.
void Gateway::begin_epoch(const std::string& why)
{
    const auto done = chamber.new_epoch();
    log.line(why +
             (done ? "; all CURVE sessions have ended" : std::string("; the chamber says: ") + done.error().what));
    for (const auto& link : links_) {
        if (link->route().is_protected() && !link->ended()) {
            link->end(Reason::epoch, "cut off: this machine may be a copy; sessions begin anew");
        }
    }
}

// The chamber closes the sessions that it would refuse a message, so that silent ones end too.
void Gateway::end_refused_sessions()
{
    const bool has_listed =
        std::any_of(doors_.begin(), doors_.end(), [](const Door& door) { return door.route->is_listed(); });
    if (feeder == nullptr && !has_listed) {
        return;
    }
    const auto ended = chamber.sweep_sessions();
    if (ended.empty()) {
        return;
    }
    const std::set<std::uint32_t> sessions(ended.begin(), ended.end());
    for (const auto& link : links_) {
        if (link->session() != 0 && sessions.contains(link->session())) {
            link->end_untrusted();
        }
    }
}

// What the sessions have goes through the chamber and on at once; then steps of handshakes, strangers' behind all
// others [GATE-23].
void Gateway::serve_awake()
{
    auto now_awake = std::exchange(awake, {});
    if (now_awake.size() > 1) { // [GATE-7] whoever is first, so that what is over falls to each of them in turn
        const auto first = ++turns_ % now_awake.size();
        std::rotate(now_awake.begin(), now_awake.begin() + static_cast<std::ptrdiff_t>(first), now_awake.end());
    }
    sharers = std::max<std::size_t>(now_awake.size(), 1);
    for (auto* link : now_awake) {
        link->gather(voyage_);
    }
    const auto now = Clock::now();
    sail(now);
    for (auto* link : now_awake) {
        if (!link->asks()) {
            link->settle();
        }
    }
    const auto let_in = strangers.take(now);
    for (auto* link : let_in) {
        link->gather(voyage_);
    }
    sail(now);
    crossing.run();
    for (auto* link : now_awake) {
        if (link->asks()) {
            link->take_answer();
            link->settle();
        }
    }
    for (auto* link : let_in) {
        link->take_answer();
        link->settle();
    }
    crossing.clear();
    if (!let_in.empty()) {
        strangers.rest(Clock::now());
    }
}

// [GATE-19]
void Gateway::sail(Clock::time_point now)
{
    if (voyage_.links.empty()) {
        return;
    }
    voyage_.sail();
    for (auto* link : voyage_.links) {
        strangers.note_talk(link->since(), now);
        link->absorb(voyage_);
    }
    voyage_.clear();
}

void Gateway::turn()
{
    loop.wait(awake.empty() ? strangers.due(Clock::now(), tick) : std::chrono::microseconds(0));
    if (chamber_watch_.ended) {
        mind_chamber();
    }
    serve_awake();
    bury();
    tick_all();
    bury();
}

// [GATE-25] The other programs that have a part in the handshakes run before the next turn looks what has come of them.
// Where a CPU is free, nobody waits.
void Gateway::give_way()
{
    const bool moved = crossing.was_used() || took_in_;
    took_in_ = false;
    if (!moved) {
        return;
    }
    const auto handshaking =
        std::accumulate(doors_.begin(), doors_.end(), std::uint64_t{0},
                        [](std::uint64_t sum, const Door& door) { return sum + door.route->metrics.handshaking; });
    if (strangers.gives_way(handshaking, Clock::now())) {
        ::sched_yield();
    }
}

void Gateway::run()
{
    while (!signals_.stop.load()) {
        turn();
        give_way();
        if (signals_.reload.exchange(false)) {
            reload();
        }
    }
    log.line("stopped");
}

Observation Gateway::observe() const
{
    Observation observation;
    for (const auto& door : doors_) {
        const auto& route = *door.route;
        observation.routes.push_back({route.config.name, route.config.side == Side::server, route.config.is_protected(),
                                      route.is_gated(), route.metrics, enforced_by(route)});
    }
    observation.chamber = host::enclave::guard_of(enclave_.facts());
    observation.chamber_restarts = supervisor_.restarts();
    const auto now = Clock::now();
    for (const auto& link : links_) {
        if (link->ended()) {
            continue;
        }
        const auto known = link->peer_key() != protocol::CurveKey{};
        const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - link->since());
        observation.sessions.push_back({link->route().config.name, link->name(),
                                        known ? z85_of(link->peer_key()) : std::string(), link->trust(), link->user(),
                                        link->stage_name(), static_cast<std::uint64_t>(age.count()), link->traffic(),
                                        enforced_by(link->route())});
        for (auto& route : observation.routes) {
            if (route.name == link->route().config.name) {
                route.metrics.traffic += link->traffic();
            }
        }
    }
    return observation;
}

} // namespace caisson::services::gateway
