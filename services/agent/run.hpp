// The whole of `caisson agent run`: until SIGTERM or SIGINT; SIGHUP measures now.
#pragma once

#include "host/fault.hpp"

#include <filesystem>

namespace caisson::services::agent {

// Fails: missing (not joined), conflict (an agent runs with this home), unavailable (the chamber ended or does not
// start), unauthentic (the sealed identity is not of this machine).
host::Done run(const std::filesystem::path& home);

} // namespace caisson::services::agent
