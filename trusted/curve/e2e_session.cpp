#include "trusted/curve/e2e_place.hpp"

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
constexpr std::string_view id_domain = "caisson e2e id v1";
constexpr std::string_view keys_domain = "caisson e2e keys v1";

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
    const auto counter = TRY(next_place(session, text.size()));
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
        return e2e_open_fanout(session, packet, text);
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
    TRY(check_packet_flags(out.flags));
    take_place(session, place, std::move(key));
    copy_bytes(text, text.subspan(1, out.text_bytes));
    return out;
}

} // namespace caisson::trusted::curve
