// What every verb of `caisson` shares: the global options, and how it speaks to people and programs.
//
// A verb is one file, cli/NAME.cpp, that defines `void caisson::cli::add_NAME(Command&, const Globals&)`; CMake finds
// it and registers it. The verb's work lives elsewhere (services/, host/); the file declares options and prints.
#pragma once

#include "cli/command.hpp"
#include "host/fault.hpp"

#include <filesystem>
#include <string>
#include <string_view>

namespace caisson::cli {

// Filled in while the command line is read: valid inside an action, not while verbs are being added.
struct Globals {
    std::filesystem::path home;
    bool json = false;
};

// sysexits(3): what a script may rely on.
enum ExitCode : int {
    exit_ok = 0,
    exit_usage = 64,
    exit_data = 65,
    exit_no_input = 66,
    exit_unavailable = 69,
    exit_software = 70,
    exit_cannot_create = 73,
    exit_io = 74,
    exit_try_later = 75,
    exit_no_permission = 77,
    exit_config = 78,
};

// The exit code that says what the caller can do about a failure of this kind.
[[nodiscard]] int exit_code(Kind kind) noexcept;

// Prints "caisson: WHAT" as one line on stderr and returns the exit code of its kind. `what` reads
// "<what failed>: <cause>; <remedy>". Letters that could fool a terminal are shown as '?'.
int report(const host::Fault& fault);

// Prints one JSON text and a line end on stdout. Returns exit_ok, or exit_io when stdout takes no more.
int print_json(std::string_view text);

// Prints text for people on stdout. Returns exit_ok, or exit_io when stdout takes no more.
int print_text(std::string_view text);

} // namespace caisson::cli
