#include "library/socket.hpp"

#include <poll.h>

#include <algorithm>

namespace caisson::library {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds retry_first{50};
constexpr milliseconds retry_max{2000};
constexpr milliseconds turn_interval{5};   // between two looks at the connections while only sending
constexpr milliseconds look_interval{250}; // for timers while waiting
constexpr std::size_t peers_max = 1000;

bool may_send(int type) noexcept
{
    return type != CAISSON_PULL && type != CAISSON_SUB;
}

bool may_receive(int type) noexcept
{
    return type != CAISSON_PUSH && type != CAISSON_PUB;
}

bool has_prefix(Bytes topic, const Buffer& prefix) noexcept
{
    return topic.size() >= prefix.size() && same_bytes(topic.first(prefix.size()), prefix);
}

Clock::time_point deadline_of(int timeout_ms)
{
    return timeout_ms < 0 ? Clock::time_point::max() : Clock::now() + milliseconds(timeout_ms);
}

int left_until(Clock::time_point deadline)
{
    if (deadline == Clock::time_point::max()) {
        return -1;
    }
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

} // namespace

Outcome<std::unique_ptr<Socket>> Socket::open(Chamber* chamber, int type)
{
    if (type_name(type) == nullptr) {
        return fault(Kind::malformed, "there is no such socket type");
    }
    return std::unique_ptr<Socket>(new Socket(chamber, type));
}

Socket::Socket(Chamber* chamber, int type)
{
    settings_.chamber = chamber;
    settings_.type = type;
}

Socket::~Socket()
{
    const auto deadline = Clock::now() + settings_.linger;
    const auto unsent = [this] {
        return std::any_of(peers_.begin(), peers_.end(), [](const Peer& peer) {
            return !peer.connection->ended() && peer.connection->wants_write();
        });
    };
    try {
        flush();
        while (unsent() && Clock::now() < deadline) {
            turn(left_until(deadline));
        }
    } catch (const std::exception&) {
        return; // what cannot be sent is lost, as with any linger that is over
    }
}

Done Socket::expect_unused() const
{
    if (!listeners_.empty() || !connectors_.empty()) {
        return fault(Kind::forbidden, "keys and identity are set before bind and connect");
    }
    return {};
}

Outcome<Address> Socket::bind(const Address& address)
{
    if (settings_.chamber != nullptr && !settings_.key) {
        return fault(Kind::forbidden, "a socket with a chamber needs a key (caisson_socket_set_key)");
    }
    if (settings_.server_key) {
        return fault(Kind::forbidden, "a CURVE client connects; without the server's key the socket is a server");
    }
    auto listener = TRY(ListeningSocket::open(address));
    listeners_.push_back(std::move(listener));
    return listeners_.back().address();
}

Done Socket::connect(const Address& address)
{
    if (settings_.chamber != nullptr && !settings_.key) {
        return fault(Kind::forbidden, "a socket with a chamber needs a key (caisson_socket_set_key)");
    }
    connectors_.push_back({address, Clock::now(), retry_first, false});
    start_connections();
    return {};
}

Done Socket::subscribe(Bytes prefix, bool subscribes)
{
    if (settings_.type != CAISSON_SUB && settings_.type != CAISSON_XSUB) {
        return fault(Kind::forbidden, "only SUB and XSUB subscribe");
    }
    const Buffer key(prefix.begin(), prefix.end());
    if (subscribes) {
        if (++subscriptions_[key] > 1) {
            return {};
        }
    } else {
        const auto known = subscriptions_.find(key);
        if (known == subscriptions_.end()) {
            return {};
        }
        --known->second;
        if (known->second > 0) {
            return {};
        }
        subscriptions_.erase(known);
    }
    for (auto& peer : peers_) {
        if (peer.greeted) {
            peer.connection->queue_subscription(prefix, subscribes);
        }
    }
    flush();
    return {};
}

std::size_t Socket::peer_count() const noexcept
{
    return static_cast<std::size_t>(
        std::count_if(peers_.begin(), peers_.end(), [](const Peer& peer) { return peer.connection->open(); }));
}

void Socket::flush()
{
    for (auto& peer : peers_) {
        if (!peer.connection->ended()) {
            peer.connection->flush();
        }
    }
}

void Socket::start_connections()
{
    const auto now = Clock::now();
    for (auto& connector : connectors_) {
        if (connector.connected || connector.next > now) {
            continue;
        }
        auto descriptor = begin_connect(connector.address);
        if (!descriptor) {
            connector.next = now + connector.pause;
            connector.pause = std::min(2 * connector.pause, retry_max);
            continue;
        }
        connector.connected = true;
        peers_.push_back({std::make_unique<Connection>(std::move(*descriptor), settings_), &connector, false, {}, {}});
    }
}

void Socket::accept_peers()
{
    for (const auto& listener : listeners_) {
        while (peers_.size() < peers_max) {
            auto descriptor = listener.accept();
            if (descriptor.number() < 0) {
                break;
            }
            peers_.push_back({std::make_unique<Connection>(std::move(descriptor), settings_), nullptr, false, {}, {}});
        }
    }
}

// An identity that another has already is not given twice: the newcomer gets a number, as without one.
void Socket::greet(Peer& peer)
{
    peer.greeted = true;
    if (peer.connector != nullptr) {
        peer.connector->pause = retry_first;
    }
    const auto& wish = peer.connection->peer_identity();
    if (!wish.empty() && wish[0] != 0 && with_identity(wish) == nullptr) {
        peer.identity = wish;
    } else {
        peer.identity.assign(5, 0);
        std::memcpy(peer.identity.data() + 1, &next_identity_, sizeof next_identity_);
        ++next_identity_;
    }
    for (const auto& [prefix, count] : subscriptions_) {
        peer.connection->queue_subscription(prefix, true);
    }
}

void Socket::take_subscriptions(Peer& peer)
{
    auto& inbox = peer.connection->inbox();
    while (!inbox.empty() && inbox.front().what != Incoming::What::message) {
        const bool subscribes = inbox.front().what == Incoming::What::subscribe;
        auto& prefix = inbox.front().parts[0];
        if (settings_.type == CAISSON_XPUB) {
            Buffer text(1, subscribes ? 1 : 0);
            text.insert(text.end(), prefix.begin(), prefix.end());
            ready_.push_back({text});
        }
        if (subscribes) {
            ++peer.subscriptions[prefix];
        } else if (const auto found = peer.subscriptions.find(prefix);
                   found != peer.subscriptions.end() && --found->second == 0) {
            peer.subscriptions.erase(found);
        }
        inbox.pop_front();
    }
}

void Socket::remove_ended()
{
    const auto now = Clock::now();
    for (auto peer = peers_.begin(); peer != peers_.end();) {
        auto& connection = *peer->connection;
        if (connection.expired(now)) {
            connection.end("the handshake took too long");
        }
        if (!connection.ended() || !connection.inbox().empty()) { // what came before the end is still taken
            ++peer;
            continue;
        }
        if (conversation_ == &*peer) {
            conversation_ = nullptr;
            in_conversation_ = false;
        }
        if (auto* connector = peer->connector; connector != nullptr) {
            connector->connected = false;
            connector->next = now + connector->pause;
            connector->pause = std::min(2 * connector->pause, retry_max);
        }
        peer = peers_.erase(peer);
    }
}

bool Socket::is_reading() const
{
    std::size_t bytes = 0;
    for (const auto& peer : peers_) {
        for (const auto& incoming : peer.connection->inbox()) {
            bytes += incoming.bytes;
        }
    }
    return bytes < settings_.receive_queue_bytes;
}

int Socket::time_until_work(int timeout_ms) const
{
    auto wait = std::chrono::duration_cast<milliseconds>(look_interval);
    const auto now = Clock::now();
    for (const auto& connector : connectors_) {
        if (!connector.connected) {
            wait = std::min(wait, std::max(std::chrono::ceil<milliseconds>(connector.next - now), milliseconds(0)));
        }
    }
    const auto most = static_cast<int>(wait.count());
    return timeout_ms < 0 ? most : std::min(timeout_ms, most);
}

void Socket::turn(int timeout_ms)
{
    start_connections();
    std::vector<pollfd> waited;
    for (const auto& listener : listeners_) {
        waited.push_back({listener.descriptor(), POLLIN, 0});
    }
    const bool reads = is_reading();
    std::vector<Connection*> connections;
    for (auto& peer : peers_) {
        if (!peer.connection->ended()) {
            const auto events = (reads ? POLLIN : 0) | (peer.connection->wants_write() ? POLLOUT : 0);
            waited.push_back({peer.connection->descriptor(), static_cast<short>(events), 0});
            connections.push_back(peer.connection.get());
        }
    }
    ::poll(waited.data(), waited.size(), time_until_work(timeout_ms));
    const auto first = waited.size() - connections.size();
    for (std::size_t index = 0; index < connections.size(); ++index) {
        const auto events = waited[first + index].revents;
        auto& connection = *connections[index];
        if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) {
            connection.on_readable();
        }
    }
    accept_peers();
    for (auto& peer : peers_) {
        if (peer.connection->open() && !peer.greeted) {
            greet(peer);
        }
        if (!peer.connection->ended()) {
            peer.connection->flush();
        }
        take_subscriptions(peer);
    }
    remove_ended();
}

