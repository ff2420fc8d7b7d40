#include "cli/verb.hpp"
#include "host/store/durable_file.hpp"
#include "services/attestation/references.hpp"
#include "services/attestation/server_home.hpp"

#include <memory>

namespace caisson::cli {
namespace {

namespace attestation = services::attestation;
using host::Outcome;
using host::store::TrustStore;

constexpr std::size_t file_bytes_max = std::size_t{8} << 20U;

Outcome<std::string> load_text(const std::filesystem::path& file)
{
    const auto content = TRY(host::store::load_file(file, file_bytes_max));
    return std::string(content.begin(), content.end());
}

struct CaptureWish {
    std::filesystem::path policy;
    std::filesystem::path root = "/";
    std::filesystem::path out;
};

Outcome<std::string> capture(const CaptureWish& wish)
{
    const auto text = TRY(load_text(wish.policy));
    const auto policy = TRY(attestation::parse_policy(text, wish.policy.string()));
    return attestation::write_references(TRY(attestation::capture_references(policy, wish.root)));
}

void add_capture(Command& baseline)
{
    const auto wish = std::make_shared<CaptureWish>();
    auto& command = baseline.command("capture", "measures this machine into reference values");
    command.describe("Run it where you trust what is there: on a fresh installation, or with --root on a mounted "
                     "image. What it writes is what nodes will be held to.");
    command.option("--policy", "FILE", wish->policy, "what to measure", Need::required);
    command.option("--root", "DIR", wish->root, "stands before every path that is read (default: /)");
    command.option("--out", "FILE", wish->out, "write it here (default: print it)");
    command.example("caisson baseline capture --policy alpha.toml --out alpha.json", "");
    command.action([wish] {
        const auto text = capture(*wish);
        if (!text) {
            return report(text.error());
        }
        if (wish->out.empty()) {
            return print_text(*text);
        }
        const auto stored = host::store::store_file(wish->out, bytes_of(*text), 0644, host::store::Existing::replace);
        return stored ? int{exit_ok} : report(stored.error());
    });
}

Outcome<std::size_t> set_baseline(const std::filesystem::path& home, const std::string& node,
                                  const std::filesystem::path& file)
{
    const auto text = TRY(load_text(file));
    const auto references = TRY(attestation::parse_references(text, file.string()));
    auto store = TRY(TrustStore::open(attestation::database_path(home)));
    if (!TRY(store.knows_node(node))) {
        return host::fault(Kind::missing, "baseline set: there is no node \"" + node +
                                              "\"; invite it first: caisson server invite " + node);
    }
    TRY(store.set_references(node, text));
    return references.size();
}

void add_set(Command& baseline, const Globals& globals)
{
    struct Wish {
        std::string node;
        std::filesystem::path file;
    };
    const auto wish = std::make_shared<Wish>();
    auto& command = baseline.command("set", "holds a node to reference values");
    command.argument("NODE", wish->node, "the node");
    command.argument("FILE", wish->file, "what \"caisson baseline capture\" wrote");
    command.action([wish, &globals] {
        const auto count = set_baseline(globals.home, wish->node, wish->file);
        return count ? print_text(wish->node + ": held to " + std::to_string(*count) + " reference values\n")
                     : report(count.error());
    });
}

Outcome<std::string> shown(const std::filesystem::path& home, const std::string& node)
{
    auto store = TRY(TrustStore::open(attestation::database_path(home)));
    const auto record = TRY(store.policy(node));
    if (!record || record->references.empty()) {
        return host::fault(Kind::missing, "baseline show: the node \"" + node +
                                              "\" has no reference values; set some with caisson baseline set " + node +
                                              " FILE");
    }
    return record->references;
}

} // namespace

void add_baseline(Command& root, const Globals& globals)
{
    auto& baseline = root.command("baseline", "reference values: what nodes must look like");
    add_capture(baseline);
    add_set(baseline, globals);
    const auto node = std::make_shared<std::string>();
    auto& show = baseline.command("show", "prints a node's reference values, as JSON");
    show.argument("NODE", *node, "the node");
    show.action([node, &globals] {
        const auto text = shown(globals.home, *node);
        return text ? print_text(*text) : report(text.error());
    });
}

} // namespace caisson::cli
