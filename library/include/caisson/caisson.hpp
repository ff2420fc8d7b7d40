// C++ on top of caisson.h: owners for its handles, and errors as exceptions. Header only; C++20 or later.
// Threads and limits: as caisson.h says. Errors: caisson::failure, with the code and the text.
#pragma once

#include <caisson/caisson.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace caisson {

class failure : public std::runtime_error {
  public:
    explicit failure(int code)
        : std::runtime_error(caisson_error_text())
        , code_(code)
    {
    }
    [[nodiscard]] int code() const noexcept { return code_; } // enum caisson_code

  private:
    int code_;
};

// Throws unless the call succeeded.
inline void check(int code)
{
    if (code < 0) {
        throw failure(code);
    }
}

using public_key = std::array<std::uint8_t, CAISSON_KEY_BYTES>;
using message = std::vector<std::string>; // parts

inline std::string z85(const public_key& key)
{
    std::array<char, 41> text{};
    std::size_t size = text.size();
    check(caisson_z85_encode(key.data(), key.size(), text.data(), &size));
    return std::string(text.data(), size);
}

inline public_key key_from_z85(const std::string& text)
{
    public_key key{};
    std::size_t size = key.size();
    check(caisson_z85_decode(text.c_str(), key.data(), &size));
    if (size != key.size()) {
        throw std::invalid_argument("a public key has 40 letters of Z85");
    }
    return key;
}

namespace detail {

template <typename T, void (*Free)(T*)>
struct freer {
    void operator()(T* pointer) const noexcept { Free(pointer); }
};
template <typename T, void (*Free)(T*)>
using owner = std::unique_ptr<T, freer<T, Free>>;

inline std::vector<caisson_part> parts_of(const message& parts)
{
    std::vector<caisson_part> out;
    for (const auto& part : parts) {
        out.push_back({reinterpret_cast<const std::uint8_t*>(part.data()), part.size()});
    }
    return out;
}

inline message message_of(caisson_parts* parts)
{
    const owner<caisson_parts, caisson_parts_free> owned(parts);
    message out;
    for (std::size_t index = 0; index < caisson_parts_count(parts); ++index) {
        const auto part = caisson_parts_at(parts, index);
        out.emplace_back(reinterpret_cast<const char*>(part.bytes), part.size);
    }
    return out;
}

} // namespace detail

struct key {
    std::uint32_t number = 0;
    public_key public_part{};
};

class chamber {
  public:
    // Empty: the default home.
    explicit chamber(const std::string& home = {})
    {
        caisson_chamber* opened = nullptr;
        check(caisson_open(home.empty() ? nullptr : home.c_str(), &opened));
        owned_.reset(opened);
    }

    [[nodiscard]] key load_key(const std::string& name)
    {
        key loaded;
        check(caisson_load_key(get(), name.c_str(), &loaded.number, loaded.public_part.data()));
        return loaded;
    }
    // A key that is kept nowhere but in the chamber, admits everybody, and ends with it.
    [[nodiscard]] key make_key()
    {
        key made;
        std::array<std::uint8_t, CAISSON_SEALED_KEY_BYTES_MAX> sealed{};
        std::size_t size = sealed.size();
        check(caisson_create_key_pair(get(), nullptr, made.public_part.data(), sealed.data(), &size));
        check(caisson_import_sealed_private_key(get(), sealed.data(), size, &made.number, made.public_part.data()));
        return made;
    }
    [[nodiscard]] std::string describe()
    {
        std::array<char, 256> text{};
        std::size_t size = text.size();
        check(caisson_describe(get(), text.data(), &size));
        return std::string(text.data(), size);
    }
    [[nodiscard]] caisson_chamber* get() noexcept { return owned_.get(); }

  private:
    detail::owner<caisson_chamber, caisson_close> owned_;
};

class socket {
  public:
    // Unprotected (NULL).
    explicit socket(int type) { open(nullptr, type); }
    // CURVE server with this key; with `server`, the client of it.
    socket(chamber& in, int type, const key& own, const std::optional<public_key>& server = std::nullopt)
    {
        open(in.get(), type);
        check(caisson_socket_set_key(get(), own.number));
        if (server) {
            check(caisson_socket_set_server_key(get(), server->data()));
        }
    }

