// Endpoints of the C interface.
#include "library/endpoint.hpp"
#include "library/socket.hpp"

#include <algorithm>

namespace {

using namespace caisson;
using library::CurveKey;
using library::Done;
using library::Endpoint;
using library::fault;
using library::guarded;
using library::null_pointer;
using library::Parts;
using library::view;

constexpr std::size_t pump_messages_max = 1024; // in one call, so that it ends

std::vector<Bytes> views(const caisson_part* parts, std::size_t count)
{
    std::vector<Bytes> out(count);
    for (std::size_t index = 0; index < count; ++index) {
        out[index] = view(parts[index].bytes, parts[index].size);
    }
    return out;
}

Parts copies(const caisson_part* parts, std::size_t count)
{
    Parts out;
    for (std::size_t index = 0; index < count; ++index) {
        const auto bytes = view(parts[index].bytes, parts[index].size);
        out.emplace_back(bytes.begin(), bytes.end());
    }
    return out;
}

CurveKey key_of(const std::uint8_t* bytes)
{
    CurveKey key;
    std::copy_n(bytes, CAISSON_KEY_BYTES, key.bytes.begin());
    return key;
}

library::Outcome<std::vector<CurveKey>> keys_of(const std::uint8_t* bytes, std::size_t count)
{
    if (bytes == nullptr || count == 0 || count > CAISSON_E2E_RECIPIENTS_MAX) {
        return fault(Kind::malformed, "a message is for 1 to 256 peers at once");
    }
    std::vector<CurveKey> keys;
    for (std::size_t index = 0; index < count; ++index) {
        keys.push_back(key_of(bytes + index * CAISSON_KEY_BYTES));
    }
    return keys;
}

// For calls about one peer.
template <typename Work>
int with_peer(caisson_endpoint* endpoint, const uint8_t* peer, Work work) noexcept
{
    return guarded([&]() -> Done {
        if (endpoint == nullptr || peer == nullptr) {
            return null_pointer();
        }
        return work(*endpoint->inside, key_of(peer));
    });
}

Done set_option(library::EndpointSettings& settings, int option, std::int64_t value)
{
    switch (option) {
    case CAISSON_ORDER:
        if (value != CAISSON_STRICT && value != CAISSON_WINDOW) {
            return fault(Kind::malformed, "the order is CAISSON_STRICT or CAISSON_WINDOW");
        }
        settings.order = static_cast<protocol::e2e::Order>(value);
        return {};
    case CAISSON_CHUNK_BYTES:
        if (value < 1 || value > CAISSON_E2E_TEXT_BYTES_MAX) {
            return fault(Kind::malformed, "a chunk has 1 to 131072 octets");
        }
        settings.chunk_bytes = static_cast<std::size_t>(value);
        return {};
    case CAISSON_ACCEPT_ALL: settings.accepts_all = value != 0; return {};
    case CAISSON_RETRY_MS:
        if (value < 1) {
            return fault(Kind::malformed, "the time until a retry is at least 1 ms");
        }
        settings.retry = std::chrono::milliseconds(value);
        return {};
    default: return fault(Kind::malformed, "there is no such option");
    }
}

Done send_outgoing(Endpoint& endpoint, library::Socket& carrier, int timeout_ms)
{
    for (std::size_t count = 0; count < pump_messages_max; ++count) {
        auto message = endpoint.outgoing();
        if (!message) {
            break;
        }
        TRY(carrier.queue(std::move(*message), timeout_ms));
    }
    carrier.flush();
    return {};
}

// What is there is taken; only for the first is waited.
Done pump(Endpoint& endpoint, library::Socket& carrier, int timeout_ms)
{
    TRY(send_outgoing(endpoint, carrier, std::max(timeout_ms, 1000)));
    int wait = timeout_ms;
    std::vector<Parts> came;
    while (came.size() < pump_messages_max && carrier.poll(wait)) {
        auto message = carrier.receive(0);
        if (!message) {
            endpoint.receive_many(std::move(came));
            return std::unexpected(message.error());
        }
        came.push_back(std::move(*message));
        wait = 0;
    }
    endpoint.receive_many(std::move(came));
    return send_outgoing(endpoint, carrier, 1000); // answers of handshakes
}

} // namespace

extern "C" {

int caisson_endpoint_open(caisson_chamber* chamber, uint32_t key, caisson_endpoint** out)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || out == nullptr) {
            return null_pointer();
        }
        *out = nullptr;
        auto inside = TRY(Endpoint::open(*chamber->inside, key));
        *out = new caisson_endpoint{std::move(inside)};
        return {};
    });
}

void caisson_endpoint_close(caisson_endpoint* endpoint)
{
    delete endpoint;
}

int caisson_endpoint_set(caisson_endpoint* endpoint, int option, int64_t value)
{
    return guarded([&]() -> Done {
        return endpoint == nullptr ? Done(null_pointer()) : set_option(endpoint->inside->settings(), option, value);
    });
}

