#include "host/net/node_link_client.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace caisson::host::net {
namespace {

namespace node_link = protocol::node_link;
using Clock = std::chrono::steady_clock;

} // namespace

// Fails: unavailable (not ready in time, or given up).
Done NodeLinkClient::wait_for(short events, Clock::time_point until) const
{
    while (true) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
        std::array<pollfd, 2> descriptors{pollfd{socket_, events, 0}, pollfd{give_up_fd_, POLLIN, 0}}; // -1: ignored
        const auto ready =
            ::poll(descriptors.data(), descriptors.size(), static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
        if (ready > 0) {
            return descriptors[1].revents == 0 ? Done{} : fault(Kind::unavailable, "the agent is asked no more");
        }
        if (ready < 0 && errno != EINTR) {
            return std::unexpected(system_fault("waiting for the agent", errno));
        }
        if (ready == 0) {
            return fault(Kind::unavailable, "the agent did not answer in time");
        }
    }
}

Outcome<NodeLinkClient> NodeLinkClient::connect(const std::filesystem::path& socket, int give_up_fd)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = socket.string();
    if (path.size() >= sizeof address.sun_path) {
        return fault(Kind::malformed, "agent socket " + path +
                                          ": the path is too long for a unix socket; choose a "
                                          "shorter --home");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    NodeLinkClient client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), give_up_fd);
    if (client.socket_ < 0) {
        return std::unexpected(system_fault("making a socket", errno));
    }
    if (::connect(client.socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const auto why = system_fault("connecting to the agent at " + path, errno);
        return fault(why.kind == Kind::forbidden ? Kind::forbidden : Kind::unavailable,
                     why.what + "; is \"caisson agent run\" running with this home?");
    }
    return client;
}

NodeLinkClient::NodeLinkClient(NodeLinkClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1))
    , give_up_fd_(other.give_up_fd_)
    , usable_(other.usable_)
    , request_(other.request_)
    , buffer_(std::move(other.buffer_))
{
}

NodeLinkClient& NodeLinkClient::operator=(NodeLinkClient&& other) noexcept
{
    std::swap(socket_, other.socket_);
    give_up_fd_ = other.give_up_fd_;
    usable_ = other.usable_;
    request_ = other.request_;
    buffer_ = std::move(other.buffer_);
    return *this;
}

NodeLinkClient::~NodeLinkClient()
{
    if (socket_ >= 0) {
        ::close(socket_);
    }
}

Done NodeLinkClient::send_all(Bytes bytes, Clock::time_point until)
{
    while (!bytes.empty()) {
        const auto count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        } else if (errno == EAGAIN) {
            TRY(wait_for(POLLOUT, until));
        } else if (errno != EINTR) {
            return fault(Kind::unavailable, "the connection to the agent ended");
        }
    }
    return {};
}

Done NodeLinkClient::receive_all(MutableBytes bytes, Clock::time_point until)
{
    while (!bytes.empty()) {
        const auto count = ::recv(socket_, bytes.data(), bytes.size(), 0);
        if (count > 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        } else if (count < 0 && errno == EAGAIN) {
            TRY(wait_for(POLLIN, until));
        } else if (count == 0 || errno != EINTR) {
            return fault(Kind::unavailable, "the connection to the agent ended");
        }
    }
    return {};
}

Outcome<node_link::Message> NodeLinkClient::ask(const node_link::Message& message, std::chrono::milliseconds wait)
{
    const auto until = Clock::now() + wait;
    usable_ = false;
    ++request_;
    buffer_.resize(node_link::frame_head_bytes + node_link::frame_bytes_max);
    const auto size = TRY(node_link::write_frame(buffer_, {request_, message}));
    TRY(send_all(Bytes(buffer_).first(size), until));

    ByteArray<node_link::frame_head_bytes> head;
    TRY(receive_all(head, until));
    const auto body_size = TRY(node_link::read_frame_head(head));
    const auto body = MutableBytes(buffer_).first(body_size);
    TRY(receive_all(body, until));
    auto frame = TRY(node_link::read_frame_body(body));
    if (frame.request != request_) {
        return fault(Kind::malformed, "the agent answered another request");
    }
    usable_ = true;
    if (const auto* const refused = std::get_if<node_link::Refused>(&frame.message)) {
        return fault(refused->kind, "the agent refused: " + std::string(refused->text));
    }
    return frame.message;
}

} // namespace caisson::host::net