template <typename Ready>
Done Socket::wait_until(int timeout_ms, Ready ready)
{
    const auto deadline = deadline_of(timeout_ms);
    while (!ready()) {
        const auto left = left_until(deadline);
        turn(left);
        if (left == 0) {
            return ready() ? Done{} : fault(Kind::unavailable, "time is up");
        }
    }
    return {};
}

Socket::Peer* Socket::with_identity(Bytes identity)
{
    for (auto& peer : peers_) {
        if (peer.greeted && !peer.connection->ended() && same_bytes(peer.identity, identity)) {
            return &peer;
        }
    }
    return nullptr;
}

// By turns: who was served last stands last.
Socket::Peer* Socket::next_writable()
{
    for (auto peer = peers_.begin(); peer != peers_.end(); ++peer) {
        if (peer->greeted && peer->connection->open() && peer->connection->has_room()) {
            peers_.splice(peers_.end(), peers_, peer);
            return &peers_.back();
        }
    }
    return nullptr;
}

Socket::Peer* Socket::next_readable()
{
    for (auto peer = peers_.begin(); peer != peers_.end(); ++peer) {
        if (peer->greeted && !peer->connection->inbox().empty()) {
            peers_.splice(peers_.end(), peers_, peer);
            return &peers_.back();
        }
    }
    return nullptr;
}

