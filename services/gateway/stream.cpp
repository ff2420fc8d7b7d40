#include "services/gateway/stream.hpp"

#include <linux/sockios.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

namespace caisson::services::gateway {
namespace {

using host::Done;
using host::fault;
using host::Outcome;
using host::system_fault;

constexpr std::size_t read_bytes_min = std::size_t{128} << 10U;
constexpr std::size_t read_bytes_max = std::size_t{1} << 20U;
constexpr std::size_t pieces_at_once_max = 64;
constexpr int backlog = 4096; // the system cuts it to what it permits

struct FreeAddresses {
    void operator()(addrinfo* addresses) const noexcept { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

SocketAddress ipc_address(const Endpoint& endpoint)
{
    SocketAddress address;
    auto& local = reinterpret_cast<sockaddr_un&>(address.storage);
    local.sun_family = AF_UNIX;
    endpoint.path.copy(local.sun_path, sizeof local.sun_path - 1);
    address.size = sizeof local;
    return address;
}

SocketAddress vsock_address(const Endpoint& endpoint)
{
    SocketAddress address;
    auto& vm = reinterpret_cast<sockaddr_vm&>(address.storage);
    vm.svm_family = AF_VSOCK;
    vm.svm_cid = endpoint.host == "*" ? VMADDR_CID_ANY : static_cast<std::uint32_t>(std::stoul(endpoint.host));
    vm.svm_port = static_cast<std::uint32_t>(std::stoul(endpoint.port));
    address.size = sizeof vm;
    return address;
}

// Numbers alone: nobody is asked.
Outcome<SocketAddress> internet_address(const Endpoint& endpoint, int flags)
{
    addrinfo hints{};
    hints.ai_family = endpoint.host == "*" ? AF_INET : AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE | flags;
    const char* const host = endpoint.host == "*"           ? nullptr
                             : endpoint.host == "localhost" ? "127.0.0.1"
                                                            : endpoint.host.c_str();
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(host, endpoint.port.c_str(), &hints, &found); error != 0) {
        return fault(Kind::malformed, endpoint.text() + ": " + gai_strerror(error));
    }
    const Addresses owned(found);
    SocketAddress address;
    std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.size = found->ai_addrlen;
    return address;
}

// Only a kernel with the loopback transport lets a socket be bound to the machine's own context.
bool has_vsock_loopback()
{
    const Stream probe(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SocketAddress address;
    auto& vm = reinterpret_cast<sockaddr_vm&>(address.storage);
    vm.svm_family = AF_VSOCK;
    vm.svm_cid = VMADDR_CID_LOCAL;
    vm.svm_port = VMADDR_PORT_ANY;
    return probe.open() && ::bind(probe.descriptor(), address.get(), sizeof vm) == 0;
}

void set_no_delay(int descriptor)
{
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

} // namespace

std::optional<Outcome<SocketAddress>> known_address(const Endpoint& endpoint)
{
    switch (endpoint.transport) {
    case Endpoint::Transport::ipc: return ipc_address(endpoint);
    case Endpoint::Transport::vsock: return vsock_address(endpoint);
    case Endpoint::Transport::tcp: break;
    }
    auto address = internet_address(endpoint, AI_NUMERICHOST);
    return address ? std::optional(std::move(address)) : std::nullopt;
}

Outcome<SocketAddress> resolve(const Endpoint& endpoint)
{
    auto known = known_address(endpoint);
    return known ? std::move(*known) : internet_address(endpoint, 0);
}

// [GATE-17]
Done check_transport(const Endpoint& endpoint)
{
    if (endpoint.transport != Endpoint::Transport::vsock) {
        return {};
    }
    const Stream probe(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!probe.open()) {
        return fault(Kind::unavailable, endpoint.text() + ": this kernel has no vsock (" + std::strerror(errno) +
                                            "); load vsock and a transport, or use tcp:// or ipc://");
    }
    if (endpoint.host == std::to_string(VMADDR_CID_LOCAL) && !has_vsock_loopback()) {
        return fault(Kind::unavailable, endpoint.text() +
                                            ": this kernel has no vsock between programs of one machine (module "
                                            "vsock_loopback); load it, or use tcp:// or ipc:// here");
    }
    return {};
}

Stream::Stream(Stream&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1))
    , error_(other.error_)
    , is_blocked_(other.is_blocked_)
    , read_bytes_(other.read_bytes_)
    , input_(std::move(other.input_))
    , output_(std::move(other.output_))
{
}

Stream& Stream::operator=(Stream&& other) noexcept
{
    if (this != &other) {
        close();
        descriptor_ = std::exchange(other.descriptor_, -1);
        error_ = other.error_;
        is_blocked_ = other.is_blocked_;
        read_bytes_ = other.read_bytes_;
        input_ = std::move(other.input_);
        output_ = std::move(other.output_);
    }
    return *this;
}

bool Stream::is_unread() const noexcept
{
    int family = 0;
    socklen_t size = sizeof family;
    int unread = 0;
    return ::getsockopt(descriptor_, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_UNIX &&
           ::ioctl(descriptor_, SIOCOUTQ, &unread) == 0 && unread > 0;
}

void Stream::close() noexcept
{
    if (descriptor_ >= 0) {
        ::close(std::exchange(descriptor_, -1));
    }
    input_.clear();
    output_.clear();
}

Outcome<Stream> Stream::connect(const Endpoint& endpoint)
{
    const auto known = known_address(endpoint);
    if (!known) {
        return fault(Kind::malformed, endpoint.text() + ": an address is expected, not a name");
    }
    return connect(endpoint, TRY(*known));
}

Outcome<Stream> Stream::connect(const Endpoint& endpoint, const SocketAddress& address)
{
    TRY(check_transport(endpoint));
    Stream stream(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!stream.open() || (::connect(stream.descriptor(), address.get(), address.size) != 0 && errno != EINPROGRESS)) {
        if (errno == EAGAIN) {
            return fault(Kind::exhausted, "connecting to " + endpoint.text() + ": too many wait there already");
        }
        return std::unexpected(system_fault("connecting to " + endpoint.text(), errno));
    }
    if (endpoint.transport == Endpoint::Transport::tcp) {
        set_no_delay(stream.descriptor());
    }
    return stream;
}

bool Stream::read_some()
{
    read_bytes_ = std::max(read_bytes_, read_bytes_min);
    const auto room = input_.room(read_bytes_);
    const auto got = ::recv(descriptor_, room.data(), room.size(), 0);
    const int error = errno;
    const auto came = static_cast<std::size_t>(got > 0 ? got : 0);
    read_bytes_ = came >= read_bytes_      ? std::min(2 * read_bytes_, read_bytes_max)
                  : came < read_bytes_ / 4 ? std::max(read_bytes_ / 2, read_bytes_min)
                                           : read_bytes_;
    input_.commit(came);
    if (input_.size() == 0) {
        input_.consume(0); // nothing came: the room goes back
    }
    error_ = got < 0 ? error : 0;
    return got > 0 || (got < 0 && (error == EAGAIN || error == EINTR));
}

bool Stream::flush()
{
    if (output_.size() == 0) {
        return true;
    }
    const auto waiting = output_.bytes();
    const auto sent = ::send(descriptor_, waiting.data(), waiting.size(), MSG_NOSIGNAL);
    is_blocked_ = sent < static_cast<ssize_t>(waiting.size());
    if (sent < 0) {
        error_ = errno;
        return error_ == EAGAIN || error_ == EINTR || error_ == ENOTCONN;
    }
    output_.consume(static_cast<std::size_t>(sent));
    return true;
}

// What failed to connect says so at its next read (tcp), or only when it is asked (vsock).
std::string Stream::what_broke() const
{
    int error = error_;
    if (error == ENOTCONN) {
        socklen_t size = sizeof error;
        if (::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error == 0) {
            error = ENOTCONN;
        }
    }
    return error == 0 ? std::string() : std::strerror(error);
}

void Stream::give(Buffer&& bytes)
{
    if (output_.size() == 0) {
        output_ = std::move(bytes);
    } else {
        output_.append(bytes.bytes());
        bytes.clear();
    }
}

std::size_t Stream::send_pieces(std::span<const Bytes> pieces)
{
    std::array<iovec, pieces_at_once_max> vectors{};
    const auto count = std::min(pieces.size(), vectors.size());
    std::size_t offered = 0;
    for (std::size_t index = 0; index < count; ++index) {
        const auto& piece = pieces[index];
        vectors[index] = {const_cast<std::uint8_t*>(piece.data()), piece.size()}; // it is only read
        offered += piece.size();
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const auto sent = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL);
    const auto taken = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
    is_blocked_ = taken < offered && (sent >= 0 || errno == EAGAIN);
    return taken;
}

void Stream::give(std::span<const Bytes> pieces)
{
    std::size_t taken = output_.size() == 0 ? send_pieces(pieces) : 0;
    for (const auto& piece : pieces) {
        const auto gone = std::min(piece.size(), taken);
        taken -= gone;
        output_.append(piece.subspan(gone));
    }
}

Outcome<::uid_t> Stream::peer_uid() const
{
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(descriptor_, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        return std::unexpected(system_fault("asking whose program the other end is", errno));
    }
    return credentials.uid;
}

PeerName peer_name(const SocketAddress& address)
{
    if (address.storage.ss_family == AF_VSOCK) {
        const auto& vm = reinterpret_cast<const sockaddr_vm&>(address.storage);
        const auto source = "vsock:" + std::to_string(vm.svm_cid);
        return {source, source + ":" + std::to_string(vm.svm_port)};
    }
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    const bool is_internet = address.storage.ss_family == AF_INET || address.storage.ss_family == AF_INET6;
    if (!is_internet || getnameinfo(address.get(), address.size, host.data(), host.size(), port.data(), port.size(),
                                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return {"local", "local"};
    }
    return {host.data(), std::string(host.data()) + ":" + port.data()};
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

namespace {

// A socket file that nobody serves any more, as a killed program leaves it.
bool is_abandoned(const SocketAddress& address)
{
    const Stream probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return ::connect(probe.descriptor(), address.get(), address.size) != 0 && errno == ECONNREFUSED;
}

std::string port_of(int descriptor)
{
    SocketAddress bound;
    bound.size = sizeof bound.storage;
    ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound.storage), &bound.size);
    if (bound.storage.ss_family == AF_VSOCK) {
        return std::to_string(reinterpret_cast<const sockaddr_vm&>(bound.storage).svm_port);
    }
    std::array<char, NI_MAXSERV> port{};
    getnameinfo(bound.get(), bound.size, nullptr, 0, port.data(), port.size(), NI_NUMERICSERV);
    return port.data();
}

} // namespace

Outcome<ListeningSocket> ListeningSocket::open(const Endpoint& endpoint)
{
    TRY(check_transport(endpoint));
    const auto address = TRY(resolve(endpoint));
    const bool is_ipc = endpoint.transport == Endpoint::Transport::ipc;
    ListeningSocket socket;
    socket.descriptor_ = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    ::setsockopt(socket.descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (endpoint.transport == Endpoint::Transport::tcp) {
        set_no_delay(socket.descriptor_); // and so of each connection that comes in there
    }
    const auto bind = [&] { return ::bind(socket.descriptor_, address.get(), address.size) == 0; };
    bool bound = socket.descriptor_ >= 0 && bind();
    if (!bound && errno == EADDRINUSE && is_ipc && is_abandoned(address)) {
        ::unlink(endpoint.path.c_str());
        bound = bind();
    }
    if (!bound || ::listen(socket.descriptor_, backlog) != 0) {
        if (errno == EADDRINUSE) {
            return fault(Kind::conflict, "listening on " + endpoint.text() + ": another program listens there already");
        }
        if (endpoint.transport == Endpoint::Transport::vsock && errno == EADDRNOTAVAIL) {
            return fault(Kind::unavailable, "listening on " + endpoint.text() +
                                                ": this machine does not have that context; vsock://*:" +
                                                endpoint.port + " listens on the one it has");
        }
        if (!is_ipc && errno == EACCES) {
            return fault(Kind::forbidden, "listening on " + endpoint.text() +
                                              ": not permitted to this user; take a port from 1024 on, or give the "
                                              "gateway CAP_NET_BIND_SERVICE");
        }
        return std::unexpected(system_fault("listening on " + endpoint.text(), errno));
    }
    socket.endpoint_ = endpoint;
    if (!is_ipc) {
        socket.endpoint_.port = port_of(socket.descriptor_);
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
    auto [source, name] = peer_name(peer);
    return Accepted{Stream(descriptor), std::move(source), std::move(name)};
}

} // namespace caisson::services::gateway
