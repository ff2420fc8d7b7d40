// Non-blocking stream sockets with their buffers: what the relay reads from and writes to.
#pragma once

#include "host/fault.hpp"
#include "services/gateway/buffer.hpp"
#include "services/gateway/endpoint.hpp"

#include <optional>
#include <string>

#include <sys/socket.h>
#include <sys/types.h>

namespace caisson::services::gateway {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

// The address of an endpoint that names no name (localhost is 127.0.0.1, whatever a name server says); else nothing.
[[nodiscard]] std::optional<host::Outcome<SocketAddress>> known_address(const Endpoint& endpoint);
// The same for names too. May wait for a name server. Fails: malformed (the name does not resolve).
[[nodiscard]] host::Outcome<SocketAddress> resolve(const Endpoint& endpoint);
// Fails: unavailable (this kernel has not what the endpoint needs: vsock, or vsock between programs of one machine).
[[nodiscard]] host::Done check_transport(const Endpoint& endpoint);

class Stream {
  public:
    Stream() = default;
    explicit Stream(int descriptor) noexcept
        : descriptor_(descriptor)
    {
    }
    ~Stream() { close(); }
    Stream(Stream&& other) noexcept;
    Stream& operator=(Stream&& other) noexcept;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Begins to connect; an error may show only at the first read or write. Fails: exhausted (the other's queue is
    // full: later), and what the system says.
    static host::Outcome<Stream> connect(const Endpoint& endpoint, const SocketAddress& address);
    // The same for an endpoint that names no name. Fails: malformed (it does).
    static host::Outcome<Stream> connect(const Endpoint& endpoint);

    [[nodiscard]] bool open() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    void close() noexcept;

    // Takes what is there, once. False: the peer is gone.
    [[nodiscard]] bool read_some();
    // Gives what can be given, once. False: the peer is gone.
    [[nodiscard]] bool flush();

    [[nodiscard]] Bytes input() const noexcept { return input_.bytes(); }
    void consume(std::size_t count) { input_.consume(count); }
    void write(Bytes bytes) { output_.append(bytes); }
    // The same, without a copy when nothing waits before them.
    void give(Buffer&& bytes);
    // The same for octets that lie in pieces and soon elsewhere: what the socket takes at once is copied nowhere. What
    // is wrong with it, the next flush says.
    void give(std::span<const Bytes> pieces);
    // The outgoing octets, to be written in place.
    [[nodiscard]] Buffer& output() noexcept { return output_; }
    [[nodiscard]] std::size_t output_bytes() const noexcept { return output_.size(); }
    // At the last try it did not take all: it takes more when it is writable again.
    [[nodiscard]] bool is_blocked() const noexcept { return is_blocked_ && output_.size() > 0; }
    // On ipc: whether the other end has yet to read what was written. What it has not read when this closes, libzmq
    // may never read.
    [[nodiscard]] bool is_unread() const noexcept;
    // After read_some or flush said that the peer is gone: how, in the system's words; nothing when it just closed.
    [[nodiscard]] std::string what_broke() const;

    // The other end's user, for ipc. Fails: unavailable.
    [[nodiscard]] host::Outcome<::uid_t> peer_uid() const;

  private:
    [[nodiscard]] std::size_t send_pieces(std::span<const Bytes> pieces);

    int descriptor_ = -1;
    int error_ = 0; // of the system, at the last read or write that failed
    bool is_blocked_ = false;
    std::size_t read_bytes_ = 0; // how much is asked for at once: more while all of it comes
    Buffer input_;
    Buffer output_;
};

// Who is at the other end of an accepted connection: "192.0.2.7:4000", "vsock:CID:PORT", "local".
struct PeerName {
    std::string source; // the address without the port: what limits count by
    std::string name;   // for the log
};
[[nodiscard]] PeerName peer_name(const SocketAddress& address);

class ListeningSocket {
  public:
    // Fails: conflict (in use), malformed (the name does not resolve), and what the system says.
    static host::Outcome<ListeningSocket> open(const Endpoint& endpoint);
    ~ListeningSocket();
    ListeningSocket(ListeningSocket&& other) noexcept;
    ListeningSocket& operator=(ListeningSocket&&) = delete;
    ListeningSocket(const ListeningSocket&) = delete;

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    [[nodiscard]] const Endpoint& endpoint() const noexcept { return endpoint_; } // with the real port
    struct Accepted {
        Stream stream;
        std::string source; // the address without the port: what limits count by
        std::string name;   // for the log
    };
    [[nodiscard]] std::optional<Accepted> accept();

  private:
    ListeningSocket() = default;
    int descriptor_ = -1;
    Endpoint endpoint_;
};

} // namespace caisson::services::gateway
