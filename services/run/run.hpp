// `caisson run`: keeps the curve chamber of a home, and a program beside it that uses its keys through the shim.
// Spec: docs/spec/shim.md.
#pragma once

#include "host/fault.hpp"
#include "protocol/attestation_result.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace caisson::services::run {

struct RunOptions {
    std::filesystem::path home;
    std::vector<std::string> keys;         // names; empty: all keys of the home
    std::vector<protocol::CurveKey> peers; // whose state the agent is asked for: whom a gated server key may admit
    std::filesystem::path access_list;     // signed; for the keys that are pinned to its signer
    bool allow_raw_keys = false;           // secrets that are no handles work too, from the program's own memory
    std::vector<std::string> program;
    std::function<void(const host::Fault&)> warn; // what people should know while the program runs
    std::function<void(const std::string&)> tell; // what guards the keys, once
};

// Returns the exit status for our caller: the program's, or 128 + the signal that ended it; 127 and 126 as a shell.
// Requires: !options.program.empty().
// Fails: missing (a key, an image, the shim), unauthentic (a key that does not open here), unavailable (the chamber).
[[nodiscard]] host::Outcome<int> run(const RunOptions& options);

} // namespace caisson::services::run
