#include "trusted/curve/e2e_handshakes.hpp"

#include "core/check.hpp"
#include "protocol/zmtp.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

namespace e2e = protocol::e2e;
namespace wire = protocol::curve;

constexpr std::size_t id_bytes = sizeof(std::uint32_t);
// Of the answer to INITIATE, before the metadata: the session, the client's key, whether it is admitted, the order, the
// session's id.
constexpr std::size_t initiated_bytes = id_bytes + CurveKey::size + id_bytes + id_bytes + E2eId::size;
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

void answer_packet(airlock::Exchange& exchange, PacketType type, const E2eId& id, std::size_t body_bytes) noexcept
{
    Writer writer(exchange.output);
    e2e::write_packet_head(writer, type, id);
    exchange.answer.result = e2e::head_bytes + body_bytes;
}

Result<MutableBytes> body_of(MutableBytes output) noexcept
{
    if (output.size() < e2e::head_bytes) {
        return fail(Kind::exhausted, "the buffer for a packet is too small");
    }
    return output.subspan(e2e::head_bytes);
}

} // namespace

E2eHandshakes::Waiting& E2eHandshakes::next_place(airlock::Exchange& exchange) noexcept
{
    auto& waiting = waiting_.add();
    waiting.exchange = &exchange;
    return waiting;
}

// One that does not begin has its answer; nothing of it is left but the place.
Status E2eHandshakes::joined(Waiting& waiting, Status begun) noexcept
{
    if (!begun) {
        waiting.session = nullptr;
        waiting.step = {};
    }
    return begun;
}

// [E2E-2]
Status E2eHandshakes::add_produce_hello(airlock::Exchange& exchange, E2eSession& session) noexcept
{
    const auto body = TRY(body_of(exchange.output));
    auto& waiting = next_place(exchange);
    waiting.session = &session;
    waiting.ends_session = true;
    waiting.complete = complete_produce_hello;
    waiting.step.session = &session.curve;
    waiting.step.output = body;
    return joined(waiting, begin_produce_hello(sources_, waiting.step));
}

Status E2eHandshakes::complete_produce_hello(E2eHandshakes& /*self*/, Waiting& waiting) noexcept
{
    auto& session = *waiting.session;
    session.session_id = front_of(session.curve.own_transient);
    session.curve.state = SessionState::welcome_awaited;
    answer_packet(*waiting.exchange, PacketType::hello, session.session_id, waiting.step.written);
    return {};
}

Status E2eHandshakes::add_process_hello(airlock::Exchange& exchange, const LongTermKey& own) noexcept
{
    const auto hello = TRY(expect_packet(exchange.input.subspan(id_bytes), PacketType::hello));
    const auto body = TRY(body_of(exchange.output));
    auto& waiting = next_place(exchange);
    waiting.complete = complete_process_hello;
    waiting.id = hello.id;
    waiting.step.own = &own;
    waiting.step.body = hello.body;
    waiting.step.output = body;
    return joined(waiting, begin_process_hello(waiting.step));
}

Status E2eHandshakes::complete_process_hello(E2eHandshakes& /*self*/, Waiting& waiting) noexcept
{
    if (waiting.id != front_of(waiting.step.client_transient)) {
        return fail(Kind::malformed, "HELLO stands under another's id");
    }
    answer_packet(*waiting.exchange, PacketType::welcome, waiting.id, waiting.step.written);
    return {};
}

Status E2eHandshakes::add_process_welcome(airlock::Exchange& exchange, E2eSession& session) noexcept
{
    const auto welcome = TRY(expect_packet(exchange.input.subspan(id_bytes), PacketType::welcome));
    if (welcome.id != session.session_id) {
        return fail(Kind::missing, "WELCOME is for another handshake");
    }
    auto& waiting = next_place(exchange);
    waiting.session = &session;
    waiting.complete = complete_process_welcome;
    waiting.step.session = &session.curve;
    waiting.step.body = welcome.body;
    return joined(waiting, begin_process_welcome(waiting.step));
}

Status E2eHandshakes::complete_process_welcome(E2eHandshakes& /*self*/, Waiting& waiting) noexcept
{
    auto& session = *waiting.session;
    session.session_id = id_of(session.curve.key);
    session.curve.state = SessionState::initiate_due;
    waiting.exchange->answer.result = std::size_t{0};
    return {};
}

