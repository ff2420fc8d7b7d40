// The gateway: terminates CURVE in the chamber in front of plain ZeroMQ programs. One thread relays; another asks the
// node's agent about peers that the chamber does not admit yet.
#pragma once

#include "host/fault.hpp"

#include <filesystem>

namespace caisson::services::gateway {

struct GatewayOptions {
    std::filesystem::path home;
    std::filesystem::path config;
    bool json_log = false;
};

// Reads the configuration and says whether it is good, with the keys it names.
host::Done check_gateway(const GatewayOptions& options);

// Runs until SIGTERM or SIGINT; SIGHUP reads the allow lists anew. Writes what happens to standard error.
host::Done run_gateway(const GatewayOptions& options);

} // namespace caisson::services::gateway
