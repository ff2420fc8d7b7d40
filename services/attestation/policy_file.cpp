#include "services/attestation/policy_file.hpp"

#include "core/text.hpp"
#include "host/store/toml_assert.hpp"

#include <toml++/toml.h>

#include <algorithm>

namespace caisson::services::attestation {
namespace {

using host::Done;
using host::fault;
using host::Outcome;

constexpr std::int64_t interval_ms_min = 100;
constexpr std::int64_t interval_ms_max = 86'400'000;
constexpr std::int64_t hold_ms_min = 500;
constexpr std::int64_t hold_ms_max = 3'600'000;
constexpr std::int64_t interval_ms_default = 2'000;
constexpr std::int64_t hold_ms_default = 30'000;

class Reader {
  public:
    Reader(const toml::table& table, const std::string& where)
        : table_(table)
        , where_(where)
    {
    }

    Outcome<Policy> read();

  private:
    [[nodiscard]] std::unexpected<host::Fault> wrong(const toml::node* node, const std::string& what) const
    {
        const auto line = node != nullptr ? ":" + std::to_string(node->source().begin.line) : std::string();
        return fault(Kind::malformed, where_ + line + ": " + what);
    }
    Done expect_only(const toml::table& table, std::initializer_list<std::string_view> keys) const;
    Outcome<std::int64_t> number(const char* key, std::int64_t least, std::int64_t most, std::int64_t otherwise) const;
    Done read_paths(const char* key, protocol::PolicyItemKind kind, Policy& policy) const;
    Done read_facts(Policy& policy) const;
    // The value of `key` among `names`; `otherwise` when it is not there.
    template <typename Value>
    Outcome<Value> choice(const char* key, std::initializer_list<std::pair<const char*, Value>> names,
                          Value otherwise) const;
    Done read_minimum(Policy& policy) const;
    Done read_tcb(Policy& policy) const;
    Done read_witnesses(Policy& policy) const;

