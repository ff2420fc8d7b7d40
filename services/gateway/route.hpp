// A listener or connector at work: its configuration, keys, lists and socket, shared by its links.
#pragma once

#include "host/enclave/curve_chamber.hpp"
#include "host/net/trust_feeder.hpp"
#include "services/gateway/config.hpp"
#include "services/gateway/crossing.hpp"
#include "services/gateway/log.hpp"
#include "services/gateway/loop.hpp"
#include "services/gateway/metrics.hpp"
#include "services/gateway/resolver.hpp"
#include "services/gateway/strangers.hpp"
#include "services/gateway/stream.hpp"
#include "services/gateway/voyage.hpp"
#include "services/gateway/zap_client.hpp"

#include <algorithm>
#include <list>
#include <memory>
#include <vector>

namespace caisson::services::gateway {

struct RouteKey {
    std::string name; // of `caisson key`
    host::enclave::LoadedCurveKey loaded;
};

struct Route {
    RouteConfig config;
    std::vector<RouteKey> keys;
    std::optional<KeySet> allowed; // what `allow` and `allow_file` say together; nothing: all that the chamber admits
    std::string list_mark;         // of allow_file, as it was read
    std::string access_mark;       // of access_list
    host::enclave::AcceptedAccessList access;
    std::string password; // PLAIN, client
    std::unique_ptr<ZapClient> zap;
    std::optional<ListeningSocket> socket;
    RouteMetrics metrics;
    bool gone = false; // the file names it no more: its links end

    [[nodiscard]] bool is_protected() const noexcept { return config.is_protected(); }
    // Some key talks only with those whom the chamber's access list names.
    [[nodiscard]] bool is_listed() const
    {
        return std::any_of(keys.begin(), keys.end(), [](const RouteKey& key) { return key.loaded.listed; });
    }
    [[nodiscard]] bool has_host_lists() const noexcept { return allowed.has_value() || zap != nullptr; }
    [[nodiscard]] bool is_gated() const
    {
        return std::any_of(keys.begin(), keys.end(), [](const RouteKey& key) { return key.loaded.gated; });
    }
};

class Link;
using Links = std::list<std::unique_ptr<Link>>;

// What the gateway lends its links.
struct Shared {
    Loop& loop;
    Strangers& strangers;
    Crossing& crossing;
    host::enclave::CurveChamber& chamber;
    Resolver& resolver;
    Log& log;
};

struct Hub : Shared {
    // Asked to keep the results of live clients fresh, and once for those who are not admitted, so that their next try
    // may succeed. Null while no key is gated.
    host::net::TrustFeeder* feeder = nullptr;
    std::vector<Link*> awake;  // have something to do in this turn, but for strangers
    std::size_t sharers = 1;   // how many of them share it
    bool hurried = false;      // others wait for a place among all handshakes: those under way have less time
    std::vector<Bytes> bodies; // of one link, while it gathers
    std::vector<Voyage::Text> texts;
    std::vector<Bytes> pieces; // of what comes of them, in the ring and beside it
    // Sources in their handshake and over it.
    virtual void on_authenticated(Link& link) = 0;
    virtual void on_ended(Link& link) = 0;

    explicit Hub(const Shared& shared)
        : Shared(shared)
    {
    }
    Hub(const Hub&) = delete;
    Hub& operator=(const Hub&) = delete;

  protected:
    ~Hub() = default;
};

} // namespace caisson::services::gateway