    void set(int option, std::int64_t value) { check(caisson_socket_set(get(), option, value)); }
    void set_identity(std::string_view identity)
    {
        check(caisson_socket_set_identity(get(), reinterpret_cast<const std::uint8_t*>(identity.data()),
                                          identity.size()));
    }
    void allow(const public_key& client) { check(caisson_socket_allow(get(), client.data())); }
    // Returns the address with the real port.
    std::string bind(const std::string& address)
    {
        std::array<char, 256> bound{};
        std::size_t size = bound.size();
        check(caisson_socket_bind(get(), address.c_str(), bound.data(), &size));
        return std::string(bound.data(), size);
    }
    void connect(const std::string& address) { check(caisson_socket_connect(get(), address.c_str())); }
    void subscribe(std::string_view prefix)
    {
        check(caisson_socket_subscribe(get(), reinterpret_cast<const std::uint8_t*>(prefix.data()), prefix.size()));
    }
    void send(const message& parts, int timeout_ms = -1)
    {
        const auto views = detail::parts_of(parts);
        check(caisson_socket_send(get(), views.data(), views.size(), timeout_ms));
    }
    // Nothing when the time is up.
    [[nodiscard]] std::optional<message> receive(int timeout_ms = -1)
    {
        caisson_parts* parts = nullptr;
        const int code = caisson_socket_receive(get(), &parts, timeout_ms);
        if (code == CAISSON_UNAVAILABLE) {
            return std::nullopt;
        }
        check(code);
        return detail::message_of(parts);
    }
    [[nodiscard]] public_key last_peer()
    {
        public_key peer{};
        check(caisson_socket_last_peer(get(), peer.data()));
        return peer;
    }
    [[nodiscard]] int peer_count() { return caisson_socket_peer_count(get()); }
    [[nodiscard]] caisson_socket* get() noexcept { return owned_.get(); }

  private:
    void open(caisson_chamber* in, int type)
    {
        caisson_socket* opened = nullptr;
        check(caisson_socket_open(in, type, &opened));
        owned_.reset(opened);
    }
    detail::owner<caisson_socket, caisson_socket_close> owned_;
};

struct event {
    int type = 0; // enum caisson_event_type
    int code = 0;
    public_key peer{};
    message parts;
};

class endpoint {
  public:
    endpoint(chamber& in, const key& own)
    {
        caisson_endpoint* opened = nullptr;
        check(caisson_endpoint_open(in.get(), own.number, &opened));
        owned_.reset(opened);
    }

    void set(int option, std::int64_t value) { check(caisson_endpoint_set(get(), option, value)); }
    void allow(const public_key& peer) { check(caisson_endpoint_allow(get(), peer.data())); }
    void keep_letters(const std::string& folder) { check(caisson_endpoint_keep_letters(get(), folder.c_str())); }
    void connect(const public_key& peer, const message& route = {})
    {
        const auto views = detail::parts_of(route);
        check(caisson_endpoint_connect(get(), peer.data(), views.data(), views.size()));
    }
    [[nodiscard]] bool is_open(const public_key& peer) { return caisson_endpoint_is_open(get(), peer.data()) == 1; }
    void send(const public_key& peer, const message& parts)
    {
        const auto views = detail::parts_of(parts);
        check(caisson_endpoint_send(get(), peer.data(), views.data(), views.size()));
    }
    void send_many(std::span<const public_key> peers, const message& route, const message& parts)
    {
        const auto way = detail::parts_of(route);
        const auto views = detail::parts_of(parts);
        check(caisson_endpoint_send_many(get(), first_of(peers), peers.size(), way.data(), way.size(), views.data(),
                                         views.size()));
    }
    void send_letter(std::span<const public_key> peers, const message& route, const message& parts)
    {
        const auto way = detail::parts_of(route);
        const auto views = detail::parts_of(parts);
        check(caisson_endpoint_send_letter(get(), first_of(peers), peers.size(), way.data(), way.size(), views.data(),
                                           views.size()));
    }
    void rekey(const public_key& peer) { check(caisson_endpoint_rekey(get(), peer.data())); }
    void disconnect(const public_key& peer) { check(caisson_endpoint_disconnect(get(), peer.data())); }

    // The carrier's side: what it received, and what it is to send.
    void receive(const message& parts)
    {
        const auto views = detail::parts_of(parts);
        check(caisson_endpoint_receive(get(), views.data(), views.size()));
    }
    [[nodiscard]] std::optional<message> outgoing()
    {
        caisson_parts* parts = nullptr;
        const int code = caisson_endpoint_outgoing(get(), &parts);
        if (code == CAISSON_MISSING) {
            return std::nullopt;
        }
        check(code);
        return detail::message_of(parts);
    }
    // The same over a socket of this library.
    void pump(socket& carrier, int timeout_ms) { check(caisson_endpoint_pump(get(), carrier.get(), timeout_ms)); }

    [[nodiscard]] std::optional<event> next()
    {
        caisson_event raw{};
        const int code = caisson_endpoint_next(get(), &raw);
        if (code == CAISSON_MISSING) {
            return std::nullopt;
        }
        check(code);
        event out;
        out.type = raw.type;
        out.code = raw.code;
        std::copy(std::begin(raw.peer), std::end(raw.peer), out.peer.begin());
        if (raw.parts != nullptr) {
            out.parts = detail::message_of(raw.parts);
        }
        return out;
    }
    [[nodiscard]] caisson_endpoint* get() noexcept { return owned_.get(); }

  private:
    static const std::uint8_t* first_of(std::span<const public_key> peers)
    {
        return peers.empty() ? nullptr : peers.front().data();
    }
    detail::owner<caisson_endpoint, caisson_endpoint_close> owned_;
};

} // namespace caisson
