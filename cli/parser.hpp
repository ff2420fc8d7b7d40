// Reads a command line by the description of the commands. The one place that knows CLI11.
#pragma once

#include "cli/command.hpp"

#include <string>
#include <vector>

namespace caisson::cli {

// What the command line asks for. `chosen` is the deepest command named; `path` its words ("caisson key new").
struct Parsed {
    enum class Wish : std::uint8_t { run, help, wrong } wish = Wish::wrong;
    const Command* chosen = nullptr;
    std::string path;
    std::string error; // when wrong: what is wrong, for people
};

// `arguments` without the program's name. Fills the targets of the options it meets.
[[nodiscard]] Parsed parse(const Command& root, const std::vector<std::string>& arguments);

} // namespace caisson::cli
