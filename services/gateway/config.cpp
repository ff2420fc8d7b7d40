#include "services/gateway/config.hpp"

#include "airlock/curve/requests.hpp"
#include "core/text.hpp"
#include "host/store/toml_assert.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

namespace caisson::services::gateway {
namespace {

using host::Done;
using host::fault;
using host::Outcome;
using protocol::zmtp::Mechanism;

constexpr std::size_t routes_max = 64;
constexpr std::size_t keys_max = 8; // of one listener: each costs a stranger's HELLO one try more
constexpr std::size_t listed_keys_max = 100000;
constexpr std::int64_t message_bytes_largest = std::int64_t{4} << 30U;
constexpr std::int64_t connections_most = airlock::curve::sessions_max; // each needs one at most
constexpr std::int64_t milliseconds_max = 3'600'000;
constexpr std::string_view any_vsock_context = "4294967295"; // VMADDR_CID_ANY

std::optional<protocol::CurveKey> read_key(std::string_view text)
{
    protocol::CurveKey key;
    if (read_z85(key.bytes, text).value_or(0) != protocol::CurveKey::size) {
        return std::nullopt;
    }
    return key;
}

class Reader {
  public:
    explicit Reader(const std::string& where)
        : where_(where)
    {
    }

    Outcome<Config> read(const toml::table& table);

