#include "trusted/curve/e2e_place.hpp"

#include "core/check.hpp"

#include <sodium.h>

namespace caisson::trusted::curve {
namespace {

namespace e2e = protocol::e2e;

constexpr std::string_view rekey_domain = "caisson e2e rekey v1";
constexpr std::string_view data_nonce = "CaissonE2E";
constexpr std::size_t prefix_bytes = 16;
static_assert(data_nonce.size() + 1 + 1 + 4 == prefix_bytes);

SharedKey next_key(const SharedKey& key) noexcept
{
    SharedKey next;
    const auto domain = bytes_of(rekey_domain);
    CHECK(crypto_generichash(next.expose().data(), SharedKey::size, domain.data(), domain.size(), key.expose().data(),
                             SharedKey::size) == 0);
    return next;
}

// The key for a packet of `epoch`: the current one, the one before, or one that the sender has moved on to.
Result<SharedKey> key_for(const E2eDirection& receiving, std::uint32_t epoch) noexcept
{
    SharedKey key;
    if (epoch + 1 == receiving.epoch && receiving.has_previous) {
        copy_bytes(key.expose(), receiving.previous.expose());
        return key;
    }
    if (epoch < receiving.epoch || epoch - receiving.epoch > epochs_ahead_max) {
        return fail(Kind::expired, "a packet's key is gone, or too far ahead");
    }
    copy_bytes(key.expose(), receiving.key.expose());
    for (auto at = receiving.epoch; at < epoch; ++at) {
        key = next_key(key);
    }
    return key;
}

// The key before the present one stays until the new epoch is as old as the window is wide.
void drop_previous(E2eDirection& receiving, std::uint64_t counter) noexcept
{
    if (receiving.has_previous && counter > receiving.epoch_first &&
        counter - receiving.epoch_first >= ReplayWindow::width) {
        receiving.previous.clear();
        receiving.has_previous = false;
    }
}

void forget_subkey(E2eDirection& direction) noexcept
{
    direction.subkey.clear();
    direction.has_subkey = false;
}

// [E2E-11] Only what has opened moves the receiver on.
void move_on(E2eSession& session, std::uint32_t epoch, std::uint64_t counter, SharedKey&& key) noexcept
{
    auto& receiving = session.receiving;
    if (epoch > receiving.epoch) {
        receiving.has_previous = session.order == Order::window && epoch == receiving.epoch + 1;
        receiving.previous.clear();
        if (receiving.has_previous) {
            receiving.previous = std::move(receiving.key);
        }
        receiving.key = std::move(key);
        forget_subkey(receiving);
        receiving.epoch = epoch;
        receiving.epoch_first = counter;
    }
    drop_previous(receiving, counter);
}

} // namespace

Nonce nonce_of(PacketType type, bool from_server, std::uint32_t epoch, std::uint64_t counter) noexcept
{
    Nonce nonce{};
    Writer writer(nonce);
    writer.write_bytes(bytes_of(data_nonce));
    writer.write_le(static_cast<std::uint8_t>(type));
    writer.write_le(static_cast<std::uint8_t>(from_server ? 'S' : 'C'));
    writer.write_be(epoch);
    writer.write_be(counter);
    return nonce;
}

crypto::BoxSubkey subkey_of(const SharedKey& key, PacketType type, bool from_server, std::uint32_t epoch) noexcept
{
    const auto nonce = nonce_of(type, from_server, epoch, 0);
    return crypto::derive_box_subkey(key.expose(), std::span(nonce).first<prefix_bytes>());
}

const crypto::BoxSubkey& data_subkey(E2eDirection& direction, bool from_server) noexcept
{
    if (!direction.has_subkey) {
        direction.subkey = subkey_of(direction.key, PacketType::data, from_server, direction.epoch);
        direction.has_subkey = true;
    }
    return direction.subkey;
}

bool moves_on(const E2eSession& session) noexcept
{
    const auto& sending = session.sending;
    return session.sent + 1 - sending.epoch_first >= epoch_packets_max ||
           sending.epoch_text_bytes >= epoch_text_bytes_max;
}

// [E2E-14]
Result<std::uint64_t> next_place(E2eSession& session, std::size_t text_bytes) noexcept
{
    if (session.sent + 1 >= counter_max) {
        return fail(Kind::exhausted, "the session's counter is used up");
    }
    if (moves_on(session)) {
        TRY(e2e_rekey(session));
    }
    session.sending.epoch_text_bytes += text_bytes;
    return ++session.sent;
}

Status e2e_rekey(E2eSession& session) noexcept
{
    auto& sending = session.sending;
    if (sending.epoch == UINT32_MAX) {
        return fail(Kind::exhausted, "the session's epochs are used up");
    }
    sending.key = next_key(sending.key);
    forget_subkey(sending);
    ++sending.epoch;
    sending.epoch_first = session.sent + 1;
    sending.epoch_text_bytes = 0;
    return {};
}

Result<E2ePlace> read_place(Bytes bytes) noexcept
{
    Reader reader(bytes);
    E2ePlace place;
    place.epoch = TRY(reader.read_be<std::uint32_t>());
    place.counter = TRY(reader.read_be<std::uint64_t>());
    place.box = reader.rest();
    return place;
}

Result<E2ePlace> place_of(const E2eSession& session, const Packet& packet) noexcept
{
    if (packet.id != session.session_id) {
        return fail(Kind::missing, "a packet is of another session");
    }
    const auto place = TRY(read_place(packet.body));
    if (place.box.size() < e2e::tag_bytes + 1) {
        return fail(Kind::malformed, "a packet is too short");
    }
    return place;
}

Status check_new(const E2eSession& session, std::uint64_t counter) noexcept
{
    if (counter >= counter_max || !session.received.is_new(counter)) {
        return fail(Kind::expired, "a packet was there before, or is too old to tell");
    }
    return {};
}

Status check_gap(const E2eSession& session, std::uint64_t counter) noexcept
{
    if (session.order == Order::strict && counter != session.received.highest() + 1) {
        return fail(Kind::conflict, "packets before this one are missing");
    }
    return {};
}

Status check_packet_flags(std::uint8_t flags) noexcept
{
    if ((flags & ~e2e::flags_known) != 0) {
        return fail(Kind::malformed, "a packet has reserved flags");
    }
    return {};
}

Result<SharedKey> open_at(const E2eSession& session, PacketType type, const E2ePlace& place, MutableBytes text) noexcept
{
    TRY(check_new(session, place.counter));
    auto key = TRY(key_for(session.receiving, place.epoch));
    TRY(open_box(text.data(), place.box, nonce_of(type, !session.curve.is_server, place.epoch, place.counter), key));
    TRY(check_gap(session, place.counter));
    return key;
}

void take_place(E2eSession& session, const E2ePlace& place, SharedKey&& key) noexcept
{
    session.received.take(place.counter);
    move_on(session, place.epoch, place.counter, std::move(key));
}

void take_present_place(E2eSession& session, std::uint64_t counter) noexcept
{
    session.received.take(counter);
    drop_previous(session.receiving, counter);
}

} // namespace caisson::trusted::curve
