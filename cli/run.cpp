#include "services/run/run.hpp"

#include "cli/verb.hpp"

#include <memory>

namespace caisson::cli {

void add_run(Command& root, const Globals& globals)
{
    const auto options = std::make_shared<services::run::RunOptions>();
    auto& run = root.command("run", "runs a ZeroMQ program, unmodified, with keys it never holds");
    run.describe(
        "Put the handle of a key (\"caisson key show NAME --handle\") where the program's configuration has the "
        "secret key, and start it through this command. Works for programs that load libsodium as a library "
        "(libzmq, pyzmq, czmq, zeromq.js); for others see \"caisson gateway\".\n\nEnds with the program and its "
        "exit status; signals are handed on to it.");
    run.option("-k,--key", "NAME", options->keys, "a key the program may use; may be repeated (default: all)");
    run.rest("PROGRAM ARGS...", options->program, "the program, as you would start it");
    run.example("caisson run -- python3 subscriber.py", "the program may use every key of this home");
    run.example("caisson run --key alice -- ./service -v", "only the key alice");
    run.action([options, &globals] {
        options->home = globals.home;
        options->warn = [](const host::Fault& fault) { report(fault); };
        const auto status = services::run::run(*options);
        return status ? *status : report(status.error());
    });
}

} // namespace caisson::cli
