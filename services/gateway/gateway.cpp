#include "services/gateway/gateway.hpp"

#include "host/enclave/root.hpp"
#include "host/store/access_signer.hpp"
#include "host/store/durable_file.hpp"
#include "host/store/key_store.hpp"
#include "host/vm/copy_watch.hpp"
#include "services/gateway/control.hpp"
#include "services/gateway/link.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <list>
#include <unordered_map>

namespace caisson::services::gateway {
namespace {

using host::Done;
using host::fault;
using host::Outcome;
using host::enclave::CurveChamber;
using host::enclave::Enclave;
using Clock = Link::Clock;

constexpr std::size_t config_bytes_max = std::size_t{256} << 10U;
constexpr std::size_t key_list_bytes_max = std::size_t{8} << 20U;
constexpr std::size_t password_bytes_max = 4096;
constexpr std::size_t accepted_at_once = 64;
constexpr std::chrono::milliseconds tick{100};
constexpr std::uint64_t list_ticks = 3; // between two looks whether a list was written anew

std::atomic<bool> stopping{false};
std::atomic<bool> reloading{false};
std::atomic<bool> copied{false};

void on_signal(int signal)
{
    (signal == SIGHUP ? reloading : signal == SIGUSR1 ? copied : stopping).store(true);
}

Outcome<std::string> load_text(const std::filesystem::path& path, std::size_t bytes_max)
{
    const auto content = TRY(host::store::load_file(path, bytes_max));
    return std::string(content.begin(), content.end());
}

Outcome<Config> load_config(const std::filesystem::path& path)
{
    const auto text = TRY(load_text(path, config_bytes_max));
    return parse_config(text, path.string());
}

// `allow` and `allow_file` together; nothing when there is neither.
Outcome<std::optional<KeySet>> load_allowed(const RouteConfig& config)
{
    auto allowed = config.allow;
    if (!config.allow_file.empty()) {
        const auto text = TRY(load_text(config.allow_file, key_list_bytes_max));
        const auto listed = TRY(parse_key_list(text, config.allow_file));
        if (!allowed) {
            allowed.emplace();
        }
        allowed->insert(listed.begin(), listed.end());
    }
    return allowed;
}

// When and what a list was written last.
std::string mark_of(const std::string& path)
{
    struct stat facts = {};
    if (path.empty() || ::stat(path.c_str(), &facts) != 0) {
        return {};
    }
    return std::to_string(facts.st_ino) + ":" + std::to_string(facts.st_size) + ":" +
           std::to_string(facts.st_mtim.tv_sec) + "." + std::to_string(facts.st_mtim.tv_nsec);
}

Outcome<std::string> load_password(const RouteConfig& config)
{
    if (config.password_file.empty()) {
        return std::string();
    }
    auto text = TRY(load_text(config.password_file, password_bytes_max));
    return text.substr(0, text.find_first_of("\r\n"));
}

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

void raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

class Gateway;

// A listening socket of a route, and who waits to be let in there.
struct Door final : Watcher {
    Door(Gateway& a_gateway, std::shared_ptr<Route> a_route)
        : gateway(a_gateway)
        , route(std::move(a_route))
    {
    }
    void on_ready(bool readable, bool writable) override;

    Gateway& gateway; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    std::shared_ptr<Route> route;
    Loop::Wish wish;
    bool paused = false;
};

// How many handshakes a source has under way, and who waits for one to end.
struct Source {
    std::size_t active = 0;
    std::deque<Link*> parked;
};

class Gateway final : public Hub, public Observed {
  public:
    Gateway(Enclave& enclave, Loop& a_loop, Crossing& a_crossing, CurveChamber& a_chamber, Log& a_log)
        : Hub(a_loop, a_crossing, a_chamber, a_log)
        , enclave_(enclave)
        , control_(a_loop, *this)
    {
    }
    ~Gateway() { links_.clear(); }
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    Done open(const GatewayOptions& options);
    Done run();
    void accept_from(Door& door);

    void on_authenticated(Link& link) override { leave_handshake(link); }
    void on_ended(Link& link) override;
    [[nodiscard]] Observation observe() const override;