int caisson_endpoint_allow(caisson_endpoint* endpoint, const uint8_t* peer)
{
    return with_peer(endpoint, peer, [](Endpoint& inside, const CurveKey& key) { return inside.allow(key); });
}

int caisson_endpoint_keep_letters(caisson_endpoint* endpoint, const char* folder)
{
    return guarded([&]() -> Done {
        return endpoint == nullptr || folder == nullptr ? Done(null_pointer()) : endpoint->inside->keep_letters(folder);
    });
}

int caisson_endpoint_connect(caisson_endpoint* endpoint, const uint8_t* peer, const caisson_part* route,
                             size_t route_count)
{
    return with_peer(endpoint, peer, [&](Endpoint& inside, const CurveKey& key) {
        return inside.connect(key, copies(route, route == nullptr ? 0 : route_count));
    });
}

int caisson_endpoint_is_open(caisson_endpoint* endpoint, const uint8_t* peer)
{
    return endpoint == nullptr || peer == nullptr ? 0 : static_cast<int>(endpoint->inside->is_open(key_of(peer)));
}

int caisson_endpoint_send(caisson_endpoint* endpoint, const uint8_t* peer, const caisson_part* parts, size_t count)
{
    return with_peer(endpoint, peer, [&](Endpoint& inside, const CurveKey& key) -> Done {
        return parts == nullptr ? Done(null_pointer()) : inside.send(key, views(parts, count));
    });
}

int caisson_endpoint_send_many(caisson_endpoint* endpoint, const uint8_t* peers, size_t peer_count,
                               const caisson_part* route, size_t route_count, const caisson_part* parts, size_t count)
{
    return guarded([&]() -> Done {
        if (endpoint == nullptr || parts == nullptr) {
            return null_pointer();
        }
        const auto keys = TRY(keys_of(peers, peer_count));
        return endpoint->inside->send_many(keys, copies(route, route == nullptr ? 0 : route_count),
                                           views(parts, count));
    });
}

int caisson_endpoint_send_letter(caisson_endpoint* endpoint, const uint8_t* peers, size_t peer_count,
                                 const caisson_part* route, size_t route_count, const caisson_part* parts, size_t count)
{
    return guarded([&]() -> Done {
        if (endpoint == nullptr || parts == nullptr) {
            return null_pointer();
        }
        const auto keys = TRY(keys_of(peers, peer_count));
        return endpoint->inside->send_letter(keys, copies(route, route == nullptr ? 0 : route_count),
                                             views(parts, count));
    });
}

int caisson_endpoint_rekey(caisson_endpoint* endpoint, const uint8_t* peer)
{
    return with_peer(endpoint, peer, [](Endpoint& inside, const CurveKey& key) { return inside.rekey(key); });
}

int caisson_endpoint_disconnect(caisson_endpoint* endpoint, const uint8_t* peer)
{
    return with_peer(endpoint, peer, [](Endpoint& inside, const CurveKey& key) { return inside.disconnect(key); });
}

int caisson_endpoint_receive(caisson_endpoint* endpoint, const caisson_part* parts, size_t count)
{
    return guarded([&]() -> Done {
        if (endpoint == nullptr || parts == nullptr) {
            return null_pointer();
        }
        endpoint->inside->receive(views(parts, count));
        return {};
    });
}

int caisson_endpoint_outgoing(caisson_endpoint* endpoint, caisson_parts** out)
{
    return guarded([&]() -> Done {
        if (endpoint == nullptr || out == nullptr) {
            return null_pointer();
        }
        *out = nullptr;
        auto message = endpoint->inside->outgoing();
        if (!message) {
            return fault(Kind::missing, "there is nothing to send");
        }
        *out = new caisson_parts{std::move(*message)};
        return {};
    });
}

int caisson_endpoint_next(caisson_endpoint* endpoint, caisson_event* event)
{
    return guarded([&]() -> Done {
        if (endpoint == nullptr || event == nullptr) {
            return null_pointer();
        }
        *event = {};
        auto next = endpoint->inside->next();
        if (!next) {
            return fault(Kind::missing, "nothing has happened");
        }
        event->type = next->type;
        event->code = next->code;
        std::copy(next->peer.bytes.begin(), next->peer.bytes.end(), event->peer);
        event->parts = next->parts ? new caisson_parts{std::move(*next->parts)} : nullptr;
        return {};
    });
}

int caisson_endpoint_pump(caisson_endpoint* endpoint, caisson_socket* carrier, int timeout_ms)
{
    return guarded([&]() -> Done {
        if (endpoint == nullptr || carrier == nullptr) {
            return null_pointer();
        }
        return pump(*endpoint->inside, *carrier->inside, timeout_ms);
    });
}
}
