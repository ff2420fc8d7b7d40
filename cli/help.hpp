// The help text of a command, wrapped to 80 columns.
#pragma once

#include "cli/command.hpp"

#include <string>

namespace caisson::cli {

inline constexpr std::size_t help_columns = 80;

// `path` is the whole command ("caisson key new"); `global` lists options that every command takes.
[[nodiscard]] std::string help_text(const Command& command, const std::string& path, const Command& global);

} // namespace caisson::cli