  private:
    Outcome<std::shared_ptr<Route>> open_route(const RouteConfig& config);
    Outcome<RouteKey> load_key(const std::string& name);
    Done load_lists(Route& route);
    Done load_access(Route& route);
    void reread_access(Route& route);
    void begin_epoch(const std::string& why);
    void announce(const Route& route);
    void watch_doors();
    void start_feeder();
    void admit(Door& door, ListeningSocket::Accepted accepted);
    void leave_handshake(Link& link);
    void turn();
    void tick_all();
    void end_refused_sessions();
    // What a reload prepares before it changes anything.
    struct Prepared {
        RouteConfig config;
        Door* door = nullptr;         // null: a new one
        std::shared_ptr<Route> route; // new, or the next of `door`
    };
    void reload();
    Outcome<Prepared> prepare(const RouteConfig& config);
    void commit(std::vector<Prepared>& prepared);
    void forget_unused_keys(const std::vector<RouteKey>& before);
    [[nodiscard]] std::vector<RouteKey> keys_in_use() const;
    void reread_lists();
    void bury();

    Enclave& enclave_;
    GatewayOptions options_;
    Config config_;
    std::optional<host::store::KeyStore> keys_;
    std::unique_ptr<host::net::TrustFeeder> trust_feeder_; // outlives the links, who release their keys
    std::list<Door> doors_;
    std::list<std::unique_ptr<Link>> links_;
    std::unordered_map<std::string, Source> sources_;
    std::size_t handshakes_ = 0;
    std::size_t live_ = 0;
    bool some_ended_ = false;
    Control control_;
    Clock::time_point next_tick_ = Clock::now();
    std::uint64_t ticks_ = 0;
    host::vm::CopyWatch copy_watch_{host::vm::read_clocks()};
};

void Door::on_ready(bool /*readable*/, bool /*writable*/)
{
    gateway.accept_from(*this);
}

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

// [GATE-14] The chamber names whose sessions it has ended.
void Gateway::reread_access(Route& route)
{
    if (route.config.access_list.empty() || mark_of(route.config.access_list) == route.access_mark) {
        return;
    }
    const auto name = route.config.name;
    if (const auto done = load_access(route); !done) {
        log.line(name + ": " + done.error().what + "; the list before it stays in force");
        return;
    }
    log.line(name + ": the chamber enforces the list " + route.config.access_list + ", serial " +
             std::to_string(route.access.serial) + ", " + std::to_string(route.access.keys) + " keys");
    end_refused_sessions();
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

Done Gateway::open(const GatewayOptions& options)
{
    options_ = options;
    config_ = TRY(load_config(options.config));
    keys_.emplace(options.home);
    for (const auto& config : config_.routes) {
        doors_.emplace_back(*this, TRY(open_route(config)));
    }
    start_feeder();
    watch_doors();
    return control_.open(options.home, config_.metrics);
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

// Who cannot be served now waits in the system's queue.
void Gateway::watch_doors()
{
    const bool open = handshakes_ < config_.handshakes_max && live_ < config_.connections_max;
    for (auto& door : doors_) {
        loop.watch(door.route->socket->descriptor(), door, door.wish, open && !door.paused, false);
    }
}

void Gateway::accept_from(Door& door)
{
    for (std::size_t count = 0; count < accepted_at_once && live_ < config_.connections_max; ++count) {
        auto accepted = door.route->socket->accept();
        if (!accepted) {
            door.paused = errno == EMFILE || errno == ENFILE; // until the next tick
            break;
        }
        admit(door, std::move(*accepted));
    }
    watch_doors();
}

// [GATE-3] One source has so many handshakes under way; its others wait, and beyond that are turned away.
void Gateway::admit(Door& door, ListeningSocket::Accepted accepted)
{
    auto& source = sources_[accepted.source];
    const bool counted = door.route->config.side == Side::server;
    const bool parks = counted && source.active >= config_.handshakes_per_source;
    if (parks && source.parked.size() >= config_.waiting_per_source) {
        ++door.route->metrics.ended[static_cast<std::size_t>(Reason::too_many)];
        log.line(door.route->config.name + ": " + accepted.name + ": turned away, too many handshakes at once",
                 {{"listener", door.route->config.name},
                  {"peer", accepted.name},
                  {"reason", reason_name(Reason::too_many)}});
        return;
    }
    ++live_;
    if (counted && !parks) {
        ++source.active;
        ++handshakes_;
    }
    auto& link = *links_.emplace_back(std::make_unique<Link>(*this, door.route, std::move(accepted), parks));
    if (parks) {
        source.parked.push_back(&link);
    }
}

// Its place among its source's handshakes is the next one's.
void Gateway::leave_handshake(Link& link)
{
    if (link.route().config.side != Side::server) {
        return;
    }
    const auto found = sources_.find(link.source());
    if (found == sources_.end()) {
        return;
    }
    auto& source = found->second;
    --source.active;
    --handshakes_;
    if (!source.parked.empty() && source.active < config_.handshakes_per_source) {
        auto* const next = source.parked.front();
        source.parked.pop_front();
        ++source.active;
        ++handshakes_;
        next->begin();
    } else if (source.active == 0) {
        sources_.erase(found);
    }
}

void Gateway::on_ended(Link& link)
{
    some_ended_ = true;
    --live_;
    if (link.was_parked()) {
        auto& parked = sources_[link.source()].parked;
        parked.erase(std::remove(parked.begin(), parked.end(), &link), parked.end());
    } else if (!link.authenticated()) {
        leave_handshake(link);
    }
}

void Gateway::bury()
{
    if (some_ended_) {
        some_ended_ = false;
        std::erase_if(awake, [](const Link* link) { return link->ended(); });
        links_.remove_if([](const auto& link) { return link->ended(); });
        watch_doors();
    }
}

void Gateway::tick_all()
{
    const auto now = Clock::now();
    if (now < next_tick_) {
        return;
    }
    next_tick_ = now + tick;
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
    if (copied.exchange(false)) {
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

void Gateway::turn()
{
    loop.wait(awake.empty() ? std::chrono::duration_cast<std::chrono::milliseconds>(tick)
                            : std::chrono::milliseconds(0));
    const auto now_awake = std::exchange(awake, {});
    passing.clear();
    for (auto* link : now_awake) {
        link->gather();
    }
    crossing.run();
    for (auto* link : now_awake) {
        link->absorb();
    }
    crossing.clear();
    bury();
    tick_all();
    bury();
}

Done Gateway::run()
{
    while (!stopping.load()) {
        turn();
        if (reloading.exchange(false)) {
            reload();
        }
        if (!enclave_.alive()) {
            return fault(Kind::unavailable, "gateway: the chamber has ended; start the gateway again");
        }
    }
    log.line("stopped");
    return {};
}

// [GATE-12] A list that is read anew counts from now on; one that cannot be read leaves the old one in force.
void Gateway::reread_lists()
{
    for (auto& door : doors_) {
        auto& route = *door.route;
        reread_access(route);
        if (route.config.allow_file.empty() || mark_of(route.config.allow_file) == route.list_mark) {
            continue;
        }
        route.list_mark = mark_of(route.config.allow_file);
        auto allowed = load_allowed(route.config);
        if (!allowed) {
            log.line(route.config.name + ": " + allowed.error().what + "; the list before it stays in force");
            continue;
        }
        route.allowed = std::move(*allowed);
        log.line(route.config.name + ": the list " + route.config.allow_file + " was read anew");
        for (const auto& link : links_) {
            if (&link->route() == &route) {
                link->check_allowed();
            }
        }
    }
}

std::vector<RouteKey> Gateway::keys_in_use() const
{
    std::vector<RouteKey> keys;
    for (const auto& door : doors_) {
        keys.insert(keys.end(), door.route->keys.begin(), door.route->keys.end());
    }
    return keys;
}

Outcome<Gateway::Prepared> Gateway::prepare(const RouteConfig& config)
{
    Prepared prepared{config, nullptr, nullptr};
    for (auto& door : doors_) {
        const auto& known = door.route->config;
        if (known.name == config.name && known.side == config.side && known.mechanism == config.mechanism &&
            known.listen.text() == config.listen.text()) {
            prepared.door = &door;
        }
    }
    if (prepared.door == nullptr) {
        prepared.route = TRY(open_route(config));
        return prepared;
    }
    prepared.route = std::make_shared<Route>(); // carries what is new until it is committed
    prepared.route->config = config;
    for (const auto& name : config.keys) {
        prepared.route->keys.push_back(TRY(load_key(name)));
    }
    TRY(load_lists(*prepared.route));
    return prepared;
}

void Gateway::commit(std::vector<Prepared>& prepared)
{
    for (auto& door : doors_) {
        const bool kept =
            std::any_of(prepared.begin(), prepared.end(), [&door](const Prepared& one) { return one.door == &door; });
        door.route->gone = !kept;
    }
    for (auto& one : prepared) {
        if (one.door == nullptr) {
            doors_.emplace_back(*this, one.route);
            continue;
        }
        auto& route = *one.door->route;
        const bool other_zap = route.config.zap.has_value() != one.config.zap.has_value() ||
                               (one.config.zap && one.config.zap->text() != route.config.zap->text());
        route.config = one.route->config;
        route.keys = one.route->keys;
        route.allowed = one.route->allowed;
        route.password = one.route->password;
        route.list_mark = one.route->list_mark;
        route.access_mark = one.route->access_mark;
        route.access = one.route->access;
        if (other_zap) {
            route.zap = one.config.zap ? std::make_unique<ZapClient>(loop, *one.config.zap) : nullptr;
        }
    }
    for (const auto& link : links_) {
        link->check_allowed();
    }
    doors_.remove_if([](const Door& door) { return door.route->gone; });
}

// [GATE-11] The chamber ends what stands on a key that no listener has any more.
void Gateway::forget_unused_keys(const std::vector<RouteKey>& before)
{
    const auto now = keys_in_use();
    for (const auto& key : before) {
        const bool used =
            std::any_of(now.begin(), now.end(), [&key](const RouteKey& one) { return one.loaded.id == key.loaded.id; });
        if (!used) {
            chamber.forget_key(key.loaded.id);
            log.line("reload: the key " + key.name + " is given up; its sessions have ended");
        }
    }
}

// [GATE-13] All of the file, or nothing of it.
void Gateway::reload()
{
    auto config = load_config(options_.config);
    std::vector<Prepared> prepared;
    host::Done done;
    if (!config) {
        done = std::unexpected(config.error());
    }
    for (std::size_t index = 0; done && index < config->routes.size(); ++index) {
        auto one = prepare(config->routes[index]);
        if (one) {
            prepared.push_back(std::move(*one));
        } else {
            done = std::unexpected(one.error());
        }
    }
    if (!done) {
        log.line("reload: " + done.error().what + "; nothing was changed");
        return;
    }
    const auto before = keys_in_use();
    commit(prepared);
    forget_unused_keys(before);
    config_ = std::move(*config);
    if (feeder != nullptr) {
        for (const auto& key : keys_in_use()) {
            const bool known = std::any_of(before.begin(), before.end(),
                                           [&key](const RouteKey& one) { return one.loaded.id == key.loaded.id; });
            if (key.loaded.gated && !known) {
                feeder->add_key({key.loaded.id, key.loaded.public_key});
            }
        }
    }
    start_feeder();
    watch_doors();
    log.line("reload: the file was read anew");
}

Observation Gateway::observe() const
{
    Observation observation;
    for (const auto& door : doors_) {
        const auto& route = *door.route;
        observation.routes.push_back({route.config.name, route.config.side == Side::server, route.config.is_protected(),
                                      route.is_gated(), route.metrics, enforced_by(route)});
    }
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

Outcome<std::unique_ptr<Enclave>> open_chamber(const std::filesystem::path& home)
{
    const auto root = TRY(host::enclave::Root::open(home));
    return Enclave::open({}, root);
}

} // namespace

Done check_gateway(const GatewayOptions& options)
{
    const auto config = TRY(load_config(options.config));
    const host::store::KeyStore store(options.home);
    for (const auto& route : config.routes) {
        for (const auto& name : route.keys) {
            TRY(store.load(name));
        }
        TRY(load_allowed(route));
        if (!route.access_list.empty()) {
            TRY(host::store::load_access_file(route.access_list));
        }
        TRY(load_password(route));
    }
    return {};
}

Done run_gateway(const GatewayOptions& options)
{
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
        ::signal(signal, on_signal);
    }
    raise_descriptor_limit();
    TRY(check_gateway(options));
    const auto enclave = TRY(open_chamber(options.home));
    Log log(options.json_log);
    auto loop = TRY(Loop::open());
    Crossing crossing(*enclave);
    CurveChamber chamber(*enclave);
    Gateway gateway(*enclave, loop, crossing, chamber, log);
    TRY(gateway.open(options));
    return gateway.run();
}

std::filesystem::path control_folder(const std::filesystem::path& home)
{
    return home / "gateway";
}

} // namespace caisson::services::gateway
