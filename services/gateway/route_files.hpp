// What a listener or connector reads from files: the configuration itself, lists of keys, a password.
#pragma once

#include "services/gateway/config.hpp"

#include <filesystem>

namespace caisson::services::gateway {

[[nodiscard]] host::Outcome<Config> load_config(const std::filesystem::path& path);

// `allow` and `allow_file` together; nothing when there is neither.
[[nodiscard]] host::Outcome<std::optional<KeySet>> load_allowed(const RouteConfig& config);

// Empty when there is none.
[[nodiscard]] host::Outcome<std::string> load_password(const RouteConfig& config);

// When and what a file was written last; empty when it cannot be seen.
[[nodiscard]] std::string mark_of(const std::string& path);

} // namespace caisson::services::gateway