Done Socket::send(std::span<const Bytes> parts, int timeout_ms)
{
    TRY(queue(parts, timeout_ms));
    flush();
    return {};
}

Done Socket::check_parts(std::span<const Bytes> parts) const
{
    if (parts.empty() || parts.size() > message_parts_max) {
        return fault(Kind::malformed, "a message has 1 to 65536 parts");
    }
    if (settings_.type == CAISSON_ROUTER && parts.size() < 2) {
        return fault(Kind::malformed, "a ROUTER's message begins with the peer's identity");
    }
    const auto part_max = settings_.part_bytes_max;
    if (std::any_of(parts.begin(), parts.end(), [&](Bytes part) { return part.size() > part_max; })) {
        return fault(Kind::exhausted, "a part is larger than " + std::to_string(part_max) +
                                          " octets; send it in several, or end to end, which cuts it");
    }
    return {};
}

// Who only sends must be connected, subscribed to and found alive all the same.
void Socket::turn_now_and_then()
{
    if (Clock::now() >= next_turn_) {
        turn(0);
        next_turn_ = Clock::now() + turn_interval;
    }
}

Done Socket::queue(std::span<const Bytes> parts, int timeout_ms)
{
    TRY(check_parts(parts));
    turn_now_and_then();
    switch (settings_.type) {
    case CAISSON_PUB:
    case CAISSON_XPUB: return queue_to_subscribers(parts);
    case CAISSON_ROUTER: TRY(wait_for_peer(parts[0], timeout_ms))->connection->queue(parts.subspan(1)); return {};
    case CAISSON_REP: return queue_reply(parts);
    case CAISSON_REQ: return queue_request(parts, timeout_ms);
    default: TRY(wait_for_any_peer(timeout_ms))->connection->queue(parts); return {};
    }
}

Done Socket::queue(Parts parts, int timeout_ms)
{
    const std::vector<Bytes> views(parts.begin(), parts.end());
    const bool is_router = settings_.type == CAISSON_ROUTER;
    if (!is_router && settings_.type != CAISSON_DEALER && settings_.type != CAISSON_PAIR &&
        settings_.type != CAISSON_PUSH) {
        return queue(views, timeout_ms);
    }
    TRY(check_parts(views));
    turn_now_and_then();
    auto* const peer = TRY(is_router ? wait_for_peer(views[0], timeout_ms) : wait_for_any_peer(timeout_ms));
    peer->connection->queue(std::span(parts).subspan(is_router ? 1 : 0));
    return {};
}

Outcome<Socket::Peer*> Socket::wait_for_any_peer(int timeout_ms)
{
    if (!may_send(settings_.type)) {
        return fault(Kind::forbidden, "a socket of this type does not send");
    }
    Peer* peer = nullptr;
    TRY(wait_until(timeout_ms, [&] { return (peer = next_writable()) != nullptr; }));
    return peer;
}

