// The gateway's configuration, TOML:
//
//   [[listener]]
//   name = "ticks"                      # for the log
//   listen = "tcp://127.0.0.1:5555"     # or ipc:///path; port 0: any free one
//   backend = "ipc:///run/app.ipc"      # the plain side; tcp only to loopback
//   key = "gateway"                     # a key of `caisson key`
//   allow = ["<Z85>", ...]              # only these clients; all that the gate admits, when left out
//   backend_uid = 1000                  # who the ipc back end must be; the gateway's own user, when left out
#pragma once

#include "host/fault.hpp"
#include "protocol/attestation_result.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

namespace caisson::services::gateway {

struct Endpoint {
    enum class Transport : std::uint8_t { tcp, ipc };
    Transport transport = Transport::tcp;
    std::string host; // tcp
    std::string port; // tcp
    std::string path; // ipc
    [[nodiscard]] std::string text() const;
};

struct ListenerConfig {
    std::string name;
    Endpoint listen;
    Endpoint backend;
    std::string key;
    std::optional<std::set<protocol::CurveKey>> allow;
    std::optional<::uid_t> backend_uid;
};

struct Config {
    std::vector<ListenerConfig> listeners;
};

// `where` names the file in errors, which say the line and what was expected. Fails: malformed.
[[nodiscard]] host::Outcome<Config> parse_config(const std::string& text, const std::string& where);

// "tcp://HOST:PORT" or "ipc:///PATH". Fails: malformed.
[[nodiscard]] host::Outcome<Endpoint> parse_endpoint(const std::string& text);

} // namespace caisson::services::gateway
