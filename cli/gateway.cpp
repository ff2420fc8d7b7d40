#include "services/gateway/gateway.hpp"
#include "cli/verb.hpp"

#include <memory>

namespace caisson::cli {

void add_gateway(Command& root, const Globals& globals)
{
    struct Wish {
        std::filesystem::path config;
        bool check = false;
    };
    const auto wish = std::make_shared<Wish>();
    auto& command = root.command("gateway", "CURVE in the chamber, between plain ZeroMQ programs and outside");
    command.describe(
        "A listener takes clients that speak CURVE, in front of a plain program; a connector takes plain programs and "
        "speaks CURVE outwards. No program sees a key. Stays in the foreground and writes what happens to standard "
        "error (--json: as JSON lines). SIGTERM and SIGINT stop it, SIGHUP reads the file anew. The file, of which "
        "caisson-gateway(1) says every key:\n\n"
        "  [[listener]]\n  name = \"ticks\"\n  listen = \"tcp://0.0.0.0:5555\"\n"
        "  backend = \"ipc:///run/app/ticks.ipc\"\n  key = \"gateway\"   # see caisson key\n\n"
        "  [[connector]]\n  name = \"orders\"\n  listen = \"ipc:///run/app/orders.ipc\"\n"
        "  connect = \"tcp://10.0.0.5:5555\"\n  key = \"gateway\"\n  server_key = \"<public key in Z85>\"");
    command.argument("CONFIG", wish->config, "the listeners, TOML");
    command.flag("--check", wish->check, "say whether the file is good, and do nothing else");
    command.example("caisson gateway gateway.toml", "");
    command.action([wish, &globals] {
        const services::gateway::GatewayOptions options{globals.home, wish->config, globals.json};
        if (wish->check) {
            const auto done = services::gateway::check_gateway(options);
            return done ? print_text(wish->config.string() + ": good\n") : report(done.error());
        }
        const auto done = services::gateway::run_gateway(options);
        return done ? int{exit_ok} : report(done.error());
    });
}

} // namespace caisson::cli
