#include "services/run/run.hpp"

#include "cli/verb.hpp"

#include "core/text.hpp"

#include <cstdio>
#include <memory>

namespace caisson::cli {
namespace {

struct RunWish {
    services::run::RunOptions options;
    std::vector<std::string> peers;
};

int run_program(RunWish& wish, const Globals& globals)
{
    wish.options.home = globals.home;
    wish.options.warn = [](const host::Fault& fault) { report(fault); };
    wish.options.tell = [](const std::string& text) { std::fprintf(stderr, "caisson: %s\n", text.c_str()); };
    for (const auto& text : wish.peers) {
        protocol::CurveKey peer;
        const auto size = read_z85(peer.bytes, text);
        if (!size || *size != peer.bytes.size()) {
            return report(
                {Kind::malformed, "run: --peer " + text + ": not a public key; 40 letters of Z85 are expected"});
        }
        wish.options.peers.push_back(peer);
    }
    const auto status = services::run::run(wish.options);
    return status ? *status : report(status.error());
}

} // namespace

void add_run(Command& root, const Globals& globals)
{
    const auto wish = std::make_shared<RunWish>();
    auto& run = root.command("run", "runs a ZeroMQ program, unmodified, with keys it never holds");
    run.describe(
        "Put the handle of a key (\"caisson key show NAME --handle\") where the program's configuration has the "
        "secret key, and start it through this command. Works for programs that load libsodium as a library "
        "(libzmq, pyzmq, czmq, zeromq.js); for others see \"caisson gateway\".\n\nEnds with the program and its "
        "exit status; signals are handed on to it.");
    run.option("-k,--key", "NAME", wish->options.keys, "a key the program may use; may be repeated (default: all)");
    run.option(
        "--peer", "Z85", wish->peers,
        "the public key of a peer that a gated server key may admit while its machine is trusted; may be repeated");
    run.option("--access-list", "FILE", wish->options.access_list,
               "the signed list of whom keys made with --list-key talk with; a new one counts within a second");
    run.flag("--allow-raw-keys", wish->options.allow_raw_keys,
             "let the program also use secret keys that are no handles; they stay in its memory (default: refused)");
    run.rest("PROGRAM ARGS...", wish->options.program, "the program, as you would start it");
    run.example("caisson run -- python3 subscriber.py", "the program may use every key of this home");
    run.example("caisson run --key alice -- ./service -v", "only the key alice");
    run.action([wish, &globals] { return run_program(*wish, globals); });
}

} // namespace caisson::cli
