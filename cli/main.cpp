#include "cli/help.hpp"
#include "cli/parser.hpp"
#include "cli/verb.hpp"

#include <cstdlib>
#include <exception>
#include <unistd.h>

namespace caisson::cli {

void add_verbs(Command& root, const Globals& globals); // made by CMake from the verbs that exist

namespace {

std::filesystem::path default_home()
{
    if (const char* home = std::getenv("CAISSON_HOME"); home != nullptr && *home != '\0') {
        return home;
    }
    if (::geteuid() == 0) {
        return "/var/lib/caisson";
    }
    if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
        return std::filesystem::path(home) / ".local/share/caisson";
    }
    return "caisson-home";
}

int run(const std::vector<std::string>& arguments)
{
    Globals globals{default_home(), false};
    bool version = false;
    Command root("caisson", "caisson keeps the keys of your services in a sealed chamber, and lets only machines in "
                            "good state use them.");
    root.option("--home", "DIR", globals.home,
                "where keys and state live (default: $CAISSON_HOME, else /var/lib/caisson for root, "
                "~/.local/share/caisson for others)");
    root.flag("--json", globals.json, "print facts as JSON, for programs");
    root.flag("--version", version, "print the version and exit");
    root.example("caisson key new alice", "makes a CURVE key that never leaves its chamber");
    root.example("caisson run --key alice -- python3 client.py", "runs a ZeroMQ program with that key, unmodified");
    root.example("caisson doctor", "says what this machine can prove and what it cannot");
    root.action([] { return exit_usage; });
    add_verbs(root, globals);

    const auto parsed = parse(root, arguments);
    if (parsed.wish == Parsed::Wish::help) {
        return print_text(help_text(*parsed.chosen, parsed.path, root));
    }
    if (parsed.wish == Parsed::Wish::run && parsed.chosen != &root) {
        return parsed.chosen->run()();
    }
    if (parsed.wish == Parsed::Wish::run && version) {
        return print_text("caisson " CAISSON_VERSION "\n");
    }
    const auto error = parsed.error.empty() ? std::string("a command is missing") : parsed.error;
    report({Kind::malformed, "usage: " + error + "; see \"" + parsed.path + " --help\""});
    return exit_usage;
}

} // namespace
} // namespace caisson::cli

int main(int argc, char** argv)
{
    try {
        return caisson::cli::run({argv + (argc > 0 ? 1 : 0), argv + argc});
    } catch (const std::exception& error) {
        caisson::cli::report({caisson::Kind::unavailable, std::string("internal error: ") + error.what()});
        return caisson::cli::exit_software;
    }
}
