#include "library/transport.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace caisson::library {
namespace {

using host::system_fault;

constexpr int backlog = 256;
constexpr std::size_t ipc_path_bytes_max = sizeof(sockaddr_un::sun_path) - 1;

struct FreeAddresses {
    void operator()(addrinfo* addresses) const noexcept { ::freeaddrinfo(addresses); }
};

struct Resolved {
    sockaddr_storage storage{};
    socklen_t size = 0;
    [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

Outcome<Resolved> resolve(const Address& address)
{
    Resolved out;
    if (address.transport == Address::Transport::ipc) {
        auto& local = reinterpret_cast<sockaddr_un&>(out.storage);
        local.sun_family = AF_UNIX;
        address.path.copy(local.sun_path, ipc_path_bytes_max);
        out.size = sizeof local;
        return out;
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE;
    addrinfo* found = nullptr;
    const char* name = address.host == "*" ? nullptr : address.host.c_str();
    if (const int error = ::getaddrinfo(name, address.port.c_str(), &hints, &found); error != 0) {
        return fault(Kind::malformed, address.text() + ": " + ::gai_strerror(error));
    }
    const std::unique_ptr<addrinfo, FreeAddresses> owned(found);
    std::memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
    out.size = found->ai_addrlen;
    return out;
}

Outcome<Descriptor> open_socket(const Resolved& resolved, const Address& address)
{
    Descriptor descriptor(::socket(resolved.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (descriptor.number() < 0) {
        return std::unexpected(system_fault("opening a socket for " + address.text(), errno));
    }
    return descriptor;
}

void set_no_delay(int descriptor)
{
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

} // namespace

std::string Address::text() const
{
    return transport == Transport::ipc           ? "ipc://" + path
           : host.find(':') != std::string::npos ? "tcp://[" + host + "]:" + port
                                                 : "tcp://" + host + ":" + port;
}

Outcome<Address> parse_address(const std::string& text)
{
    Address address;
    if (text.starts_with("ipc://")) {
        address.transport = Address::Transport::ipc;
        address.path = text.substr(6);
        if (address.path.empty() || address.path.front() != '/' || address.path.size() > ipc_path_bytes_max) {
            return fault(Kind::malformed, "\"" + text + "\": ipc:// needs an absolute path of at most 107 bytes");
        }
        return address;
    }
    const auto colon = text.rfind(':');
    const bool has_port = text.starts_with("tcp://") && colon != std::string::npos && colon > 6 &&
                          colon + 1 < text.size() && text.size() - colon <= 6 &&
                          text.find_first_not_of("0123456789", colon + 1) == std::string::npos;
    if (!has_port || std::stoul(text.substr(colon + 1)) > 65535) {
        return fault(Kind::malformed, "\"" + text + "\": tcp://HOST:PORT or ipc:///PATH is expected");
    }
    address.host = text.substr(6, colon - 6);
    address.port = text.substr(colon + 1);
    if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']') {
        address.host = address.host.substr(1, address.host.size() - 2);
    }
    return address;
}

Descriptor::~Descriptor()
{
    if (number_ >= 0) {
        ::close(number_);
    }
}

Outcome<Descriptor> begin_connect(const Address& address)
{
    const auto resolved = TRY(resolve(address));
    auto descriptor = TRY(open_socket(resolved, address));
    if (::connect(descriptor.number(), resolved.get(), resolved.size) != 0 && errno != EINPROGRESS) {
        return std::unexpected(system_fault("connecting to " + address.text(), errno));
    }
    if (address.transport == Address::Transport::tcp) {
        set_no_delay(descriptor.number());
    }
    return descriptor;
}

Outcome<ListeningSocket> ListeningSocket::open(const Address& address)
{
    const auto resolved = TRY(resolve(address));
    ListeningSocket socket;
    socket.descriptor_ = TRY(open_socket(resolved, address));
    const int number = socket.descriptor();
    const int on = 1;
    ::setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(number, resolved.get(), resolved.size) != 0 || ::listen(number, backlog) != 0) {
        if (errno == EADDRINUSE) {
            return fault(Kind::conflict, "listening on " + address.text() + ": another program listens there already");
        }
        return std::unexpected(system_fault("listening on " + address.text(), errno));
    }
    socket.address_ = address;
    if (address.transport == Address::Transport::tcp) {
        Resolved bound;
        bound.size = sizeof bound.storage;
        ::getsockname(number, reinterpret_cast<sockaddr*>(&bound.storage), &bound.size);
        std::array<char, NI_MAXSERV> port{};
        ::getnameinfo(bound.get(), bound.size, nullptr, 0, port.data(), port.size(), NI_NUMERICSERV);
        socket.address_.port = port.data();
    }
    return socket;
}

ListeningSocket::~ListeningSocket()
{
    if (descriptor() >= 0 && address_.transport == Address::Transport::ipc) {
        ::unlink(address_.path.c_str());
    }
}

Descriptor ListeningSocket::accept() const
{
    Descriptor accepted(::accept4(descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (accepted.number() >= 0 && address_.transport == Address::Transport::tcp) {
        set_no_delay(accepted.number());
    }
    return accepted;
}

} // namespace caisson::library
