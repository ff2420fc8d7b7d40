#include "services/gateway/config.hpp"

#include "core/text.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>

namespace caisson::services::gateway {
namespace {

using host::Done;
using host::fault;
using host::Outcome;

constexpr std::size_t listeners_max = 64;
constexpr std::size_t ipc_path_bytes_max = 107; // sockaddr_un

// A name other than localhost may resolve to any machine, whatever it begins with.
bool is_loopback(const std::string& host)
{
    in_addr address{};
    const bool is_ipv4 = ::inet_pton(AF_INET, host.c_str(), &address) == 1;
    return host == "::1" || host == "localhost" || (is_ipv4 && ntohl(address.s_addr) >> 24U == IN_LOOPBACKNET);
}

bool is_port(std::string_view text)
{
    std::uint16_t port = 0;
    const auto* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, port);
    return read.ec == std::errc() && read.ptr == end;
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
    Outcome<Endpoint> endpoint(const toml::table& table, const char* key) const;
    Outcome<ListenerConfig> listener(const toml::table& table) const;
    Done read_allow(const toml::table& table, ListenerConfig& listener) const;

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
        return wrong(node != nullptr ? node : &table, std::string(key) + " = \"...\" is expected in a [[listener]]");
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

Done Reader::read_allow(const toml::table& table, ListenerConfig& listener) const
{
    const auto* node = table.get("allow");
    if (node == nullptr) {
        return {};
    }
    const auto* list = node->as_array();
    if (list == nullptr) {
        return wrong(node, "allow must be a list of public keys in Z85");
    }
    listener.allow.emplace();
    for (const auto& element : *list) {
        protocol::CurveKey key;
        const auto value = element.value_exact<std::string>();
        if (!value || read_z85(key.bytes, *value).value_or(0) != protocol::CurveKey::size) {
            return wrong(&element, "a public key has 40 letters of Z85");
        }
        listener.allow->insert(key);
    }
    return {};
}

Outcome<ListenerConfig> Reader::listener(const toml::table& table) const
{
    TRY(expect_only(table, {"name", "listen", "backend", "key", "allow", "backend_uid"}));
    ListenerConfig listener;
    listener.name = TRY(text(table, "name"));
    listener.key = TRY(text(table, "key"));
    listener.listen = TRY(endpoint(table, "listen"));
    listener.backend = TRY(endpoint(table, "backend"));
    if (listener.backend.transport == Endpoint::Transport::tcp && !is_loopback(listener.backend.host)) {
        return wrong(table.get("backend"), "the plain side leaves this machine unprotected; use ipc or loopback");
    }
    TRY(read_allow(table, listener));
    if (const auto* node = table.get("backend_uid"); node != nullptr) {
        const auto value = node->value_exact<std::int64_t>();
        if (!value || *value < 0 || *value > INT32_MAX) {
            return wrong(node, "backend_uid must be a user's number");
        }
        listener.backend_uid = static_cast<::uid_t>(*value);
    }
    return listener;
}

Outcome<Config> Reader::read(const toml::table& table)
{
    TRY(expect_only(table, {"listener"}));
    const auto* list = table.get_as<toml::array>("listener");
    if (list == nullptr || !list->is_array_of_tables() || list->size() > listeners_max) {
        return wrong(table.get("listener"), "1 to 64 [[listener]] are expected");
    }
    Config config;
    for (const auto& element : *list) {
        config.listeners.push_back(TRY(listener(*element.as_table())));
    }
    return config;
}

} // namespace

std::string Endpoint::text() const
{
    if (transport == Transport::ipc) {
        return "ipc://" + path;
    }
    return "tcp://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

Outcome<Endpoint> parse_endpoint(const std::string& text)
{
    Endpoint endpoint;
    if (text.find('\0') != std::string::npos) {
        return fault(Kind::malformed, "an endpoint has no zero bytes");
    }
    if (text.starts_with("ipc://")) {
        endpoint.transport = Endpoint::Transport::ipc;
        endpoint.path = text.substr(6);
        if (endpoint.path.empty() || endpoint.path.front() != '/' || endpoint.path.size() > ipc_path_bytes_max) {
            return fault(Kind::malformed, "\"" + text + "\": ipc:// needs an absolute path of at most 107 bytes");
        }
        return endpoint;
    }
    const auto colon = text.rfind(':');
    if (!text.starts_with("tcp://") || colon <= 6 || !is_port(std::string_view(text).substr(colon + 1))) {
        return fault(Kind::malformed, "\"" + text + "\": tcp://HOST:PORT or ipc:///PATH is expected");
    }
    endpoint.host = text.substr(6, colon - 6);
    endpoint.port = text.substr(colon + 1);
    if (endpoint.host.front() == '[' && endpoint.host.back() == ']') {
        endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
    }
    if (endpoint.host.empty()) {
        return fault(Kind::malformed, "\"" + text + "\": a host is expected before the port");
    }
    return endpoint;
}

Outcome<Config> parse_config(const std::string& text, const std::string& where)
{
    try {
        const auto table = toml::parse(text);
        return Reader(where).read(table);
    } catch (const toml::parse_error& error) {
        return fault(Kind::malformed,
                     where + ":" + std::to_string(error.source().begin.line) + ": " + std::string(error.description()));
    }
}

} // namespace caisson::services::gateway
