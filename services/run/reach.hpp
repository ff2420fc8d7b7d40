// Can the shim reach a program at all? Said before it starts, because nothing would be said after.
#pragma once

#include <string>

namespace caisson::services::run {

// Why LD_PRELOAD has no effect on the program that `word` names (a path, or a name in $PATH): it is statically linked,
// or setuid. Empty when nothing speaks against it; also for scripts, and for what cannot be looked at.
[[nodiscard]] std::string why_unreachable(const std::string& word);

} // namespace caisson::services::run
