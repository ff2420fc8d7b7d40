// The gateway's configuration, TOML. A [[listener]] takes CURVE from outside and speaks plain ZeroMQ to a program
// behind it; a [[connector]] takes plain ZeroMQ from programs here and speaks CURVE outwards.
// docs/man/caisson-gateway.1 says every key.
#pragma once

#include "host/fault.hpp"
#include "protocol/attestation_result.hpp"
#include "protocol/zmtp.hpp"
#include "services/gateway/endpoint.hpp"

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

namespace caisson::services::gateway {

struct KeyBefore {
    bool operator()(const protocol::CurveKey& a, const protocol::CurveKey& b) const noexcept
    {
        return a.bytes < b.bytes;
    }
};
using KeySet = std::set<protocol::CurveKey, KeyBefore>;

enum class Side : std::uint8_t { server, client }; // whose part of CURVE the gateway plays

// One pair of sides: what comes in at `listen` goes out at `connect`.
struct RouteConfig {
    std::string name;
    Side side = Side::server;
    Endpoint listen;  // server: from outside; client: the plain side
    Endpoint connect; // server: the plain side ("backend"); client: outwards
    protocol::zmtp::Mechanism mechanism = protocol::zmtp::Mechanism::curve; // towards outside
    std::vector<std::string> keys;                // of `caisson key`; the first is the one a client uses
    std::optional<protocol::CurveKey> server_key; // client
    std::string username;                         // client, PLAIN
    std::string password_file;

    std::string access_list; // signed; the chamber enforces it for the keys that are pinned to its signer

    // Who may come (server). Host-enforced: they narrow what the chamber admits.
    std::optional<KeySet> allow;
    std::string allow_file;
    std::optional<Endpoint> zap;
    std::string zap_domain = "global";

    std::optional<::uid_t>
        plain_uid; // who the program on the plain side must be; the gateway's own user, when left out
    bool plain_leaves_machine = false;

    std::uint64_t message_bytes_max = std::uint64_t{128} << 20U; // of one frame
    std::chrono::milliseconds heartbeat{0};                      // 0: none of our own
    std::chrono::milliseconds heartbeat_timeout{0};
    std::chrono::milliseconds reconnect{100};
    std::chrono::milliseconds reconnect_max{5000};

    [[nodiscard]] const Endpoint& plain() const noexcept { return side == Side::server ? connect : listen; }
    [[nodiscard]] const Endpoint& outer() const noexcept { return side == Side::server ? listen : connect; }
    [[nodiscard]] bool is_protected() const noexcept { return mechanism == protocol::zmtp::Mechanism::curve; }
};

struct Config {
    std::vector<RouteConfig> routes;
    std::size_t connections_max = 10000;
    std::size_t handshakes_max = 1024;
    std::size_t handshakes_per_source = 64;
    std::size_t waiting_per_source = 10000; // beyond those under way
    std::optional<Endpoint> metrics;        // where Prometheus asks
};

// `where` names the file in errors, which say the line and what was expected. Fails: malformed.
[[nodiscard]] host::Outcome<Config> parse_config(const std::string& text, const std::string& where);

// A file of public keys, one Z85 a line; what follows a '#' is a comment. Fails: malformed.
[[nodiscard]] host::Outcome<KeySet> parse_key_list(const std::string& text, const std::string& where);

} // namespace caisson::services::gateway
