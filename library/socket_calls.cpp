// Sockets of the C interface.
#include "library/socket.hpp"

#include <algorithm>

namespace {

using namespace caisson;
using library::Done;
using library::fault;
using library::guarded;
using library::null_pointer;
using library::view;

std::vector<Bytes> views(const caisson_part* parts, std::size_t count)
{
    std::vector<Bytes> out(count);
    for (std::size_t index = 0; index < count; ++index) {
        out[index] = view(parts[index].bytes, parts[index].size);
    }
    return out;
}

Done set_option(library::SocketSettings& settings, int option, std::int64_t value)
{
    if (value < 0) {
        return fault(Kind::malformed, "an option's value is below 0");
    }
    const auto size = static_cast<std::size_t>(value);
    switch (option) {
    case CAISSON_LINGER_MS: settings.linger = std::chrono::milliseconds(value); return {};
    case CAISSON_MESSAGE_SIZE_MAX: settings.part_bytes_max = size; return {};
    case CAISSON_SEND_QUEUE_BYTES: settings.send_queue_bytes = size; return {};
    case CAISSON_HANDSHAKE_MS: settings.handshake = std::chrono::milliseconds(value); return {};
    case CAISSON_RECEIVE_QUEUE_BYTES: settings.receive_queue_bytes = size; return {};
    default: return fault(Kind::malformed, "there is no such option");
    }
}

} // namespace

extern "C" {

size_t caisson_parts_count(const caisson_parts* parts)
{
    return parts == nullptr ? 0 : parts->parts.size();
}

caisson_part caisson_parts_at(const caisson_parts* parts, size_t index)
{
    if (parts == nullptr || index >= parts->parts.size()) {
        return {nullptr, 0};
    }
    return {parts->parts[index].data(), parts->parts[index].size()};
}

void caisson_parts_free(caisson_parts* parts)
{
    delete parts;
}

int caisson_socket_open(caisson_chamber* chamber, int type, caisson_socket** out)
{
    return guarded([&]() -> Done {
        if (out == nullptr) {
            return null_pointer();
        }
        *out = nullptr;
        auto inside = TRY(library::Socket::open(chamber == nullptr ? nullptr : chamber->inside.get(), type));
        *out = new caisson_socket{std::move(inside)};
        return {};
    });
}

void caisson_socket_close(caisson_socket* socket)
{
    delete socket;
}

int caisson_socket_set_key(caisson_socket* socket, uint32_t key)
{
    return guarded([&]() -> Done {
        if (socket == nullptr) {
            return null_pointer();
        }
        TRY(socket->inside->expect_unused());
        auto& settings = socket->inside->settings();
        if (settings.chamber == nullptr) {
            return fault(Kind::forbidden, "a socket without a chamber has no key");
        }
        TRY(settings.chamber->facts_of(key));
        settings.key = key;
        return {};
    });
}

int caisson_socket_set_server_key(caisson_socket* socket, const uint8_t* server_key)
{
    return guarded([&]() -> Done {
        if (socket == nullptr || server_key == nullptr) {
            return null_pointer();
        }
        TRY(socket->inside->expect_unused());
        auto& key = socket->inside->settings().server_key.emplace();
        std::copy_n(server_key, CAISSON_KEY_BYTES, key.bytes.begin());
        return {};
    });
}

int caisson_socket_allow(caisson_socket* socket, const uint8_t* client_key)
{
    return guarded([&]() -> Done {
        if (socket == nullptr || client_key == nullptr) {
            return null_pointer();
        }
        library::CurveKey key;
        std::copy_n(client_key, CAISSON_KEY_BYTES, key.bytes.begin());
        socket->inside->settings().allowed.insert(key);
        return {};
    });
}

int caisson_socket_set_identity(caisson_socket* socket, const uint8_t* identity, size_t size)
{
    return guarded([&]() -> Done {
        if (socket == nullptr || identity == nullptr) {
            return null_pointer();
        }
        if (size == 0 || size > 255 || identity[0] == 0) {
            return fault(Kind::malformed, "an identity has 1 to 255 octets, the first of them not 0");
        }
        TRY(socket->inside->expect_unused());
        socket->inside->settings().identity.assign(identity, identity + size);
        return {};
    });
}

int caisson_socket_set(caisson_socket* socket, int option, int64_t value)
{
    return guarded([&]() -> Done {
        return socket == nullptr ? Done(null_pointer()) : set_option(socket->inside->settings(), option, value);
    });
}

int caisson_socket_bind(caisson_socket* socket, const char* address, char* bound, size_t* bound_size)
{
    return guarded([&]() -> Done {
        if (socket == nullptr || address == nullptr || (bound != nullptr && bound_size == nullptr)) {
            return null_pointer();
        }
        const auto wished = TRY(library::parse_address(address));
        const auto real = TRY(socket->inside->bind(wished)).text();
        if (bound == nullptr) {
            return {};
        }
        if (*bound_size <= real.size()) {
            return fault(Kind::exhausted, "the buffer for the address is too small");
        }
        std::memcpy(bound, real.c_str(), real.size() + 1);
        *bound_size = real.size();
        return {};
    });
}

int caisson_socket_connect(caisson_socket* socket, const char* address)
{
    return guarded([&]() -> Done {
        if (socket == nullptr || address == nullptr) {
            return null_pointer();
        }
        const auto wished = TRY(library::parse_address(address));
        return socket->inside->connect(wished);
    });
}

int caisson_socket_subscribe(caisson_socket* socket, const uint8_t* prefix, size_t size)
{
    return guarded([&]() -> Done {
        return socket == nullptr ? Done(null_pointer()) : socket->inside->subscribe(view(prefix, size), true);
    });
}

int caisson_socket_unsubscribe(caisson_socket* socket, const uint8_t* prefix, size_t size)
{
    return guarded([&]() -> Done {
        return socket == nullptr ? Done(null_pointer()) : socket->inside->subscribe(view(prefix, size), false);
    });
}

int caisson_socket_send(caisson_socket* socket, const caisson_part* parts, size_t count, int timeout_ms)
{
    return guarded([&]() -> Done {
        if (socket == nullptr || parts == nullptr) {
            return null_pointer();
        }
        return socket->inside->send(views(parts, count), timeout_ms);
    });
}

int caisson_socket_receive(caisson_socket* socket, caisson_parts** out, int timeout_ms)
{
    return guarded([&]() -> Done {
        if (socket == nullptr || out == nullptr) {
            return null_pointer();
        }
        *out = nullptr;
        auto parts = TRY(socket->inside->receive(timeout_ms));
        *out = new caisson_parts{std::move(parts)};
        return {};
    });
}

int caisson_socket_last_peer(caisson_socket* socket, uint8_t* peer_key)
{
    return guarded([&]() -> Done {
        if (socket == nullptr || peer_key == nullptr) {
            return null_pointer();
        }
        const auto& key = socket->inside->last_peer();
        std::copy(key.bytes.begin(), key.bytes.end(), peer_key);
        return {};
    });
}

int caisson_socket_poll(caisson_socket* socket, int timeout_ms)
{
    bool is_there = false;
    const auto code = guarded([&]() -> Done {
        if (socket == nullptr) {
            return null_pointer();
        }
        is_there = socket->inside->poll(timeout_ms);
        return {};
    });
    return code != CAISSON_OK ? code : static_cast<int>(is_there);
}

int caisson_socket_peer_count(caisson_socket* socket)
{
    return socket == nullptr ? library::failed(Kind::malformed, "a pointer is null that may not be")
                             : static_cast<int>(socket->inside->peer_count());
}
}
