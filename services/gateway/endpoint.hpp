// Where a side of the gateway listens or connects: tcp, ipc or vsock, as ZeroMQ writes them.
#pragma once

#include "host/fault.hpp"

#include <cstdint>
#include <string>

namespace caisson::services::gateway {

struct Endpoint {
    enum class Transport : std::uint8_t { tcp, ipc, vsock };
    Transport transport = Transport::tcp;
    std::string host; // tcp: name or address, "*" for all; vsock: the context's number, "*" for any
    std::string port; // tcp, vsock
    std::string path; // ipc
    [[nodiscard]] std::string text() const;
    // ipc, or tcp on a loopback address: what is said there stays on this machine.
    [[nodiscard]] bool stays_on_machine() const;
};

// "tcp://HOST:PORT", "ipc:///PATH" or "vsock://CID:PORT". Fails: malformed.
[[nodiscard]] host::Outcome<Endpoint> parse_endpoint(const std::string& text);

// Whose address it is, as limits count: an IPv6 address stands for its network of 64 bits, since whoever has one
// address there has all of them; an IPv4 address, however it is written, for itself. What is no address is returned as
// it is.
[[nodiscard]] std::string network_of(const std::string& address);

} // namespace caisson::services::gateway
