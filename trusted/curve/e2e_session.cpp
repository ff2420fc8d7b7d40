#include "trusted/curve/e2e_session.hpp"

#include "core/check.hpp"
#include "core/crypto/constant_time.hpp"
#include "protocol/zmtp.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

namespace e2e = protocol::e2e;
namespace wire = protocol::curve;

constexpr std::uint32_t index_bits = 8;
static_assert(airlock::curve::e2e_sessions_max == 1U << index_bits);
constexpr std::uint64_t counter_max = std::uint64_t{1} << 62U;
constexpr std::string_view id_domain = "caisson e2e id v1";
constexpr std::string_view keys_domain = "caisson e2e keys v1";
constexpr std::string_view rekey_domain = "caisson e2e rekey v1";
constexpr std::string_view data_nonce = "CaissonE2E";
constexpr std::string_view content_nonce = "CaissonE2E-BODY-";
constexpr std::size_t prefix_bytes = 16;
static_assert(data_nonce.size() + 1 + 1 + 4 == prefix_bytes && content_nonce.size() == prefix_bytes);

// [E2E-7] The prefix says what is in the box, whose it is and of which epoch: it opens as nothing else.
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

void keyed_hash(MutableBytes output, std::string_view text, const SharedKey& key) noexcept
{
    CHECK(crypto_generichash(output.data(), output.size(), bytes_of(text).data(), text.size(), key.expose().data(),
                             SharedKey::size) == 0);
}

// [E2E-3] Of the key that C' and S' share: neither side alone chooses it, and it says nothing about the key.
E2eId id_of(const SharedKey& key) noexcept
{
    E2eId id;
    keyed_hash(id.bytes, id_domain, key);
    return id;
}

E2eId front_of(const CurveKey& transient) noexcept
{
    E2eId id;
    copy_bytes(id.bytes, Bytes(transient.bytes).first(E2eId::size));
    return id;
}

Result<Packet> expect_packet(Bytes bytes, PacketType type) noexcept
{
    const auto packet = TRY(e2e::read_packet(bytes));
    if (packet.type != type) {
        return fail(Kind::malformed, "a packet of another type was expected");
    }
    return packet;
}

// [E2E-5] Fails: malformed.
struct OwnProperty {
    Order order = Order::strict;
    std::size_t size = 0;
};
Result<OwnProperty> read_own_property(Bytes metadata) noexcept
{
    Reader reader(metadata);
    const auto property = TRY(protocol::zmtp::read_property(reader));
    if (!property || property->name != e2e::property_name || property->value.size() != 2 ||
        property->value[0] != e2e::property_version || property->value[1] > static_cast<std::uint8_t>(Order::window)) {
        return fail(Kind::malformed, "the metadata do not begin with the end-to-end property");
    }
    return OwnProperty{static_cast<Order>(property->value[1]), metadata.size() - reader.rest().size()};
}

// [E2E-4] The handshake's key makes one key for each direction of this very session and is gone.
void derive_keys(E2eSession& session, const CurveKey& client, const CurveKey& server) noexcept
{
    ByteArray<keys_domain.size() + E2eId::size + 2 * CurveKey::size + 1> input{};
    Writer writer(input);
    writer.write_bytes(bytes_of(keys_domain));
    writer.write_bytes(session.session_id.bytes);
    writer.write_bytes(client.bytes);
    writer.write_bytes(server.bytes);
    writer.write_le(static_cast<std::uint8_t>(session.order));
    auto& first = session.curve.is_server ? session.receiving.key : session.sending.key;
    auto& second = session.curve.is_server ? session.sending.key : session.receiving.key;
    Secret<2 * SharedKey::size, SharedKeyTag> both;
    keyed_hash(both.expose(), text_of(input), session.curve.key);
    copy_bytes(first.expose(), both.expose().first<SharedKey::size>());
    copy_bytes(second.expose(), both.expose().last<SharedKey::size>());
    session.curve.key.clear();
}

SharedKey next_key(const SharedKey& key) noexcept
{
    SharedKey next;
    keyed_hash(next.expose(), rekey_domain, key);
    return next;
}

// [E2E-14]
Result<std::uint64_t> next_counter(E2eSession& session, std::size_t text_bytes) noexcept
{
    auto& sending = session.sending;
    if (session.sent + 1 >= counter_max) {
        return fail(Kind::exhausted, "the session's counter is used up");
    }
    if (session.sent + 1 - sending.epoch_first >= epoch_packets_max ||
        sending.epoch_text_bytes >= epoch_text_bytes_max) {
        TRY(e2e_rekey(session));
    }
    sending.epoch_text_bytes += text_bytes;
    return ++session.sent;
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
        receiving.epoch = epoch;
        receiving.epoch_first = counter;
    }
    if (receiving.has_previous && counter > receiving.epoch_first &&
        counter - receiving.epoch_first >= ReplayWindow::width) {
        receiving.previous.clear();
        receiving.has_previous = false;
    }
}

