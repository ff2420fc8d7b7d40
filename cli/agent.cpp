#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "host/text.hpp"
#include "services/agent/join.hpp"
#include "services/agent/run.hpp"

#include <memory>

namespace caisson::cli {
namespace {

using host::hex;
using host::enclave::guard_text;
using host::enclave::platform_name;
using host::enclave::root_name;

struct JoinWish {
    std::filesystem::path file;
    std::string name;
    std::string platform = "process";
};

int join(const JoinWish& wish, const Globals& globals)
{
    const auto platform = services::agent::platform_of(wish.platform);
    if (!platform) {
        return report({Kind::malformed, "agent join: --platform is \"process\" or \"sgx\""});
    }
    const auto joined = services::agent::join_with_file(globals.home, wish.file, wish.name, *platform);
    if (!joined) {
        return report(joined.error());
    }
    const auto witness_key = hex(joined->witness_key.bytes);
    if (globals.json) {
        JsonWriter json;
        json.begin_object().name("name").text(joined->name).name("server").text(joined->server);
        json.name("witness_key").text(witness_key).name("platform").text(platform_name(joined->guard.platform));
        json.name("root").text(root_name(joined->guard.root)).name("debug").boolean(joined->guard.debug).end_object();
        return print_json(json.str());
    }
    return print_text("joined       " + joined->server + "\nas           " + joined->name + "\nwitness key  " +
                      witness_key + "\nwitness on   " + guard_text(joined->guard) + "\n\nNext: caisson agent run\n");
}

void add_join(Command& agent, const Globals& globals)
{
    const auto wish = std::make_shared<JoinWish>();
    auto& command = agent.command("join", "joins an attestation server");
    command.describe("Makes this node's identity inside the witness chamber and enrols it with the one-time token in "
                     "the file. Works once for each file, and once for each home.");
    command.argument("FILE", wish->file, "what \"caisson server invite\" wrote for this node");
    command.option("--name", "NAME", wish->name, "how people will call it (default: as invited, else the host's name)");
    command.option(
        "--platform", "NAME", wish->platform,
        "what guards the witness: process (default), or sgx with a quote by Intel's AESM; the node stays there");
    command.example("caisson agent join alpha.join", "enrols this node");
    command.action([wish, &globals] { return join(*wish, globals); });
}

void add_agent_run(Command& agent, const Globals& globals)
{
    auto& command = agent.command("run", "measures this node for its server, until it is stopped");
    command.describe("Stays in the foreground and writes what happens to standard error. SIGTERM and SIGINT stop it, "
                     "SIGHUP measures now. When the server is away it tries again by itself.");
    command.action([&globals] {
        const auto done = services::agent::run(globals.home);
        return done ? int{exit_ok} : report(done.error());
    });
}

} // namespace

void add_agent(Command& root, const Globals& globals)
{
    auto& agent = root.command("agent", "makes this machine a node: joins a server, is measured for it");
    agent.describe("The agent reads files for the witness chamber, which decides what is read, hashes it inside and "
                   "signs what it found. Programs on this node get their time and trust through it.");
    add_join(agent, globals);
    add_agent_run(agent, globals);
}

} // namespace caisson::cli
