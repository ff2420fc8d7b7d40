// `caisson server run`: the Verifier behind its TLS listener, until it is told to stop.
#pragma once

#include "host/fault.hpp"

#include <filesystem>
#include <string>

namespace caisson::services::attestation {

struct RunOptions {
    std::string listen; // empty: as `server init` was told
};

// Writes what happens to standard error. SIGTERM and SIGINT stop it.
host::Done run_server(const std::filesystem::path& home, const RunOptions& options);

} // namespace caisson::services::attestation