struct Place {
    std::uint32_t epoch = 0;
    std::uint64_t counter = 0;
    Bytes box;
};

Result<Place> read_place(Bytes bytes) noexcept
{
    Reader reader(bytes);
    Place place;
    place.epoch = TRY(reader.read_be<std::uint32_t>());
    place.counter = TRY(reader.read_be<std::uint64_t>());
    place.box = reader.rest();
    return place;
}

// Opens a box that stands at a place of the receiving direction; `take_place` then takes the place.
Result<SharedKey> open_at(const E2eSession& session, PacketType type, const Place& place, MutableBytes text) noexcept
{
    if (place.counter >= counter_max || !session.received.is_new(place.counter)) {
        return fail(Kind::expired, "a packet was there before, or is too old to tell");
    }
    auto key = TRY(key_for(session.receiving, place.epoch));
    TRY(open_box(text.data(), place.box, nonce_of(type, !session.curve.is_server, place.epoch, place.counter), key));
    if (session.order == Order::strict && place.counter != session.received.highest() + 1) {
        return fail(Kind::conflict, "packets before this one are missing");
    }
    return key;
}

void take_place(E2eSession& session, const Place& place, SharedKey&& key) noexcept
{
    session.received.take(place.counter);
    move_on(session, place.epoch, place.counter, std::move(key));
}

Status check_flags(std::uint8_t flags) noexcept
{
    if ((flags & ~e2e::flags_known) != 0) {
        return fail(Kind::malformed, "a packet has reserved flags");
    }
    return {};
}

Result<E2eOpened> open_fanout(E2eSession& session, const Packet& packet, MutableBytes text) noexcept
{
    const auto count = TRY(e2e::count_slots(packet));
    for (std::size_t index = 0; index < count; ++index) {
        const auto slot = e2e::slot_of(packet, index);
        if (!same_bytes(slot.first(E2eId::size), session.session_id.bytes)) {
            continue;
        }
        const auto place = TRY(read_place(slot.subspan(E2eId::size)));
        const auto content = e2e::content_of(packet);
        if (text.size() < content.size()) {
            return fail(Kind::exhausted, "the buffer for a message is too small");
        }
        Secret<e2e::content_key_bytes + e2e::digest_bytes + 1, SharedKeyTag> opened;
        auto key = TRY(open_at(session, PacketType::fanout, place, opened.expose()));
        SealedContent sealed;
        copy_bytes(sealed.key.expose(), opened.expose().first<e2e::content_key_bytes>());
        copy_bytes(sealed.digest, opened.expose().subspan<e2e::content_key_bytes, e2e::digest_bytes>());
        E2eOpened out{opened.expose().back(), place.counter, content.size() - e2e::tag_bytes};
        TRY(check_flags(out.flags));
        TRY(open_content(sealed, packet.id, content, text));
        take_place(session, place, std::move(key));
        return out;
    }
    return fail(Kind::missing, "a packet is for other sessions");
}

} // namespace

Result<E2eSession*> E2eSessions::open() noexcept
{
    auto* session = std::find_if(sessions_.begin(), sessions_.end(), [](const auto& one) { return one.curve.id == 0; });
    if (session == sessions_.end()) {
        session = TRY(sessions_.add());
    }
    generation_ = std::max((generation_ + 1) & ((1U << (32 - index_bits)) - 1), std::uint32_t{1});
    session->curve.id = (generation_ << index_bits) | static_cast<std::uint32_t>(session - sessions_.begin());
    return session;
}

Result<const E2eSession*> E2eSessions::find(std::uint32_t id) const noexcept
{
    const auto index = id & ((1U << index_bits) - 1);
    if (id == 0 || index >= sessions_.size() || sessions_[index].curve.id != id) {
        return fail(Kind::missing, "there is no such end-to-end session");
    }
    return &sessions_[index];
}

Result<E2eSession*> E2eSessions::find(std::uint32_t id) noexcept
{
    TRY(std::as_const(*this).find(id));
    return &sessions_[id & ((1U << index_bits) - 1)];
}

void E2eSessions::close_all_of(std::uint32_t own_key) noexcept
{
    for (auto& session : sessions_) {
        if (session.curve.id != 0 && session.curve.own_key == own_key) {
            close(session);
        }
    }
}

// [CURVE-50]
void E2eSessions::close_all() noexcept
{
    for (auto& session : sessions_) {
        if (session.curve.id != 0) {
            close(session);
        }
    }
}

