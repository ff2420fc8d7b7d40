#include "services/gateway/gateway.hpp"

#include "host/enclave/curve_chamber.hpp"
#include "host/enclave/root.hpp"
#include "host/net/trust_feeder.hpp"
#include "host/store/durable_file.hpp"
#include "host/store/key_store.hpp"
#include "services/gateway/log.hpp"
#include "services/gateway/peer.hpp"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <map>

namespace caisson::services::gateway {
namespace {

using host::Done;
using host::fault;
using host::Outcome;
using host::enclave::CurveChamber;
using host::enclave::Enclave;
using host::enclave::LoadedCurveKey;
using Clock = Peer::Clock;

constexpr std::size_t config_bytes_max = std::size_t{256} << 10U;
constexpr std::size_t peers_max = 1000;     // the chamber holds a few more sessions
constexpr std::size_t handshakes_max = 256; // at once
constexpr std::size_t handshakes_per_source = 64;
constexpr std::chrono::milliseconds tick{100};

std::atomic<bool> stopping{false};
std::atomic<bool> reloading{false};

void on_signal(int signal)
{
    (signal == SIGHUP ? reloading : stopping).store(true);
}

Outcome<Config> load_config(const std::filesystem::path& path)
{
    const auto content = TRY(host::store::load_file(path, config_bytes_max));
    return parse_config(std::string(content.begin(), content.end()), path.string());
}

struct Listener {
    ListenerConfig config;
    LoadedCurveKey key;
    ListeningSocket socket;
    std::list<Peer> peers;
};

class Gateway {
  public:
    Gateway(Enclave& enclave, Log& log)
        : enclave_(enclave)
        , chamber_(enclave)
        , log_(log)
    {
    }

    Done open(const GatewayOptions& options);
    Done run();

  private:
    Outcome<LoadedCurveKey> load_key(const host::store::KeyStore& store, const std::string& name);
    void start_feeder(const std::filesystem::path& home);
    void turn();
    void accept_from(Listener& listener);
    [[nodiscard]] bool has_room_for(const std::string& source) const;
    void tick_all();
    void reload();
    template <typename Function>
    void for_each_peer(Function function);

