#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "host/enclave/platform_text.hpp"
#include "host/net/node_link_client.hpp"
#include "host/text.hpp"
#include "services/agent/home.hpp"
#include "services/attestation/server_home.hpp"
#include "services/attestation/service.hpp"

#include <chrono>
#include <memory>
#include <thread>

#include <unistd.h>

namespace caisson::cli {
namespace {

namespace attestation = services::attestation;
namespace node_link = protocol::node_link;
using host::hex;
using host::Outcome;
using host::unix_ms;
using host::z85;
using host::enclave::platform_name;
using host::enclave::root_meaning;
using host::store::NodeRecord;
using host::store::TrustStore;
using host::store::VerdictRecord;

constexpr std::chrono::seconds agent_wait{5};

struct NodeStatus {
    NodeRecord node;
    std::optional<VerdictRecord> verdict;
    attestation::NodeState state{};
    std::optional<host::store::RootRecord> root; // none: no TPM has been proved
    std::optional<host::store::CpuRecord> cpu;
};

Outcome<std::vector<NodeStatus>> gather(const std::filesystem::path& home, const std::string& only, std::uint64_t now)
{
    auto store = TRY(TrustStore::open(attestation::database_path(home)));
    std::vector<NodeStatus> all;
    for (auto& node : TRY(store.nodes())) {
        if (!only.empty() && node.name != only) {
            continue;
        }
        auto verdict = TRY(store.verdict(node.name));
        const auto state = attestation::state_of(verdict, now);
        auto root = TRY(store.root(node.name));
        auto cpu = TRY(store.cpu(node.name));
        all.push_back({std::move(node), std::move(verdict), state, std::move(root), std::move(cpu)});
    }
    if (all.empty() && !only.empty()) {
        return host::fault(Kind::missing, "status: there is no node \"" + only + "\"");
    }
    return all;
}

void add_verdict(JsonWriter& json, const VerdictRecord& verdict)
{
    json.name("since_ms").number(verdict.since_ms).name("checked_ms").number(verdict.checked_ms);
    json.name("due_ms").number(verdict.due_ms).name("policy").text(hex(verdict.policy));
    json.name("platform").text(platform_name(verdict.platform)).name("root").text(root_meaning(verdict.root));
    json.name("debug")
        .boolean(verdict.debug)
        .name("witness_mrenclave")
        .text(hex(verdict.witness_mrenclave))
        .name("reasons")
        .begin_array();
    for (const auto& reason : verdict.reasons) {
        json.begin_object().name("path").text(reason.path).name("what").text(reason.what);
        json.name("expected").text(reason.expected).name("found").text(reason.found).end_object();
    }
    json.end_array().name("curve_keys").begin_array();
    for (const auto& claim : verdict.keys) {
        json.begin_object().name("public_key").text(z85(claim.key.bytes));
        json.name("mrenclave").text(hex(claim.mrenclave)).name("mrsigner").text(hex(claim.mrsigner));
        json.name("svn").number(claim.svn).name("debug").boolean(claim.debug);
        json.name("platform").text(platform_name(claim.platform)).name("root").text(root_meaning(claim.root));
        json.end_object();
    }
    json.end_array();
}

// What the node's TPM attested last.
void add_root(JsonWriter& json, const host::store::RootRecord& root)
{
    json.name("tpm").begin_object().name("certificate").text(root.tpm).name("endorsed").boolean(root.endorsed);
    json.name("simulated").boolean(root.simulated).name("checked_ms").number(root.checked_ms);
    json.name("pcrs").begin_object();
    std::size_t at = 0;
    for (unsigned pcr = 0; pcr < 24 && at + sizeof(Digest) <= root.pcrs.size(); ++pcr) {
        if ((root.pcr_mask >> pcr & 1U) != 0) {
            json.name(std::to_string(pcr)).text(hex(Bytes(root.pcrs).subspan(at, sizeof(Digest))));
            at += sizeof(Digest);
        }
    }
    json.end_object().name("images").begin_array();
    for (at = 0; at + sizeof(Digest) <= root.images.size(); at += sizeof(Digest)) {
        json.text(hex(Bytes(root.images).subspan(at, sizeof(Digest))));
    }
    json.end_array().end_object();
}

std::string as_json(const std::vector<NodeStatus>& all)
{
    JsonWriter json;
    json.begin_object().name("nodes").begin_array();
    for (const auto& status : all) {
        json.begin_object().name("name").text(status.node.name);
        json.name("state").text(attestation::state_name(status.state));
        json.name("witness_key").text(hex(status.node.witness_key.bytes));
        json.name("enrolled_ms").number(status.node.enrolled_ms);
        if (status.root) {
            add_root(json, *status.root);
        }
        if (status.cpu) {
            json.name("cpu").begin_object().name("quote").text(status.cpu->text);
            json.name("tcb_status").text(status.cpu->status).name("simulated").boolean(status.cpu->simulated);
            json.name("checked_ms").number(status.cpu->checked_ms).end_object();
        }
        if (status.verdict) {
            add_verdict(json, *status.verdict);
        } else {
            json.name("reasons").begin_array().end_array();
        }
        json.end_object();
    }
    return json.end_array().end_object().str();
}

std::string age(std::uint64_t then_ms, std::uint64_t now_ms)
{
    const auto seconds = now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
    if (seconds < 120) {
        return std::to_string(seconds) + " s";
    }
    return seconds < 7200 ? std::to_string(seconds / 60) + " min" : std::to_string(seconds / 3600) + " h";
}

std::string cut(const std::string& text, std::size_t width)
{
    return text.size() <= width ? text : ".." + text.substr(text.size() - width + 2);
}

// 80 columns; colours on a terminal alone.
std::string as_text(const std::vector<NodeStatus>& all, std::uint64_t now, bool colours)
{
    if (all.empty()) {
        return "no node has joined yet: caisson server invite NODE\n";
    }
    std::string text;
    for (const auto& status : all) {
        const bool good = status.state == attestation::NodeState::trusted;
        const std::string state = attestation::state_name(status.state);
        text += status.node.name + std::string(status.node.name.size() < 12 ? 13 - status.node.name.size() : 1, ' ');
        text += colours ? (good ? "\033[32m" : "\033[31m") + state + "\033[0m" : state;
        if (!status.verdict) {
            text += "  never measured\n";
            continue;
        }
        text += " for " + age(status.verdict->since_ms, now) + ", checked " + age(status.verdict->checked_ms, now) +
                " ago\n             " + platform_name(status.verdict->platform) + ", " +
                root_meaning(status.verdict->root) + (status.verdict->debug ? ", DEBUG" : "") + ", " +
                std::to_string(status.verdict->keys.size()) + " CURVE keys\n";
        if (status.root) {
            text += "             TPM " +
                    cut(status.root->tpm.empty() ? "without a certificate" : status.root->tpm, 60) +
                    (status.root->endorsed ? "\n" : ": NOT VOUCHED FOR\n");
        }
        if (status.cpu) {
            text += "             " + cut(status.cpu->text, 66) + "\n";
        }
        for (const auto& reason : status.verdict->reasons) {
            text += "             " + cut(reason.path, 40) + " " + reason.what + "\n";
            if (!reason.expected.empty() || !reason.found.empty()) {
                text += "               expected " + reason.expected.substr(0, 48) + "\n               found    " +
                        reason.found.substr(0, 48) + "\n";
            }
        }
    }
    return text;
}

std::vector<std::string> lines(std::string_view text)
{
    std::vector<std::string> all;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        all.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return all;
}

const char* tier_text(const node_link::StatusAnswer& status)
{
    switch (status.tier) {
    case protocol::TrustTier::none: return "unknown";
    case protocol::TrustTier::affirming: return "trusted";
    case protocol::TrustTier::warning: return "warning";
    case protocol::TrustTier::contraindicated: return "contraindicated";
    }
    return "unknown";
}

std::string node_json(const node_link::StatusAnswer& status)
{
    JsonWriter json;
    json.begin_object().name("node").text(std::string(status.node)).name("server").text(std::string(status.server));
    json.name("connected").boolean(status.connected).name("state").text(tier_text(status));
    json.name("verdict_age_ms").number(status.verdict_age_ms).name("rounds").number(status.rounds);
    json.name("curve_keys").number(status.keys).name("reasons").begin_array();
    for (const auto& reason : lines(status.text)) {
        json.text(reason);
    }
    json.end_array().name("missing_protections").begin_array();
    for (const auto& protection : lines(status.missing)) {
        json.text(protection);
    }
    return json.end_array().end_object().str() + "\n";
}

std::string node_text(const node_link::StatusAnswer& status)
{
    std::string text = "node         " + std::string(status.node) + "\nserver       " + std::string(status.server) +
                       (status.connected ? ", connected\n" : ", NOT reached\n") + "last verdict " + tier_text(status);
    if (status.tier != protocol::TrustTier::none) {
        text += ", " + std::to_string(status.verdict_age_ms / 1000) + " s ago";
    }
    text +=
        "\nmeasured     " + std::to_string(status.rounds) + " times, " + std::to_string(status.keys) + " CURVE keys\n";
    for (const auto& reason : lines(status.text)) {
        text += "reason       " + reason + "\n";
    }
    for (const auto& protection : lines(status.missing)) {
        text += "without      " + protection + "\n";
    }
    return text;
}

struct Wish {
    std::string node;
    bool watch = false;
};

// The node's own view, from its agent.
Outcome<std::string> ask_agent(const Globals& globals)
{
    auto agent = host::net::NodeLinkClient::connect(services::agent::agent_folder(globals.home) / "agent.sock");
    if (!agent) {
        return host::fault(agent.error().kind, "status: " + agent.error().what + "; start it: caisson --home " +
                                                   globals.home.string() + " agent run");
    }
    const auto answer = TRY(agent->ask(node_link::Status{}, agent_wait));
    const auto* const status = std::get_if<node_link::StatusAnswer>(&answer);
    if (status == nullptr) {
        return host::fault(Kind::malformed, "status: the agent answered something else");
    }
    return globals.json ? node_json(*status) : node_text(*status);
}

Outcome<std::string> ask_server(const Wish& wish, const Globals& globals, bool colours)
{
    const auto now = unix_ms();
    const auto all = TRY(gather(globals.home, wish.node, now));
    return globals.json ? as_json(all) + "\n" : as_text(all, now, colours);
}

int show(const Wish& wish, const Globals& globals)
{
    const bool terminal = ::isatty(STDOUT_FILENO) != 0;
    std::error_code error;
    const bool node = std::filesystem::exists(services::agent::agent_folder(globals.home), error) &&
                      !std::filesystem::exists(attestation::database_path(globals.home), error);
    while (true) {
        const auto text = node ? ask_agent(globals) : ask_server(wish, globals, terminal);
        if (!text) {
            return report(text.error());
        }
        const int printed = print_text((wish.watch && terminal ? "\033[H\033[2J" : "") + *text);
        if (!wish.watch || printed != exit_ok) {
            return printed;
        }
        std::this_thread::sleep_for(std::chrono::seconds(1));
    }
}

} // namespace

void add_status(Command& root, const Globals& globals)
{
    const auto wish = std::make_shared<Wish>();
    auto& command = root.command("status", "how each node stands, and why");
    command.describe("Run it where the attestation server's home is; in a node's home it asks the node's agent. A node "
                     "is unknown, trusted, contraindicated, or "
                     "overdue: what was never checked, or not lately, is never called trusted.");
    command.argument("NODE", wish->node, "only this node", Need::optional);
    command.flag("--watch", wish->watch, "again every second, until Ctrl-C");
    command.example("caisson --json status", "for programs");
    command.action([wish, &globals] { return show(*wish, globals); });
}

} // namespace caisson::cli
