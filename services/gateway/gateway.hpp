// The gateway: terminates CURVE in the chamber between plain ZeroMQ programs and the world outside. One thread relays;
// another asks the node's agent about peers that the chamber does not admit yet.
#pragma once

#include "host/fault.hpp"

#include <filesystem>

namespace caisson::services::gateway {

struct GatewayOptions {
    std::filesystem::path home;
    std::filesystem::path config;
    bool json_log = false;
};

// Reads the configuration and says whether it is good, with the keys and lists it names.
host::Done check_gateway(const GatewayOptions& options);

// Runs until SIGTERM or SIGINT; SIGHUP reads the file and what it names anew. Writes what happens to standard error.
host::Done run_gateway(const GatewayOptions& options);

// Where running gateways of a home answer `caisson top`: a socket each, PID.sock.
std::filesystem::path control_folder(const std::filesystem::path& home);

} // namespace caisson::services::gateway
