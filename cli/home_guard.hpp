// What guards the chambers of a home, for the screens that show it.
#pragma once

#include "cli/verb.hpp"
#include "host/enclave/platform_text.hpp"

#include <optional>

namespace caisson::cli {

// Nothing when it cannot be said, which is told on stderr.
[[nodiscard]] std::optional<host::enclave::Guard> guard_of_home(const Globals& globals);

} // namespace caisson::cli
