// Addresses and stream sockets of the library's ZeroMQ sockets: tcp://HOST:PORT and ipc:///PATH, non-blocking.
#pragma once

#include "core/bytes.hpp"
#include "library/failure.hpp"

#include <string>
#include <utility>

namespace caisson::library {

struct Address {
    enum class Transport : std::uint8_t { tcp, ipc };
    Transport transport = Transport::tcp;
    std::string host;
    std::string port;
    std::string path;

    [[nodiscard]] std::string text() const;
};

// Fails: malformed.
Outcome<Address> parse_address(const std::string& text);

// A file descriptor that closes itself.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int number) noexcept
        : number_(number)
    {
    }
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept
        : number_(std::exchange(other.number_, -1))
    {
    }
    Descriptor& operator=(Descriptor&& other) noexcept
    {
        std::swap(number_, other.number_);
        return *this;
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int number() const noexcept { return number_; }

  private:
    int number_ = -1;
};

// Begins to connect; an error may show only at the first read or write.
Outcome<Descriptor> begin_connect(const Address& address);

class ListeningSocket {
  public:
    // Fails: conflict (in use), malformed (the name does not resolve), and what the system says.
    static Outcome<ListeningSocket> open(const Address& address);
    ~ListeningSocket();
    ListeningSocket(ListeningSocket&& other) noexcept = default;
    ListeningSocket& operator=(ListeningSocket&&) = delete;
    ListeningSocket(const ListeningSocket&) = delete;

    [[nodiscard]] int descriptor() const noexcept { return descriptor_.number(); }
    [[nodiscard]] const Address& address() const noexcept { return address_; } // with the real port
    // None waiting: a descriptor below 0.
    [[nodiscard]] Descriptor accept() const;

  private:
    ListeningSocket() = default;
    Descriptor descriptor_;
    Address address_;
};

} // namespace caisson::library
