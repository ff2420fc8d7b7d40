#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "host/store/durable_file.hpp"
#include "host/text.hpp"
#include "services/attestation/run.hpp"
#include "services/attestation/server_home.hpp"

#include <chrono>
#include <memory>

namespace caisson::cli {
namespace {

namespace attestation = services::attestation;
using host::unix_ms;

void add_init(Command& server, const Globals& globals)
{
    const auto listen = std::make_shared<std::string>("127.0.0.1:7440");
    auto& command = server.command("init", "makes an attestation server in this home");
    command.describe("Makes the certificate authority, the keys and the database in HOME/server. Back that folder up: "
                     "nodes know the server by its keys.");
    command.option("--listen", "HOST:PORT", *listen, "where nodes will reach it (default: 127.0.0.1:7440)");
    command.example("caisson server init --listen attest.example.org:7440", "a server for other machines");
    command.action([listen, &globals] {
        const auto done = attestation::init_server(globals.home, *listen);
        if (!done) {
            return report(done.error());
        }
        return print_text("made         " + (globals.home / "server").string() + "\nlistens on   " + *listen +
                          "\n\nNext: caisson server invite NODE --out NODE.join, then caisson server run\n");
    });
}

host::Outcome<std::string> invitation(const std::filesystem::path& home, const std::string& node)
{
    const auto keys = TRY(attestation::load_server(home));
    auto store = TRY(host::store::TrustStore::open(attestation::database_path(home)));
    return attestation::invite(keys, store, node, unix_ms());
}

void add_invite(Command& server, const Globals& globals)
{
    struct Wish {
        std::string node;
        std::filesystem::path out;
    };
    const auto wish = std::make_shared<Wish>();
    auto& command = server.command("invite", "makes a one-time invitation for a node");
    command.describe("The file is for `caisson agent join` on that node. It holds a token that works once, for an "
                     "hour: hand it over as a secret. Inviting a name again replaces the node when it joins.");
    command.argument("NODE", wish->node, "the node's name: 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-'");
    command.option("--out", "FILE", wish->out, "write it here, readable by you alone (default: print it)");
    command.example("caisson server invite alpha --out alpha.join", "an invitation for the node alpha");
    command.action([wish, &globals] {
        const auto text = invitation(globals.home, wish->node);
        if (!text) {
            return report(text.error());
        }
        if (wish->out.empty()) {
            return print_text(*text);
        }
        const auto stored = host::store::store_file(wish->out, bytes_of(*text), 0600, host::store::Existing::replace);
        return stored ? int{exit_ok} : report(stored.error());
    });
}

void add_run(Command& server, const Globals& globals)
{
    const auto options = std::make_shared<attestation::RunOptions>();
    auto& command = server.command("run", "runs the attestation server, until it is stopped");
    command.describe("Stays in the foreground and writes what happens to standard error. SIGTERM and SIGINT stop it. "
                     "Policies and reference values may be changed while it runs.");
    command.option("--listen", "HOST:PORT", options->listen, "listen here instead (port 0: any free one)");
    command.action([options, &globals] {
        const auto done = attestation::run_server(globals.home, *options);
        return done ? int{exit_ok} : report(done.error());
    });
}

void add_trust_tpm(Command& server, const Globals& globals)
{
    const auto file = std::make_shared<std::filesystem::path>();
    auto& command = server.command("trust-tpm", "believes the TPMs that a maker has certified");
    command.describe("Without it no EK certificate is believed, and every TPM counts as simulated. Takes effect when "
                     "the server is started again, for nodes that enrol from then on.");
    command.argument("FILE", *file, "the maker's certificates in PEM, the root among them");
    command.action([file, &globals] {
        const auto done = attestation::trust_tpm_authority(globals.home, *file);
        return done ? int{exit_ok} : report(done.error());
    });
}

void add_trust_sgx(Command& server, const Globals& globals)
{
    struct Wish {
        std::filesystem::path folder;
        std::string root;
    };
    const auto wish = std::make_shared<Wish>();
    auto& command = server.command("trust-sgx", "takes the collateral by which SGX quotes are judged");
    command.describe("FOLDER holds what Intel's PCS gave for one family of platforms: tcb_info.json, "
                     "tcb_info_chain.pem, qe_identity.json, qe_identity_chain.pem, pck_crl.der and root_crl.der. It is "
                     "verified and kept in the place of what was known of that family. Takes effect when the server "
                     "is started again.");
    command.argument("FOLDER", wish->folder, "the six files");
    command.option("--root", "SHA256", wish->root,
                   "of the public key of another root than Intel's, for trials: what leads to it is called simulated");
    command.action([wish, &globals] {
        const auto family = attestation::trust_sgx(globals.home, wish->folder, wish->root, unix_ms());
        if (!family) {
            return report(family.error());
        }
        return print_text("collateral   FMSPC " + *family +
                          (wish->root.empty() ? "\n" : ", SIMULATED: another root\n"));
    });
}

} // namespace

void add_server(Command& root, const Globals& globals)
{
    auto& server = root.command("server", "the attestation server: enrols nodes and judges what they measured");
    add_init(server, globals);
    add_invite(server, globals);
    add_run(server, globals);
    add_trust_tpm(server, globals);
    add_trust_sgx(server, globals);
}

} // namespace caisson::cli
