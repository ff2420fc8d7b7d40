#include "services/gateway/endpoint.hpp"

#include <array>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>

namespace caisson::services::gateway {
namespace {

using host::fault;
using host::Outcome;

constexpr std::size_t ipc_path_bytes_max = 107; // sockaddr_un
constexpr std::size_t network_bytes = 8;        // of an IPv6 address: what one subscriber or host gets

template <typename Number>
bool is_number(std::string_view text)
{
    Number number = 0;
    const auto* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    return read.ec == std::errc() && read.ptr == end;
}

Outcome<Endpoint> parse_ipc(const std::string& text)
{
    Endpoint endpoint{Endpoint::Transport::ipc, {}, {}, text.substr(6)};
    if (endpoint.path.empty() || endpoint.path.front() != '/' || endpoint.path.size() > ipc_path_bytes_max) {
        return fault(Kind::malformed, "\"" + text + "\": ipc:// needs an absolute path of at most 107 bytes");
    }
    return endpoint;
}

} // namespace

std::string Endpoint::text() const
{
    switch (transport) {
    case Transport::ipc: return "ipc://" + path;
    case Transport::vsock: return "vsock://" + host + ":" + port;
    case Transport::tcp: break;
    }
    return "tcp://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

// A name other than localhost may resolve to any machine, whatever it begins with.
bool Endpoint::stays_on_machine() const
{
    in_addr address{};
    const bool is_ipv4 = ::inet_pton(AF_INET, host.c_str(), &address) == 1;
    return transport == Transport::ipc ||
           (transport == Transport::tcp &&
            (host == "::1" || host == "localhost" || (is_ipv4 && ntohl(address.s_addr) >> 24U == IN_LOOPBACKNET)));
}

Outcome<Endpoint> parse_endpoint(const std::string& text)
{
    if (text.find('\0') != std::string::npos) {
        return fault(Kind::malformed, "an endpoint has no zero bytes");
    }
    if (text.starts_with("ipc://")) {
        return parse_ipc(text);
    }
    const bool is_vsock = text.starts_with("vsock://");
    const std::size_t scheme = is_vsock ? 8 : 6;
    const auto colon = text.rfind(':');
    if ((!is_vsock && !text.starts_with("tcp://")) || colon <= scheme) {
        return fault(Kind::malformed, "\"" + text + "\": tcp://HOST:PORT, ipc:///PATH or vsock://CID:PORT is expected");
    }
    Endpoint endpoint{is_vsock ? Endpoint::Transport::vsock : Endpoint::Transport::tcp,
                      text.substr(scheme, colon - scheme),
                      text.substr(colon + 1),
                      {}};
    if (is_vsock ? !is_number<std::uint32_t>(endpoint.port) : !is_number<std::uint16_t>(endpoint.port)) {
        return fault(Kind::malformed, "\"" + text + "\": a port is expected, tcp://HOST:PORT or vsock://CID:PORT");
    }
    if (is_vsock && endpoint.host != "*" && !is_number<std::uint32_t>(endpoint.host)) {
        return fault(Kind::malformed, "\"" + text + "\": vsock:// is expected to have a context's number, or *");
    }
    if (endpoint.host.front() == '[' && endpoint.host.back() == ']') {
        endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
    }
    if (endpoint.host.empty()) {
        return fault(Kind::malformed, "\"" + text + "\": a host is expected before the port");
    }
    return endpoint;
}

std::string network_of(const std::string& address)
{
    const auto scope = address.find('%');
    in6_addr parsed{};
    if (::inet_pton(AF_INET6, address.substr(0, scope).c_str(), &parsed) != 1) {
        return address;
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (IN6_IS_ADDR_V4MAPPED(&parsed)) {
        in_addr mapped{};
        std::memcpy(&mapped, &parsed.s6_addr[12], sizeof mapped);
        return ::inet_ntop(AF_INET, &mapped, text.data(), text.size());
    }
    std::memset(&parsed.s6_addr[network_bytes], 0, sizeof parsed.s6_addr - network_bytes);
    const std::string network = ::inet_ntop(AF_INET6, &parsed, text.data(), text.size());
    return network + "/64" + (scope == std::string::npos ? "" : address.substr(scope));
}

} // namespace caisson::services::gateway
