// The attestation server that this node has joined, as HOME/agent/join.json names it.
#pragma once

#include "host/store/key_store.hpp"

#include <optional>

namespace caisson::host::store {

// None when the node has joined no server. Fails: malformed (what stands there is not what the agent writes).
[[nodiscard]] Outcome<std::optional<VerifierKey>> load_joined_server(const std::filesystem::path& home);

} // namespace caisson::host::store
