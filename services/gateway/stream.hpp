// Non-blocking stream sockets with their buffers: what the relay reads from and writes to.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"
#include "services/gateway/config.hpp"

#include <string>
#include <vector>

namespace caisson::services::gateway {

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

    // Begins to connect; an error may show only at the first read or write.
    static host::Outcome<Stream> connect(const Endpoint& endpoint);

    [[nodiscard]] bool open() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    void close() noexcept;

    // Takes what is there. False: the peer is gone.
    [[nodiscard]] bool read_some();
    // Gives what can be given. False: the peer is gone.
    [[nodiscard]] bool flush();

    [[nodiscard]] Bytes input() const noexcept { return Bytes(input_).subspan(input_used_); }
    void consume(std::size_t count);
    void write(Bytes bytes);
    [[nodiscard]] std::size_t output_bytes() const noexcept { return output_.size() - output_used_; }

    // The other end's user, for ipc. Fails: unavailable.
    [[nodiscard]] host::Outcome<::uid_t> peer_uid() const;

  private:
    int descriptor_ = -1;
    std::vector<std::uint8_t> input_;
    std::size_t input_used_ = 0;
    std::vector<std::uint8_t> output_;
    std::size_t output_used_ = 0;
};

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