// [E2E-2]
Result<std::size_t> e2e_produce_hello(Sources& sources, E2eSession& session, MutableBytes output) noexcept
{
    if (output.size() < e2e::head_bytes) {
        return fail(Kind::exhausted, "the buffer for a packet is too small");
    }
    HandshakeStep step;
    step.session = &session.curve;
    step.output = output.subspan(e2e::head_bytes);
    TRY(begin_produce_hello(sources, step));
    TRY(finish_alone(sources, step));
    session.session_id = front_of(session.curve.own_transient);
    Writer writer(output);
    e2e::write_packet_head(writer, PacketType::hello, session.session_id);
    return e2e::head_bytes + step.written;
}

Result<std::size_t> e2e_process_hello(Sources& sources, const LongTermKey& own, Bytes bytes,
                                      MutableBytes output) noexcept
{
    const auto hello = TRY(expect_packet(bytes, PacketType::hello));
    if (output.size() < e2e::head_bytes) {
        return fail(Kind::exhausted, "the buffer for a packet is too small");
    }
    HandshakeStep step;
    step.own = &own;
    step.body = hello.body;
    step.output = output.subspan(e2e::head_bytes);
    TRY(begin_process_hello(step));
    TRY(finish_alone(sources, step));
    constexpr auto key_at = wire::HELLO.size() + 2 + wire::hello_padding_bytes;
    if (!same_bytes(hello.id.bytes, hello.body.subspan(key_at, E2eId::size))) {
        return fail(Kind::malformed, "HELLO stands under another's id");
    }
    Writer writer(output);
    e2e::write_packet_head(writer, PacketType::welcome, hello.id);
    return e2e::head_bytes + step.written;
}

Status e2e_process_welcome(Sources& sources, E2eSession& session, Bytes bytes) noexcept
{
    const auto welcome = TRY(expect_packet(bytes, PacketType::welcome));
    if (welcome.id != session.session_id) {
        return fail(Kind::missing, "WELCOME is for another handshake");
    }
    HandshakeStep step;
    step.session = &session.curve;
    step.body = welcome.body;
    TRY(begin_process_welcome(step));
    TRY(finish_alone(sources, step));
    session.session_id = id_of(session.curve.key);
    return {};
}

Result<std::size_t> e2e_produce_initiate(Sources& sources, E2eSession& session, const LongTermKey& own, Bytes metadata,
                                         MutableBytes output) noexcept
{
    if (TRY(read_own_property(metadata)).order != session.order || output.size() < e2e::head_bytes) {
        return fail(Kind::malformed, "the metadata name another order than the session has");
    }
    HandshakeStep step;
    step.session = &session.curve;
    step.own = &own;
    step.body = metadata;
    step.output = output.subspan(e2e::head_bytes);
    TRY(begin_produce_initiate(step));
    TRY(finish_alone(sources, step));
    Writer writer(output);
    e2e::write_packet_head(writer, PacketType::initiate, session.session_id);
    derive_keys(session, own.public_key, session.curve.peer);
    return e2e::head_bytes + step.written;
}

// [E2E-6]
Result<E2eInitiated> e2e_process_initiate(Sources& sources, const LongTermKey& own, Bytes bytes,
                                          MutableBytes metadata) noexcept
{
    const auto packet = TRY(expect_packet(bytes, PacketType::initiate));
    HandshakeStep step;
    step.own = &own;
    step.body = packet.body;
    step.output = metadata;
    TRY(begin_process_initiate(sources, step));
    TRY(finish_alone(sources, step));
    E2eInitiated out;
    out.client = step.client;
    out.key = std::move(step.session_key);
    out.metadata_bytes = step.written;
    out.session_id = id_of(out.key);
    if (out.session_id != packet.id) {
        return fail(Kind::malformed, "INITIATE stands under another session's id");
    }
    const auto property = TRY(read_own_property(metadata.first(out.metadata_bytes)));
    out.order = property.order;
    out.metadata_at = property.size;
    return out;
}

void e2e_begin(E2eSession& session, const LongTermKey& own, E2eInitiated&& initiated) noexcept
{
    session.curve.state = SessionState::ready_due;
    session.curve.is_server = true;
    session.curve.own_key = own.id;
    session.curve.peer = initiated.client;
    session.curve.key = std::move(initiated.key);
    session.session_id = initiated.session_id;
    session.order = initiated.order;
    derive_keys(session, session.curve.peer, own.public_key);
}

Result<std::size_t> e2e_seal(E2eSession& session, PacketType type, std::uint8_t flags, Bytes text,
                             MutableBytes output) noexcept
{
    const auto size = text.size() + e2e::data_overhead_bytes;
    if (output.size() < size) {
        return fail(Kind::exhausted, "the buffer for a packet is too small");
    }
    const auto counter = TRY(next_counter(session, text.size()));
    Writer writer(output);
    e2e::write_packet_head(writer, type, session.session_id);
    writer.write_be(session.sending.epoch);
    writer.write_be(counter);
    auto* box = writer.rest().data();
    box[e2e::tag_bytes] = flags;
    copy_bytes(writer.rest().subspan(e2e::tag_bytes + 1), text);
    seal_box(box, {box + e2e::tag_bytes, text.size() + 1},
             nonce_of(type, session.curve.is_server, session.sending.epoch, counter), session.sending.key);
    return size;
}

