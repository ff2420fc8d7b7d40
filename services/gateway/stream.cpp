#include "services/gateway/stream.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

namespace caisson::services::gateway {
namespace {

using host::fault;
using host::Outcome;
using host::system_fault;

constexpr std::size_t read_bytes = std::size_t{128} << 10U;
constexpr int backlog = 256;

struct FreeAddresses {
    void operator()(addrinfo* addresses) const noexcept { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

Outcome<SocketAddress> resolve(const Endpoint& endpoint)
{
    SocketAddress address;
    if (endpoint.transport == Endpoint::Transport::ipc) {
        auto& local = reinterpret_cast<sockaddr_un&>(address.storage);
        local.sun_family = AF_UNIX;
        endpoint.path.copy(local.sun_path, sizeof local.sun_path - 1);
        address.size = sizeof local;
        return address;
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found); error != 0) {
        return fault(Kind::malformed, endpoint.text() + ": " + gai_strerror(error));
    }
    const Addresses owned(found);
    std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.size = found->ai_addrlen;
    return address;
}

void set_no_delay(int descriptor)
{
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

} // namespace

Stream::Stream(Stream&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1))
    , input_(std::move(other.input_))
    , input_used_(std::exchange(other.input_used_, 0))
    , output_(std::move(other.output_))
    , output_used_(std::exchange(other.output_used_, 0))
{
}

Stream& Stream::operator=(Stream&& other) noexcept
{
    if (this != &other) {
        close();
        descriptor_ = std::exchange(other.descriptor_, -1);
        input_ = std::move(other.input_);
        input_used_ = std::exchange(other.input_used_, 0);
        output_ = std::move(other.output_);
        output_used_ = std::exchange(other.output_used_, 0);
    }
    return *this;
}

void Stream::close() noexcept
{
    if (descriptor_ >= 0) {
        ::close(std::exchange(descriptor_, -1));
    }
}

Outcome<Stream> Stream::connect(const Endpoint& endpoint)
{
    const auto address = TRY(resolve(endpoint));
    Stream stream(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!stream.open() || (::connect(stream.descriptor(), address.get(), address.size) != 0 && errno != EINPROGRESS)) {
        return std::unexpected(system_fault("connecting to " + endpoint.text(), errno));
    }
    if (endpoint.transport == Endpoint::Transport::tcp) {
        set_no_delay(stream.descriptor());
    }
    return stream;
}

bool Stream::read_some()
{
    if (input_used_ > 0) {
        input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(std::exchange(input_used_, 0)));
    }
    const auto old = input_.size();
    input_.resize(old + read_bytes);
    const auto got = ::recv(descriptor_, input_.data() + old, read_bytes, 0);
    input_.resize(old + static_cast<std::size_t>(got > 0 ? got : 0));
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

bool Stream::flush()
{
    while (output_bytes() > 0) {
        const auto sent = ::send(descriptor_, output_.data() + output_used_, output_bytes(), MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
        }
        output_used_ += static_cast<std::size_t>(sent);
    }
    output_.clear();
    output_used_ = 0;
    return true;
}

void Stream::consume(std::size_t count)
{
    input_used_ += count;
}

void Stream::write(Bytes bytes)
{
    output_.insert(output_.end(), bytes.begin(), bytes.end());
}

Outcome<::uid_t> Stream::peer_uid() const
{
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(descriptor_, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        return std::unexpected(system_fault("asking who the back end is", errno));
    }
    return credentials.uid;
}

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1))
    , endpoint_(std::move(other.endpoint_))
{
}

ListeningSocket::~ListeningSocket()
{
    if (descriptor_ >= 0) {
        ::close(descriptor_);
        if (endpoint_.transport == Endpoint::Transport::ipc) {
            ::unlink(endpoint_.path.c_str());
        }
    }
}

Outcome<ListeningSocket> ListeningSocket::open(const Endpoint& endpoint)
{
    const auto address = TRY(resolve(endpoint));
    ListeningSocket socket;
    socket.descriptor_ = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    ::setsockopt(socket.descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (socket.descriptor_ < 0 || ::bind(socket.descriptor_, address.get(), address.size) != 0 ||
        ::listen(socket.descriptor_, backlog) != 0) {
        if (errno == EADDRINUSE) {
            return fault(Kind::conflict, "listening on " + endpoint.text() + ": another program listens there already");
        }
        return std::unexpected(system_fault("listening on " + endpoint.text(), errno));
    }
    socket.endpoint_ = endpoint;
    if (endpoint.transport == Endpoint::Transport::tcp) {
        SocketAddress bound;
        bound.size = sizeof bound.storage;
        ::getsockname(socket.descriptor_, reinterpret_cast<sockaddr*>(&bound.storage), &bound.size);
        std::array<char, NI_MAXSERV> port{};
        getnameinfo(bound.get(), bound.size, nullptr, 0, port.data(), port.size(), NI_NUMERICSERV);
        socket.endpoint_.port = port.data();
    }
    return socket;
}

std::optional<ListeningSocket::Accepted> ListeningSocket::accept()
{
    SocketAddress peer;
    peer.size = sizeof peer.storage;
    const int descriptor =
        ::accept4(descriptor_, reinterpret_cast<sockaddr*>(&peer.storage), &peer.size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor < 0) {
        return std::nullopt;
    }
    Accepted accepted{Stream(descriptor), "local", "local"};
    if (endpoint_.transport == Endpoint::Transport::tcp) {
        set_no_delay(descriptor);
        std::array<char, NI_MAXHOST> host{};
        std::array<char, NI_MAXSERV> port{};
        getnameinfo(peer.get(), peer.size, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV);
        accepted.source = host.data();
        accepted.name = accepted.source + ":" + port.data();
    }
    return accepted;
}

} // namespace caisson::services::gateway