Status E2eHandshakes::add_produce_initiate(airlock::Exchange& exchange, E2eSession& session,
                                           const LongTermKey& own) noexcept
{
    const auto metadata = exchange.input.subspan(id_bytes);
    const auto body = TRY(body_of(exchange.output));
    if (TRY(read_own_property(metadata)).order != session.order) {
        return fail(Kind::malformed, "the metadata name another order than the session has");
    }
    auto& waiting = next_place(exchange);
    waiting.session = &session;
    waiting.ends_session = true;
    waiting.complete = complete_produce_initiate;
    waiting.step.session = &session.curve;
    waiting.step.own = &own;
    waiting.step.body = metadata;
    waiting.step.output = body;
    return joined(waiting, begin_produce_initiate(waiting.step));
}

Status E2eHandshakes::complete_produce_initiate(E2eHandshakes& /*self*/, Waiting& waiting) noexcept
{
    auto& session = *waiting.session;
    answer_packet(*waiting.exchange, PacketType::initiate, session.session_id, waiting.step.written);
    derive_keys(session, waiting.step.own->public_key, session.curve.peer);
    session.curve.state = SessionState::ready_awaited;
    return {};
}

// [E2E-6]
Status E2eHandshakes::add_process_initiate(airlock::Exchange& exchange, const LongTermKey& own, Gate* gate) noexcept
{
    if (exchange.output.size() < initiated_bytes) {
        return fail(Kind::exhausted, "the buffer for the answer is too small");
    }
    const auto initiate = TRY(expect_packet(exchange.input.subspan(id_bytes), PacketType::initiate));
    auto& waiting = next_place(exchange);
    waiting.gate = gate;
    waiting.complete = complete_process_initiate;
    waiting.id = initiate.id;
    waiting.step.own = &own;
    waiting.step.body = initiate.body;
    waiting.step.output = exchange.output.subspan(initiated_bytes);
    return joined(waiting, begin_process_initiate(sources_, waiting.step));
}

Status E2eHandshakes::complete_process_initiate(E2eHandshakes& self, Waiting& waiting) noexcept
{
    auto& step = waiting.step;
    if (waiting.id != id_of(step.session_key)) {
        return fail(Kind::malformed, "INITIATE stands under another session's id");
    }
    const auto metadata = step.output.first(step.written);
    const auto property = TRY(read_own_property(metadata));
    const bool admitted = waiting.gate == nullptr || waiting.gate->admits(step.client, self.sources_.runtime.ticks());
    std::uint32_t id = 0;
    if (admitted) {
        auto* session = TRY(self.sessions_.open());
        session->curve.state = SessionState::ready_due;
        session->curve.is_server = true;
        session->curve.gate = waiting.gate;
        session->curve.own_key = step.own->id;
        session->curve.peer = step.client;
        session->curve.key = std::move(step.session_key);
        session->session_id = waiting.id;
        session->order = property.order;
        derive_keys(*session, step.client, step.own->public_key);
        id = session->curve.id;
    }
    copy_bytes(step.output, metadata.subspan(property.size));
    Writer writer(waiting.exchange->output);
    writer.write_le(id);
    writer.write_bytes(step.client.bytes);
    writer.write_le(admitted ? std::uint32_t{1} : std::uint32_t{0});
    writer.write_le(static_cast<std::uint32_t>(property.order));
    writer.write_bytes(waiting.id.bytes);
    waiting.exchange->answer.result = initiated_bytes + metadata.size() - property.size;
    return {};
}

bool E2eHandshakes::has(const E2eSession& session) const noexcept
{
    return std::any_of(waiting_.begin(), waiting_.end(),
                       [&session](const Waiting& waiting) { return waiting.session == &session; });
}

// [E2E-19]
void E2eHandshakes::run() noexcept
{
    go_on_together(waiting_, [this](Waiting& waiting, bool has_key) { advance(waiting, has_key); });
    waiting_.clear(); // and wiped
}

// [E2E-8] Whoever carries a handshake can add to it: what does not fit is refused, and the handshake goes on.
void E2eHandshakes::advance(Waiting& waiting, bool has_key) noexcept
{
    auto done = go_on(sources_, waiting.step, has_key);
    if (done && waiting.step.go_on == nullptr) {
        done = waiting.complete(*this, waiting);
    }
    if (!done) {
        waiting.exchange->answer.result = std::unexpected(done.error());
        if (waiting.ends_session) {
            E2eSessions::close(*waiting.session);
        }
    }
}

} // namespace caisson::trusted::curve