// Who cannot take it does not get it, as RFC 29 has it.
Done Socket::queue_to_subscribers(std::span<const Bytes> parts)
{
    for (auto& peer : peers_) {
        const bool subscribed = std::any_of(peer.subscriptions.begin(), peer.subscriptions.end(),
                                            [&](const auto& entry) { return has_prefix(parts[0], entry.first); });
        if (peer.connection->open() && subscribed && peer.connection->has_room()) {
            peer.connection->queue(parts);
        }
    }
    return {};
}

Outcome<Socket::Peer*> Socket::wait_for_peer(Bytes identity, int timeout_ms)
{
    Peer* peer = with_identity(identity);
    if (peer == nullptr) {
        return fault(Kind::missing, "no peer has this identity now");
    }
    TRY(wait_until(timeout_ms, [&] {
        peer = with_identity(identity);
        return peer == nullptr || peer->connection->has_room();
    }));
    if (peer == nullptr) {
        return fault(Kind::missing, "the peer has gone");
    }
    return peer;
}

Done Socket::queue_reply(std::span<const Bytes> parts)
{
    if (!in_conversation_) {
        return fault(Kind::forbidden, "there is no request to reply to");
    }
    in_conversation_ = false;
    if (conversation_ != nullptr && conversation_->connection->open()) {
        std::vector<Bytes> all(envelope_.begin(), envelope_.end());
        all.insert(all.end(), parts.begin(), parts.end());
        conversation_->connection->queue(all);
    }
    return {};
}

Done Socket::queue_request(std::span<const Bytes> parts, int timeout_ms)
{
    if (in_conversation_) {
        return fault(Kind::forbidden, "the reply to the last request is due first");
    }
    auto* const peer = TRY(wait_for_any_peer(timeout_ms));
    std::vector<Bytes> all(1); // the delimiter
    all.insert(all.end(), parts.begin(), parts.end());
    peer->connection->queue(all);
    conversation_ = peer;
    in_conversation_ = true;
    return {};
}

bool Socket::wants(Bytes topic) const
{
    return std::any_of(subscriptions_.begin(), subscriptions_.end(),
                       [&](const auto& entry) { return has_prefix(topic, entry.first); });
}

// REP: the parts up to the delimiter are the way back.
bool Socket::take_request(Peer& peer, Parts& parts)
{
    const auto delimiter = std::find_if(parts.begin(), parts.end(), [](const Buffer& part) { return part.empty(); });
    if (delimiter == parts.end() || delimiter + 1 == parts.end()) {
        return false;
    }
    envelope_.assign(parts.begin(), delimiter + 1);
    parts.erase(parts.begin(), delimiter + 1);
    conversation_ = &peer;
    in_conversation_ = true;
    return true;
}

bool Socket::accept_parts(Peer& peer, Parts& parts)
{
    switch (settings_.type) {
    case CAISSON_ROUTER: parts.insert(parts.begin(), peer.identity); return true;
    case CAISSON_REP: return take_request(peer, parts);
    case CAISSON_REQ:
        if (!in_conversation_ || conversation_ != &peer || parts.size() < 2 || !parts[0].empty()) {
            return false;
        }
        parts.erase(parts.begin());
        in_conversation_ = false;
        return true;
    case CAISSON_SUB:
    case CAISSON_XSUB: return wants(parts[0]);
    default: return true;
    }
}

Outcome<Parts> Socket::receive(int timeout_ms)
{
    if (!may_receive(settings_.type)) {
        return fault(Kind::forbidden, "a socket of this type does not receive");
    }
    if (settings_.type == CAISSON_REP && in_conversation_) {
        return fault(Kind::forbidden, "the reply to the last request is due first");
    }
    if (settings_.type == CAISSON_REQ && !in_conversation_) {
        return fault(Kind::forbidden, "a request is due first");
    }
    const auto deadline = deadline_of(timeout_ms);
    while (true) {
        Peer* peer = nullptr;
        TRY(wait_until(left_until(deadline), [&] { return !ready_.empty() || (peer = next_readable()) != nullptr; }));
        if (peer == nullptr) {
            auto parts = std::move(ready_.front());
            ready_.pop_front();
            return parts;
        }
        auto parts = std::move(peer->connection->inbox().front().parts);
        peer->connection->inbox().pop_front();
        take_subscriptions(*peer);
        if (accept_parts(*peer, parts)) {
            last_peer_ = peer->connection->peer_key();
            return parts;
        }
    }
}

bool Socket::poll(int timeout_ms)
{
    return wait_until(timeout_ms, [this] { return !ready_.empty() || next_readable() != nullptr; }).has_value();
}

} // namespace caisson::library