    Enclave& enclave_;
    CurveChamber chamber_;
    Log& log_;
    std::filesystem::path config_path_;
    std::unique_ptr<host::net::TrustFeeder> feeder_; // outlives the peers, who release their keys
    std::list<Listener> listeners_;
    Clock::time_point next_tick_ = Clock::now();
};

template <typename Function>
void Gateway::for_each_peer(Function function)
{
    for (auto& listener : listeners_) {
        for (auto& peer : listener.peers) {
            function(peer);
        }
        listener.peers.remove_if([](const Peer& peer) { return peer.ended(); });
    }
}

Outcome<LoadedCurveKey> Gateway::load_key(const host::store::KeyStore& store, const std::string& name)
{
    const auto record = TRY(store.load(name));
    auto key = chamber_.import_sealed(record.sealed);
    if (!key) {
        return fault(key.error().kind, "key " + name + ": " + key.error().what);
    }
    return key;
}

Done Gateway::open(const GatewayOptions& options)
{
    config_path_ = options.config;
    const auto config = TRY(load_config(options.config));
    const host::store::KeyStore store(options.home);
    for (const auto& listener : config.listeners) {
        const auto key = TRY(load_key(store, listener.key));
        auto socket = TRY(ListeningSocket::open(listener.listen));
        log_.line(listener.name + ": listens on " + socket.endpoint().text() + ", back end " + listener.backend.text() +
                  (key.gated ? ", admits only trusted nodes" : ", UNGATED: admits every client with a CURVE key"));
        listeners_.push_back({listener, key, std::move(socket), {}});
    }
    start_feeder(options.home);
    return {};
}

void Gateway::start_feeder(const std::filesystem::path& home)
{
    std::vector<host::net::FedKey> keys;
    for (const auto& listener : listeners_) {
        if (listener.key.gated) {
            keys.push_back({listener.key.id, listener.key.public_key});
        }
    }
    if (!keys.empty()) {
        feeder_ = std::make_unique<host::net::TrustFeeder>(enclave_, home / "agent" / "agent.sock", std::move(keys));
    }
}

bool Gateway::has_room_for(const std::string& source) const
{
    std::size_t peers = 0;
    std::size_t handshakes = 0;
    std::size_t of_source = 0;
    for (const auto& listener : listeners_) {
        for (const auto& peer : listener.peers) {
            ++peers;
            handshakes += peer.authenticated() ? 0 : 1;
            of_source += !peer.authenticated() && peer.source() == source ? 1 : 0;
        }
    }
    return peers < peers_max && handshakes < handshakes_max && of_source < handshakes_per_source;
}

void Gateway::accept_from(Listener& listener)
{
    while (auto accepted = listener.socket.accept()) {
        if (!has_room_for(accepted->source)) {
            log_.line(accepted->name + ": turned away, too many handshakes or peers at once");
            continue;
        }
        const PeerContext context{
            listener.config, chamber_, listener.key, feeder_.get(),
            [this, &listener](const std::string& text) { log_.line(listener.config.name + ": " + text); }};
        listener.peers.emplace_back(context, std::move(*accepted));
    }
}

void Gateway::tick_all()
{
    const auto now = Clock::now();
    if (now >= next_tick_) {
        next_tick_ = now + tick;
        for_each_peer([now](Peer& peer) { peer.on_tick(now); });
    }
}

void Gateway::reload()
{
    const auto config = load_config(config_path_);
    if (!config) {
        log_.line("reload: " + config.error().what + "; nothing was changed");
        return;
    }
    for (auto& listener : listeners_) {
        const auto same = std::find_if(config->listeners.begin(), config->listeners.end(),
                                       [&](const auto& other) { return other.name == listener.config.name; });
        if (same != config->listeners.end()) {
            listener.config.allow = same->allow;
        }
    }
    log_.line("reload: the allow lists were read anew");
    for_each_peer([](Peer& peer) { peer.check_allowed(); });
}

void Gateway::turn()
{
    std::vector<pollfd> waited;
    std::vector<std::function<void(short)>> actions;
    const auto wait = [&](int descriptor, short events, std::function<void(short)> action) {
        if (descriptor >= 0) {
            waited.push_back({descriptor, events, 0});
            actions.push_back(std::move(action));
        }
    };
    const auto events_of = [](const Peer::Wish& wish) {
        return static_cast<short>((wish.read ? POLLIN : 0) | (wish.write ? POLLOUT : 0));
    };
    constexpr short readable = POLLIN | POLLHUP | POLLERR;
    for (auto& listener : listeners_) {
        wait(listener.socket.descriptor(), POLLIN, [&](short) { accept_from(listener); });
        for (auto& peer : listener.peers) {
            const auto client = peer.client_wish();
            const auto backend = peer.backend_wish();
            wait(client.descriptor, events_of(client),
                 [&peer](short events) { peer.on_client_ready((events & readable) != 0, (events & POLLOUT) != 0); });
            wait(backend.descriptor, events_of(backend), [&peer](short events) {
                if (!peer.ended()) {
                    peer.on_backend_ready((events & readable) != 0, (events & POLLOUT) != 0);
                }
            });
        }
    }
    ::poll(waited.data(), waited.size(), static_cast<int>(tick.count()));
    for (std::size_t index = 0; index < waited.size(); ++index) {
        if (waited[index].revents != 0) {
            actions[index](waited[index].revents);
        }
    }
    for_each_peer([](const Peer& /*peer*/) {});
    tick_all();
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
    log_.line("stopped");
    return {};
}

Outcome<std::unique_ptr<Enclave>> open_chamber(const std::filesystem::path& home)
{
    const auto root = TRY(host::enclave::Root::open_file(home / "root.key"));
    return Enclave::open({}, root);
}

} // namespace

Done check_gateway(const GatewayOptions& options)
{
    const auto config = TRY(load_config(options.config));
    const host::store::KeyStore store(options.home);
    for (const auto& listener : config.listeners) {
        TRY(store.load(listener.key));
    }
    return {};
}

Done run_gateway(const GatewayOptions& options)
{
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        ::signal(signal, on_signal);
    }
    TRY(check_gateway(options));
    const auto enclave = TRY(open_chamber(options.home));
    Log log(options.json_log);
    Gateway gateway(*enclave, log);
    TRY(gateway.open(options));
    return gateway.run();
}

} // namespace caisson::services::gateway