Result<E2eOpened> e2e_open(E2eSession& session, const Packet& packet, MutableBytes text) noexcept
{
    if (packet.type == PacketType::fanout) {
        return open_fanout(session, packet, text);
    }
    if (packet.id != session.session_id) {
        return fail(Kind::missing, "a packet is of another session");
    }
    const auto place = TRY(read_place(packet.body));
    if (place.box.size() < e2e::tag_bytes + 1) {
        return fail(Kind::malformed, "a packet is too short");
    }
    const auto content_bytes = place.box.size() - e2e::tag_bytes;
    if (text.size() < content_bytes) {
        return fail(Kind::exhausted, "the buffer for a message is too small");
    }
    auto key = TRY(open_at(session, packet.type, place, text));
    E2eOpened out{text[0], place.counter, content_bytes - 1};
    TRY(check_flags(out.flags));
    take_place(session, place, std::move(key));
    copy_bytes(text, text.subspan(1, out.text_bytes));
    return out;
}

Status e2e_rekey(E2eSession& session) noexcept
{
    auto& sending = session.sending;
    if (sending.epoch == UINT32_MAX) {
        return fail(Kind::exhausted, "the session's epochs are used up");
    }
    sending.key = next_key(sending.key);
    ++sending.epoch;
    sending.epoch_first = session.sent + 1;
    sending.epoch_text_bytes = 0;
    return {};
}

SealedContent seal_content(Runtime& runtime, const E2eId& packet_id, Bytes text, MutableBytes box) noexcept
{
    SealedContent content;
    runtime.random(content.key.expose());
    // The key is used for this one box, so the nonce may be the same for all.
    seal_box(box.data(), text, wire::short_nonce(content_nonce, 0), content.key);
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, nullptr, 0, content.digest.size());
    crypto_generichash_update(&hash, packet_id.bytes.data(), packet_id.bytes.size());
    crypto_generichash_update(&hash, box.data(), text.size() + e2e::tag_bytes);
    crypto_generichash_final(&hash, content.digest.data(), content.digest.size());
    return content;
}

Status open_content(const SealedContent& content, const E2eId& packet_id, Bytes box, MutableBytes text) noexcept
{
    ByteArray<e2e::digest_bytes> digest;
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, nullptr, 0, digest.size());
    crypto_generichash_update(&hash, packet_id.bytes.data(), packet_id.bytes.size());
    crypto_generichash_update(&hash, box.data(), box.size());
    crypto_generichash_final(&hash, digest.data(), digest.size());
    if (!same_bytes(digest, content.digest)) {
        return fail(Kind::unauthentic, "a content is not the one that was sealed for this recipient");
    }
    return open_box(text.data(), box, wire::short_nonce(content_nonce, 0), content.key);
}

Result<std::size_t> e2e_seal_fanout(Runtime& runtime, std::span<E2eSession*> sessions, std::uint8_t flags, Bytes text,
                                    MutableBytes output) noexcept
{
    const auto slots_bytes = sessions.size() * e2e::fanout_slot_bytes;
    const auto size = e2e::head_bytes + 2 + slots_bytes + e2e::tag_bytes + text.size();
    if (output.size() < size) {
        return fail(Kind::exhausted, "the buffer for a packet is too small");
    }
    E2eId id;
    runtime.random(id.bytes);
    const auto content = seal_content(runtime, id, text,
                                      output.subspan(e2e::head_bytes + 2 + slots_bytes, text.size() + e2e::tag_bytes));
    Writer writer(output);
    e2e::write_packet_head(writer, PacketType::fanout, id);
    writer.write_be(static_cast<std::uint16_t>(sessions.size()));
    Secret<e2e::content_key_bytes + e2e::digest_bytes + 1, SharedKeyTag> inside;
    copy_bytes(inside.expose(), content.key.expose());
    copy_bytes(inside.expose().subspan(e2e::content_key_bytes), content.digest);
    inside.expose().back() = flags;
    for (auto* session : sessions) {
        const auto counter = TRY(next_counter(*session, text.size()));
        writer.write_bytes(session->session_id.bytes);
        writer.write_be(session->sending.epoch);
        writer.write_be(counter);
        seal_box(writer.rest().data(), inside.expose(),
                 nonce_of(PacketType::fanout, session->curve.is_server, session->sending.epoch, counter),
                 session->sending.key);
        writer.advance(inside.expose().size() + e2e::tag_bytes);
    }
    return size;
}

} // namespace caisson::trusted::curve