  private:
    [[nodiscard]] std::unexpected<host::Fault> wrong(const toml::node* node, const std::string& what) const
    {
        const auto line = node != nullptr ? ":" + std::to_string(node->source().begin.line) : std::string();
        return fault(Kind::malformed, where_ + line + ": " + what);
    }
    Done expect_only(const toml::table& table, std::initializer_list<std::string_view> keys) const;
    Outcome<std::string> text(const toml::table& table, const char* key) const;
    Outcome<std::string> text_or(const toml::table& table, const char* key, std::string instead) const;
    Outcome<std::int64_t> number_or(const toml::table& table, const char* key, std::int64_t instead,
                                    std::int64_t largest) const;
    Outcome<bool> flag(const toml::table& table, const char* key) const;
    Outcome<Endpoint> endpoint(const toml::table& table, const char* key) const;
    Outcome<Endpoint> target(const toml::table& table, const char* key) const;
    Outcome<RouteConfig> listener(const toml::table& table) const;
    Outcome<RouteConfig> connector(const toml::table& table) const;
    Done read_common(const toml::table& table, RouteConfig& route) const;
    Done read_mechanism(const toml::table& table, RouteConfig& route) const;
    Done read_keys(const toml::table& table, RouteConfig& route) const;
    Done read_allow(const toml::table& table, RouteConfig& route) const;
    Done read_admission(const toml::table& table, RouteConfig& route) const;
    Done check_plain_side(const toml::table& table, const char* key, const RouteConfig& route) const;
    Done read_routes(const toml::table& table, const char* kind, Config& config) const;

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

Outcome<std::string> Reader::text(const toml::table& table, const char* key) const
{
    const auto* node = table.get(key);
    const auto value = node != nullptr ? node->value_exact<std::string>() : std::optional<std::string>();
    if (!value || value->empty()) {
        return wrong(node != nullptr ? node : &table, std::string(key) + " = \"...\" is expected");
    }
    return *value;
}

Outcome<std::string> Reader::text_or(const toml::table& table, const char* key, std::string instead) const
{
    if (table.get(key) == nullptr) {
        return instead;
    }
    return text(table, key);
}

Outcome<std::int64_t> Reader::number_or(const toml::table& table, const char* key, std::int64_t instead,
                                        std::int64_t largest) const
{
    const auto* node = table.get(key);
    if (node == nullptr) {
        return instead;
    }
    const auto value = node->value_exact<std::int64_t>();
    if (!value || *value < 1 || *value > largest) {
        return wrong(node, std::string(key) + " must be a number from 1 to " + std::to_string(largest));
    }
    return *value;
}

Outcome<bool> Reader::flag(const toml::table& table, const char* key) const
{
    const auto* node = table.get(key);
    const auto value = node != nullptr ? node->value_exact<bool>() : std::optional<bool>(false);
    if (!value) {
        return wrong(node, std::string(key) + " must be true or false");
    }
    return *value;
}

Outcome<Endpoint> Reader::endpoint(const toml::table& table, const char* key) const
{
    const auto given = TRY(text(table, key));
    auto parsed = parse_endpoint(given);
    if (!parsed) {
        return wrong(table.get(key), parsed.error().what);
    }
    return parsed;
}

// [GATE-17] Where one connects to; "*" is for who listens.
Outcome<Endpoint> Reader::target(const toml::table& table, const char* key) const
{
    auto parsed = TRY(endpoint(table, key));
    if (parsed.transport == Endpoint::Transport::vsock && (parsed.host == "*" || parsed.host == any_vsock_context)) {
        return wrong(table.get(key), "\"" + parsed.text() +
                                         "\" is every context; to connect, one is expected: vsock://2:PORT is the "
                                         "host of this machine");
    }
    return parsed;
}

// [ZMTP-6] One mechanism for one listener: a client that could choose would choose the weakest.
Done Reader::read_mechanism(const toml::table& table, RouteConfig& route) const
{
    const auto name = TRY(text_or(table, "mechanism", "curve"));
    if (name == "curve") {
        return {};
    }
    if (name != "plain" && name != "null") {
        return wrong(table.get("mechanism"),
                     "mechanism must be one of \"curve\", \"plain\" and \"null\": a listener has "
                     "one, and a second one needs a [[listener]] of its own");
    }
    route.mechanism = name == "plain" ? Mechanism::plain : Mechanism::null;
    if (!TRY(flag(table, "unprotected"))) {
        return wrong(table.get("mechanism"), "\"" + name +
                                                 "\" protects nothing: passwords and messages are readable on "
                                                 "the way; say unprotected = true beside it if that is meant");
    }
    return {};
}

Done Reader::read_keys(const toml::table& table, RouteConfig& route) const
{
    const auto* list = table.get("keys");
    if (!route.is_protected()) {
        const auto* named = table.get("key") != nullptr ? table.get("key") : list;
        return named == nullptr ? Done() : wrong(named, "a key is for the mechanism \"curve\" alone");
    }
    if (list == nullptr) {
        route.keys.push_back(TRY(text(table, "key")));
        return {};
    }
    const auto* names = list->as_array();
    if (table.get("key") != nullptr || names == nullptr || names->empty() || names->size() > keys_max) {
        return wrong(list, "either key = \"...\" or keys = [...] with 1 to 8 names is expected");
    }
    for (const auto& element : *names) {
        const auto value = element.value_exact<std::string>();
        if (!value || value->empty()) {
            return wrong(&element, "a name of a key is expected");
        }
        route.keys.push_back(*value);
    }
    return {};
}

Done Reader::read_allow(const toml::table& table, RouteConfig& route) const
{
    const auto* node = table.get("allow");
    if (node == nullptr) {
        return {};
    }
    const auto* list = node->as_array();
    if (list == nullptr) {
        return wrong(node, "allow must be a list of public keys in Z85");
    }
    route.allow.emplace();
    for (const auto& element : *list) {
        const auto value = element.value_exact<std::string>();
        const auto key = value ? read_key(*value) : std::nullopt;
        if (!key) {
            return wrong(&element, "a public key has 40 letters of Z85");
        }
        route.allow->insert(*key);
    }
    return {};
}

Done Reader::read_admission(const toml::table& table, RouteConfig& route) const
{
    TRY(read_allow(table, route));
    route.allow_file = TRY(text_or(table, "allow_file", ""));
    for (const char* const key : {"allow", "allow_file"}) {
        if (table.get(key) != nullptr && !route.is_protected()) {
            return wrong(table.get(key), std::string(key) +
                                             " is for the mechanism \"curve\" alone: without it a client "
                                             "proves no key");
        }
    }
    route.zap_domain = TRY(text_or(table, "zap_domain", route.zap_domain));
    if (table.get("zap") != nullptr) {
        route.zap = TRY(endpoint(table, "zap"));
        if (!route.zap->stays_on_machine()) {
            return wrong(table.get("zap"), "ZAP is not protected on the way; use ipc or loopback");
        }
    }
    if (route.mechanism == Mechanism::plain && !route.zap) {
        return wrong(&table, "mechanism = \"plain\" needs zap = \"...\": nobody else judges a password");
    }
    return {};
}

Done Reader::check_plain_side(const toml::table& table, const char* key, const RouteConfig& route) const
{
    if (!route.plain().stays_on_machine() && !route.plain_leaves_machine) {
        return wrong(table.get(key), "the plain side leaves this machine unprotected; use ipc or loopback (or say "
                                     "plain_leaves_machine = true, and know who can listen)");
    }
    return {};
}

Done Reader::read_common(const toml::table& table, RouteConfig& route) const
{
    route.name = TRY(text(table, "name"));
    TRY(read_mechanism(table, route));
    route.access_list = TRY(text_or(table, "access_list", ""));
    if (!route.access_list.empty() && !route.is_protected()) {
        return wrong(table.get("access_list"), "access_list is for the mechanism \"curve\" alone: without it nobody "
                                               "proves a key");
    }
    TRY(read_keys(table, route));
    route.plain_leaves_machine = TRY(flag(table, "plain_leaves_machine"));
    route.message_bytes_max = static_cast<std::uint64_t>(TRY(number_or(
        table, "message_bytes_max", static_cast<std::int64_t>(route.message_bytes_max), message_bytes_largest)));
    using Milliseconds = std::chrono::milliseconds;
    route.heartbeat = Milliseconds(TRY(number_or(table, "heartbeat_ms", 0, milliseconds_max)));
    route.heartbeat_timeout =
        Milliseconds(TRY(number_or(table, "heartbeat_timeout_ms", route.heartbeat.count(), milliseconds_max)));
    const char* const uid_key = route.side == Side::server ? "backend_uid" : "program_uid";
    if (const auto* node = table.get(uid_key); node != nullptr) {
        const auto value = node->value_exact<std::int64_t>();
        if (!value || *value < 0 || *value > INT32_MAX) {
            return wrong(node, std::string(uid_key) + " must be a user's number");
        }
        route.plain_uid = static_cast<::uid_t>(*value);
    }
    return {};
}

Outcome<RouteConfig> Reader::listener(const toml::table& table) const
{
    TRY(expect_only(table, {"name", "listen", "backend", "mechanism", "unprotected", "key", "keys", "allow",
                            "allow_file", "access_list", "zap", "zap_domain", "backend_uid", "plain_leaves_machine",
                            "message_bytes_max", "heartbeat_ms", "heartbeat_timeout_ms"}));
    RouteConfig route;
    TRY(read_common(table, route));
    route.listen = TRY(endpoint(table, "listen"));
    route.connect = TRY(target(table, "backend"));
    TRY(check_plain_side(table, "backend", route));
    TRY(read_admission(table, route));
    return route;
}

Outcome<RouteConfig> Reader::connector(const toml::table& table) const
{
    TRY(expect_only(table, {"name", "listen", "connect", "mechanism", "unprotected", "key", "access_list", "server_key",
                            "username", "password_file", "program_uid", "plain_leaves_machine", "message_bytes_max",
                            "heartbeat_ms", "heartbeat_timeout_ms", "reconnect_ms", "reconnect_max_ms"}));
    RouteConfig route;
    route.side = Side::client;
    TRY(read_common(table, route));
    route.listen = TRY(endpoint(table, "listen"));
    route.connect = TRY(target(table, "connect"));
    TRY(check_plain_side(table, "listen", route));
    if (route.is_protected()) {
        route.server_key = read_key(TRY(text(table, "server_key")));
        if (!route.server_key) {
            return wrong(table.get("server_key"), "a public key has 40 letters of Z85");
        }
    }
    if (route.mechanism == Mechanism::plain) {
        route.username = TRY(text(table, "username"));
        route.password_file = TRY(text(table, "password_file"));
    }
    using Milliseconds = std::chrono::milliseconds;
    route.reconnect = Milliseconds(TRY(number_or(table, "reconnect_ms", route.reconnect.count(), milliseconds_max)));
    route.reconnect_max = Milliseconds(TRY(number_or(
        table, "reconnect_max_ms", std::max(route.reconnect, route.reconnect_max).count(), milliseconds_max)));
    return route;
}

Done Reader::read_routes(const toml::table& table, const char* kind, Config& config) const
{
    const auto* node = table.get(kind);
    if (node == nullptr) {
        return {};
    }
    const auto* list = node->as_array();
    if (list == nullptr || !list->is_array_of_tables() || list->size() > routes_max) {
        return wrong(node, std::string("1 to 64 [[") + kind + "]] are expected");
    }
    for (const auto& element : *list) {
        const auto& one = *element.as_table();
        config.routes.push_back(TRY(std::string_view(kind) == "listener" ? listener(one) : connector(one)));
        const auto& name = config.routes.back().name;
        const auto same = std::count_if(config.routes.begin(), config.routes.end(),
                                        [&name](const RouteConfig& route) { return route.name == name; });
        if (same > 1) {
            return wrong(one.get("name"), "the name \"" + name + "\" is taken by another listener or connector");
        }
    }
    return {};
}

Outcome<Config> Reader::read(const toml::table& table)
{
    TRY(expect_only(table, {"listener", "connector", "connections_max", "handshakes_max", "handshakes_per_source",
                            "waiting_per_source", "metrics"}));
    Config config;
    TRY(read_routes(table, "listener", config));
    TRY(read_routes(table, "connector", config));
    if (config.routes.empty()) {
        return wrong(nullptr, "1 to 64 [[listener]] are expected, or [[connector]]");
    }
    const auto limit = [&](const char* key, std::size_t& value) -> Done {
        value =
            static_cast<std::size_t>(TRY(number_or(table, key, static_cast<std::int64_t>(value), connections_most)));
        return {};
    };
    TRY(limit("waiting_per_source", config.waiting_per_source));
    TRY(limit("connections_max", config.connections_max));
    TRY(limit("handshakes_max", config.handshakes_max));
    TRY(limit("handshakes_per_source", config.handshakes_per_source));
    if (table.get("metrics") != nullptr) {
        config.metrics = TRY(endpoint(table, "metrics"));
        if (!config.metrics->stays_on_machine()) {
            return wrong(table.get("metrics"), "metrics name keys and addresses of peers; use ipc or loopback");
        }
    }
    return config;
}

} // namespace

Outcome<Config> parse_config(const std::string& text, const std::string& where)
{
    try {
        const auto table = toml::parse(text);
        return Reader(where).read(table);
    } catch (const toml::parse_error& error) {
        const auto& at = error.source().begin;
        return fault(Kind::malformed, where + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " +
                                          std::string(error.description()));
    } catch (const host::store::TomlConfusion&) {
        return fault(Kind::malformed, where + ": not TOML: brackets or keys are not as it wants them");
    }
}

Outcome<KeySet> parse_key_list(const std::string& text, const std::string& where)
{
    KeySet keys;
    std::istringstream lines(text);
    std::string line;
    for (std::size_t number = 1; std::getline(lines, line); ++number) {
        // '#' is a letter of Z85 too: a comment is what is no key.
        const auto begin = line.find_first_not_of(" \t\r");
        if (begin == std::string::npos) {
            continue;
        }
        const auto word = line.substr(begin, line.find_first_of(" \t\r", begin) - begin);
        const auto rest = line.find_first_not_of(" \t\r", begin + word.size());
        const auto key = read_key(word);
        if (!key && word.front() == '#') {
            continue;
        }
        if (!key || (rest != std::string::npos && line[rest] != '#')) {
            return fault(Kind::malformed,
                         where + ":" + std::to_string(number) +
                             ": a public key of 40 letters of Z85 is expected, then nothing or # and a "
                             "comment");
        }
        keys.insert(*key);
        if (keys.size() > listed_keys_max) {
            return fault(Kind::exhausted, where + ": more than " + std::to_string(listed_keys_max) + " keys");
        }
    }
    return keys;
}

} // namespace caisson::services::gateway
