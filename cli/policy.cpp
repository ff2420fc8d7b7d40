#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "host/store/durable_file.hpp"
#include "services/attestation/policy_file.hpp"
#include "services/attestation/server_home.hpp"

#include <memory>

namespace caisson::cli {
namespace {

namespace attestation = services::attestation;
using host::Outcome;
using host::store::TrustStore;

constexpr std::size_t policy_bytes_max = std::size_t{256} << 10U;

Outcome<std::string> load_policy(const std::filesystem::path& file)
{
    const auto content = TRY(host::store::load_file(file, policy_bytes_max));
    std::string text(content.begin(), content.end());
    TRY(attestation::parse_policy(text, file.string()));
    return text;
}

Outcome<std::vector<std::string>> set_policy(const std::filesystem::path& home, const std::string& node, bool all,
                                             const std::filesystem::path& file)
{
    const auto text = TRY(load_policy(file));
    auto store = TRY(TrustStore::open(attestation::database_path(home)));
    std::vector<std::string> names;
    if (all) {
        for (const auto& record : TRY(store.nodes())) {
            names.push_back(record.name);
        }
    } else if (!TRY(store.knows_node(node))) {
        return host::fault(Kind::missing, "policy set: there is no node \"" + node +
                                              "\"; invite it first: caisson server invite " + node);
    } else {
        names.push_back(node);
    }
    for (const auto& name : names) {
        TRY(store.set_policy(name, text));
    }
    return names;
}

void add_check(Command& policy)
{
    const auto file = std::make_shared<std::filesystem::path>();
    auto& command = policy.command("check", "says whether a policy file is good");
    command.argument("FILE", *file, "the policy, TOML");
    command.action([file] {
        const auto text = load_policy(*file);
        return text ? print_text(file->string() + ": good\n") : report(text.error());
    });
}

void add_set(Command& policy, const Globals& globals)
{
    struct Wish {
        std::string node;
        std::filesystem::path file;
    };
    const auto wish = std::make_shared<Wish>();
    auto& command = policy.command("set", "gives a node its policy");
    command.describe("From its next measurement on the node is measured by it. A policy says what is measured:\n\n"
                     "  version = 1\n  interval_ms = 2000\n  hold_ms = 30000\n  proc = [\"cmdline\", \"modules\"]\n"
                     "  [[tree]]\n  path = \"/srv/app\"\n  [[file]]\n  path = \"/etc/app.conf\"");
    command.argument("NODE", wish->node, "the node, or \"all\" for every node");
    command.argument("FILE", wish->file, "the policy, TOML");
    command.example("caisson policy set alpha alpha.toml", "");
    command.action([wish, &globals] {
        const auto names = set_policy(globals.home, wish->node, wish->node == "all", wish->file);
        if (!names) {
            return report(names.error());
        }
        std::string text;
        for (const auto& name : *names) {
            text += name + ": policy set\n";
        }
        return print_text(text);
    });
}

Outcome<std::string> policy_text(const std::filesystem::path& home, const std::string& node)
{
    auto store = TRY(TrustStore::open(attestation::database_path(home)));
    const auto record = TRY(store.policy(node));
    if (!record) {
        return host::fault(Kind::missing, "policy show: the node \"" + node +
                                              "\" has no policy; set one with caisson "
                                              "policy set " +
                                              node + " FILE");
    }
    return record->text;
}

void add_show(Command& policy, const Globals& globals)
{
    const auto node = std::make_shared<std::string>();
    auto& command = policy.command("show", "prints a node's policy");
    command.argument("NODE", *node, "the node");
    command.action([node, &globals] {
        const auto text = policy_text(globals.home, *node);
        return text ? print_text(*text) : report(text.error());
    });
}

struct Listed {
    std::string node;
    bool has_policy = false;
    bool has_references = false;
};

Outcome<std::vector<Listed>> list(const std::filesystem::path& home)
{
    auto store = TRY(TrustStore::open(attestation::database_path(home)));
    std::vector<Listed> listed;
    for (const auto& node : TRY(store.nodes())) {
        const auto record = TRY(store.policy(node.name));
        listed.push_back({node.name, record.has_value(), record && !record->references.empty()});
    }
    return listed;
}

int print_list(const std::vector<Listed>& listed, const Globals& globals)
{
    if (globals.json) {
        JsonWriter json;
        json.begin_array();
        for (const auto& entry : listed) {
            json.begin_object().name("node").text(entry.node).name("policy").boolean(entry.has_policy);
            json.name("references").boolean(entry.has_references).end_object();
        }
        return print_json(json.end_array().str());
    }
    std::string text;
    for (const auto& entry : listed) {
        text += entry.node + ": " + (entry.has_policy ? "policy" : "no policy") + ", " +
                (entry.has_references ? "reference values" : "no reference values") + "\n";
    }
    return print_text(text);
}

} // namespace

void add_policy(Command& root, const Globals& globals)
{
    auto& policy = root.command("policy", "what is measured on each node");
    add_check(policy);
    add_set(policy, globals);
    add_show(policy, globals);
    policy.command("list", "says which nodes have policies and reference values").action([&globals] {
        const auto listed = list(globals.home);
        return listed ? print_list(*listed, globals) : report(listed.error());
    });
}

} // namespace caisson::cli