    const toml::table& table_;
    const std::string& where_;
};

Done Reader::expect_only(const toml::table& table, std::initializer_list<std::string_view> keys) const
{
    for (const auto& [key, node] : table) {
        if (std::find(keys.begin(), keys.end(), key.str()) == keys.end()) {
            return wrong(&node, "\"" + std::string(key.str()) + "\" is not known here");
        }
    }
    return {};
}

Outcome<std::int64_t> Reader::number(const char* key, std::int64_t least, std::int64_t most,
                                     std::int64_t otherwise) const
{
    const auto* node = table_.get(key);
    if (node == nullptr) {
        return otherwise;
    }
    const auto value = node->value_exact<std::int64_t>();
    if (!value || *value < least || *value > most) {
        return wrong(node, std::string(key) + " must be a whole number from " + std::to_string(least) + " to " +
                               std::to_string(most));
    }
    return *value;
}

Done Reader::read_paths(const char* key, protocol::PolicyItemKind kind, Policy& policy) const
{
    const auto* node = table_.get(key);
    if (node == nullptr) {
        return {};
    }
    const auto* list = node->as_array();
    if (list == nullptr || !list->is_array_of_tables()) {
        return wrong(node, std::string("write [[") + key + "]] and path = \"/...\" below it");
    }
    for (const auto& element : *list) {
        const auto& entry = *element.as_table();
        TRY(expect_only(entry, {"path"}));
        const auto path = entry["path"].value_exact<std::string>();
        if (!path || !protocol::is_measurable_path(*path)) {
            return wrong(&element,
                         std::string("[[") + key +
                             "]] needs path = \"/...\": absolute, without \".\" and \"..\", at most 512 bytes");
        }
        policy.entries.push_back({kind, *path});
    }
    return {};
}

Done Reader::read_facts(Policy& policy) const
{
    const auto* node = table_.get("proc");
    if (node == nullptr) {
        return {};
    }
    const auto* list = node->as_array();
    if (list == nullptr) {
        return wrong(node, "proc must be a list, such as [\"cmdline\", \"modules\"]");
    }
    for (const auto& element : *list) {
        const auto name = element.value_exact<std::string>();
        if (!name || (*name != protocol::fact_cmdline && *name != protocol::fact_modules)) {
            return wrong(&element, "proc knows \"cmdline\" and \"modules\"");
        }
        policy.entries.push_back({protocol::PolicyItemKind::fact, *name});
    }
    return {};
}

template <typename Value>
Outcome<Value> Reader::choice(const char* key, std::initializer_list<std::pair<const char*, Value>> names,
                              Value otherwise) const
{
    const auto* node = table_.get(key);
    if (node == nullptr) {
        return otherwise;
    }
    const auto name = node->value_exact<std::string>().value_or("");
    std::string known;
    for (const auto& [text, value] : names) {
        if (name == text) {
            return value;
        }
        known += std::string(known.empty() ? "\"" : ", \"") + text + "\"";
    }
    return wrong(node, std::string(key) + " must be one of " + known);
}

// [MEASURE-20]
Done Reader::read_minimum(Policy& policy) const
{
    using protocol::sgx::Platform;
    using protocol::sgx::RootKind;
    policy.root = TRY(choice<RootKind>("root",
                                       {{"any", RootKind::file},
                                        {"software-tpm", RootKind::software_tpm},
                                        {"tpm", RootKind::tpm},
                                        {"cpu", RootKind::cpu}},
                                       RootKind::file));
    policy.platform = TRY(choice<Platform>(
        "platform", {{"any", Platform::inproc}, {"process", Platform::process}, {"sgx", Platform::sgx}},
        Platform::inproc));
    policy.debug_allowed = TRY(choice<bool>("debug", {{"refused", false}, {"allowed", true}}, false));
    TRY(read_tcb(policy));
    return read_witnesses(policy);
}

Done Reader::read_witnesses(Policy& policy) const
{
    const auto* node = table_.get("witness");
    if (node == nullptr) {
        return {};
    }
    const auto* list = node->as_array();
    if (list == nullptr || list->empty()) {
        return wrong(node, "witness must be a list of MRENCLAVEs, as \"caisson version\" prints them");
    }
    for (const auto& element : *list) {
        const auto text = element.value_exact<std::string>().value_or("");
        Digest mrenclave{};
        const auto size = read_hex(mrenclave, text);
        if (!size || *size != mrenclave.size()) {
            return wrong(&element, "an MRENCLAVE is 64 hexadecimal digits");
        }
        policy.witnesses.push_back(mrenclave);
    }
    return {};
}

Done Reader::read_tcb(Policy& policy) const
{
    constexpr std::string_view acceptable[] = {
        "UpToDate",  "SWHardeningNeeded",           "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded",
        "OutOfDate", "OutOfDateConfigurationNeeded"};
    const auto* node = table_.get("tcb");
    if (node == nullptr) {
        return {};
    }
    const auto* list = node->as_array();
    if (list == nullptr || list->empty()) {
        return wrong(node, "tcb must be a list, such as [\"UpToDate\", \"SWHardeningNeeded\"]");
    }
    policy.tcb.clear();
    for (const auto& element : *list) {
        const auto name = element.value_exact<std::string>().value_or("");
        if (std::ranges::find(acceptable, name) == std::end(acceptable)) {
            return wrong(&element, "tcb knows UpToDate, SWHardeningNeeded, ConfigurationNeeded, "
                                   "ConfigurationAndSWHardeningNeeded, OutOfDate and OutOfDateConfigurationNeeded; "
                                   "what Intel has revoked is never accepted");
        }
        policy.tcb.push_back(name);
    }
    return {};
}

Outcome<Policy> Reader::read()
{
    TRY(expect_only(table_, {"version", "interval_ms", "hold_ms", "proc", "root", "platform", "debug", "tcb", "witness",
                             "tree", "file"}));
    const auto* version = table_.get("version");
    if (version == nullptr || version->value_exact<std::int64_t>() != 1) {
        return wrong(version, "version = 1 is expected");
    }
    Policy policy;
    policy.interval_ms =
        static_cast<std::uint64_t>(TRY(number("interval_ms", interval_ms_min, interval_ms_max, interval_ms_default)));
    policy.hold_ms = static_cast<std::uint64_t>(TRY(number("hold_ms", hold_ms_min, hold_ms_max, hold_ms_default)));
    TRY(read_paths("tree", protocol::PolicyItemKind::tree, policy));
    TRY(read_paths("file", protocol::PolicyItemKind::file, policy));
    TRY(read_facts(policy));
    TRY(read_minimum(policy));
    if (policy.entries.empty() || policy.entries.size() > protocol::policy_items_max) {
        return wrong(nullptr, "1 to " + std::to_string(protocol::policy_items_max) +
                                  " things to measure are expected: [[tree]], [[file]] or proc");
    }
    return policy;
}

} // namespace

Outcome<Policy> parse_policy(const std::string& text, const std::string& where)
{
    try {
        const auto table = toml::parse(text);
        return Reader(table, where).read();
    } catch (const toml::parse_error& error) {
        const auto& at = error.source().begin;
        return fault(Kind::malformed, where + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " +
                                          std::string(error.description()));
    } catch (const host::store::TomlConfusion&) {
        return fault(Kind::malformed, where + ": not TOML: brackets or keys are not as it wants them");
    }
}

} // namespace caisson::services::attestation
