// The chamber's requests about end-to-end sessions and letters. Spec: docs/spec/e2e.md.
#include "core/wire.hpp"
#include "trusted/curve/chamber.hpp"

namespace caisson::trusted::curve {
namespace {

namespace e2e = protocol::e2e;

constexpr std::size_t id_bytes = sizeof(std::uint32_t);

struct Subject {
    std::uint32_t id = 0;
    Bytes rest;
};

Result<Subject> read_subject(Bytes input) noexcept
{
    Reader reader(input);
    Subject subject;
    subject.id = TRY(reader.read_le<std::uint32_t>());
    subject.rest = reader.rest();
    return subject;
}

// [E2E-13]
Result<std::uint8_t> read_flags(Reader& reader) noexcept
{
    const auto flags = TRY(reader.read_le<std::uint32_t>());
    if ((flags & ~std::uint32_t{e2e::flags_known}) != 0) {
        return fail(Kind::malformed, "a message has unknown flags");
    }
    return static_cast<std::uint8_t>(flags);
}

Status check_text(Bytes text) noexcept
{
    if (text.size() > e2e::text_bytes_max) {
        return fail(Kind::malformed, "a text is above the limit of one packet");
    }
    return {};
}

} // namespace

Result<std::uint32_t> Chamber::state_of_e2e_session(const Chamber& chamber, Bytes input) noexcept
{
    const auto subject = TRY(read_subject(input));
    const auto* found = TRY(chamber.e2e_sessions_.find(subject.id));
    return static_cast<std::uint32_t>(found->curve.state);
}

// [E2E-15] What waits for the session comes before its end.
Status Chamber::check_e2e_gate(E2eSession& session) noexcept
{
    if (session.curve.gate == nullptr || session.curve.gate->permits_message(session.curve.peer, runtime_.ticks())) {
        return {};
    }
    const auto id = session.curve.id;
    packets_.run();
    if (session.curve.id != id) {
        return fail(Kind::missing, "a packet before this one ended the session");
    }
    E2eSessions::close(session);
    return fail(Kind::unacceptable, "the peer's node is not trusted now");
}

bool Chamber::packet_is_alone(const airlock::Exchange& exchange) const noexcept
{
    const auto subject = read_subject(exchange.input);
    const auto session = subject ? e2e_sessions_.find(subject->id) : std::unexpected(subject.error());
    if (!session) {
        return false;
    }
    if (exchange.request == static_cast<std::uint32_t>(airlock::curve::Request::e2e_produce_message)) {
        Reader reader(subject->rest);
        const auto flags = read_flags(reader);
        return flags && PacketBatch::must_be_alone(**session, *flags);
    }
    const auto packet = e2e::read_packet(subject->rest);
    return packet && PacketBatch::must_be_alone(**session, *packet);
}

Result<std::size_t> Chamber::e2e_open_client(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    Reader reader(subject.rest);
    const auto order = TRY(reader.read_le<std::uint32_t>());
    if (order > static_cast<std::uint32_t>(Order::window)) {
        return fail(Kind::malformed, "there is no such order");
    }
    const auto* own = TRY(keys_.find(subject.id));
    auto* gate = TRY(gate_for(*own));
    auto* session = TRY(e2e_sessions_.open());
    session->curve.own_key = own->id;
    session->curve.gate = gate;
    session->order = static_cast<Order>(order);
    copy_bytes(session->curve.peer.bytes, reader.rest());
    Writer writer(output);
    writer.write_le(session->curve.id);
    return writer.finish();
}

// What a client cannot produce ends its session; `session` is null where there is none, or where it goes on.
void Chamber::note_e2e_step(airlock::Exchange& exchange, E2eSession* session, const Status& joined) noexcept
{
    if (joined) {
        return;
    }
    exchange.answer.result = std::unexpected(joined.error());
    if (session != nullptr) {
        E2eSessions::close(*session);
    }
}

E2eSession* Chamber::e2e_session_of(airlock::Exchange& exchange) noexcept
{
    const auto subject = read_subject(exchange.input);
    const auto session = subject ? e2e_sessions_.find(subject->id) : std::unexpected(subject.error());
    if (!session) {
        exchange.answer.result = std::unexpected(session.error());
        return nullptr;
    }
    return *session;
}

void Chamber::e2e_produce_hello(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    if (auto* session = e2e_session_of(exchange); session != nullptr) {
        note_e2e_step(exchange, session, e2e_handshakes_.add_produce_hello(exchange, *session));
    }
}

void Chamber::e2e_process_hello(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    const auto subject = read_subject(exchange.input);
    if (const auto* own = subject ? key_of(exchange, subject->id) : nullptr; own != nullptr) {
        note_e2e_step(exchange, nullptr, e2e_handshakes_.add_process_hello(exchange, *own));
    }
}

// [E2E-8] Whoever carries a handshake can add to it: what does not fit is refused, and the handshake goes on.
void Chamber::e2e_process_welcome(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    if (auto* session = e2e_session_of(exchange); session != nullptr) {
        note_e2e_step(exchange, nullptr, e2e_handshakes_.add_process_welcome(exchange, *session));
    }
}

void Chamber::e2e_produce_initiate(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    auto* session = e2e_session_of(exchange);
    const auto* own = session != nullptr ? key_of(exchange, session->curve.own_key) : nullptr;
    if (own != nullptr) {
        note_e2e_step(exchange, session, e2e_handshakes_.add_produce_initiate(exchange, *session, *own));
    }
}

void Chamber::e2e_process_initiate(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    const auto subject = read_subject(exchange.input);
    const auto* own = subject ? key_of(exchange, subject->id) : nullptr;
    if (own == nullptr) {
        return;
    }
    const auto gate = gate_for(*own);
    note_e2e_step(exchange, nullptr,
                  gate ? e2e_handshakes_.add_process_initiate(exchange, *own, *gate)
                       : Status(std::unexpected(gate.error())));
}

Result<std::size_t> Chamber::e2e_produce_ready(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(e2e_sessions_.find(subject.id));
    TRY(check_metadata(subject.rest));
    const auto size = TRY(e2e_seal(*session, PacketType::ready, 0, subject.rest, output));
    session->curve.state = SessionState::open;
    return size;
}

Result<std::size_t> Chamber::e2e_process_ready(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(e2e_sessions_.find(subject.id));
    const auto packet = TRY(e2e::read_packet(subject.rest));
    if (packet.type != PacketType::ready || output.size() < E2eId::size) {
        return fail(Kind::malformed, "READY was expected");
    }
    const auto metadata = output.subspan(E2eId::size);
    const auto opened = e2e_open(*session, packet, metadata);
    if (!opened || !check_metadata(metadata.first(opened->text_bytes))) {
        if (opened || opened.error().kind == Kind::conflict) {
            E2eSessions::close(*session);
        }
        return opened ? fail(Kind::malformed, "READY's metadata are none") : std::unexpected(opened.error());
    }
    TRY(check_e2e_gate(*session));
    session->curve.state = SessionState::open;
    copy_bytes(output, session->session_id.bytes);
    return E2eId::size + opened->text_bytes;
}

Status Chamber::join_sealing(airlock::Exchange& exchange) noexcept
{
    const auto subject = TRY(read_subject(exchange.input));
    auto* session = TRY(e2e_sessions_.find(subject.id));
    Reader reader(subject.rest);
    const auto flags = TRY(read_flags(reader));
    TRY(check_text(reader.rest()));
    TRY(check_e2e_gate(*session));
    TRY(packets_.add_sealing(exchange, *session, flags));
    if ((flags & e2e::flag_close) != 0) { // [E2E-12] nothing else waits
        packets_.run();
        E2eSessions::close(*session);
    }
    return {};
}

// Of a session that may end before it comes to this packet.
void Chamber::note_packet(airlock::Exchange& exchange, const Status& joined) noexcept
{
    if (joined) {
        return;
    }
    const auto subject = read_subject(exchange.input);
    const auto session = subject ? e2e_sessions_.find(subject->id) : std::unexpected(subject.error());
    if (session) {
        packets_.add_refused(exchange, **session, joined.error());
    } else {
        exchange.answer.result = std::unexpected(joined.error());
    }
}

void Chamber::e2e_produce_message(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    note_packet(exchange, join_sealing(exchange));
}

Status Chamber::join_opening(airlock::Exchange& exchange) noexcept
{
    constexpr std::size_t head_bytes = id_bytes + sizeof(std::uint64_t);
    const auto subject = TRY(read_subject(exchange.input));
    auto* session = TRY(e2e_sessions_.find(subject.id));
    const auto packet = TRY(e2e::read_packet(subject.rest));
    if ((packet.type != PacketType::data && packet.type != PacketType::fanout) || exchange.output.size() < head_bytes) {
        return fail(Kind::malformed, "a packet of data was expected");
    }
    TRY(check_e2e_gate(*session));
    if (!PacketBatch::must_be_alone(*session, packet)) {
        return packets_.add_opening(exchange, *session, packet);
    }
    const auto opened = e2e_open(*session, packet, exchange.output.subspan(head_bytes));
    if (!opened) {
        if (opened.error().kind == Kind::conflict) { // [E2E-9] what is lost does not come back
            E2eSessions::close(*session);
        }
        return std::unexpected(opened.error());
    }
    if ((opened->flags & e2e::flag_close) != 0) {
        E2eSessions::close(*session);
    }
    Writer writer(exchange.output);
    writer.write_le(std::uint32_t{opened->flags});
    writer.write_le(opened->counter);
    exchange.answer.result = head_bytes + opened->text_bytes;
    return {};
}

void Chamber::e2e_process_message(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    note_packet(exchange, join_opening(exchange));
}

Result<std::size_t> Chamber::e2e_rekey(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(e2e_sessions_.find(subject.id));
    TRY(curve::e2e_rekey(*session));
    return std::size_t{0};
}

Result<std::size_t> Chamber::e2e_close_session(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(e2e_sessions_.find(subject.id));
    E2eSessions::close(*session);
    return std::size_t{0};
}

// Before any counter moves, all of them are looked at.
Result<std::size_t> Chamber::e2e_produce_fanout(Bytes input, MutableBytes output) noexcept
{
    Reader reader(input);
    const auto flags = TRY(read_flags(reader));
    const auto count = TRY(reader.read_le<std::uint32_t>());
    if (count == 0 || count > e2e::recipients_max || (flags & e2e::flag_close) != 0) {
        return fail(Kind::malformed, "a fan-out is for 1 to 256 sessions and closes none");
    }
    std::array<E2eSession*, e2e::recipients_max> sessions{};
    for (std::size_t index = 0; index < count; ++index) {
        const auto id = TRY(reader.read_le<std::uint32_t>());
        auto* session = TRY(e2e_sessions_.find(id));
        if (session->curve.state != SessionState::open) {
            return fail(Kind::forbidden, "a session of the fan-out is not open");
        }
        sessions[index] = session;
    }
    TRY(check_text(reader.rest()));
    for (std::size_t index = 0; index < count; ++index) {
        TRY(check_e2e_gate(*sessions[index]));
    }
    return e2e_seal_fanout(runtime_, std::span(sessions).first(count), flags, reader.rest(), output);
}

Result<std::size_t> Chamber::e2e_allow_sender(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto subject = TRY(read_subject(input));
    const auto* own = TRY(keys_.find(subject.id));
    CurveKey sender;
    copy_bytes(sender.bytes, subject.rest);
    TRY(letters_.allow(own->id, sender));
    return std::size_t{0};
}

Result<std::size_t> Chamber::e2e_refuse_sender(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto subject = TRY(read_subject(input));
    CurveKey sender;
    copy_bytes(sender.bytes, subject.rest);
    auto* known = TRY(letters_.find(subject.id, sender));
    *known = Correspondent{};
    return std::size_t{0};
}

Result<std::size_t> Chamber::e2e_produce_letter(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    const auto* own = TRY(keys_.find(subject.id));
    Reader reader(subject.rest);
    const auto clock_hint = TRY(reader.read_le<std::uint64_t>());
    LetterHead head;
    head.flags = TRY(read_flags(reader));
    const auto count = TRY(reader.read_le<std::uint32_t>());
    if (count == 0 || count > e2e::recipients_max) {
        return fail(Kind::malformed, "a letter is for 1 to 256 recipients");
    }
    const auto recipients = TRY(reader.read_bytes(count * CurveKey::size));
    TRY(check_text(reader.rest()));
    auto* gate = TRY(gate_for(*own));
    for (std::size_t index = 0; gate != nullptr && index < count; ++index) {
        CurveKey recipient;
        copy_bytes(recipient.bytes, recipients.subspan(index * CurveKey::size, CurveKey::size));
        if (!gate->permits_message(recipient, runtime_.ticks())) {
            return fail(Kind::unacceptable, "a recipient's node is not trusted now");
        }
    }
    head.number = TRY(letters_.next_number(*own, clock_hint));
    return write_letter(runtime_, *own, head, recipients, reader.rest(), output);
}

Result<std::size_t> Chamber::e2e_process_letter(Bytes input, MutableBytes output) noexcept
{
    constexpr std::size_t head_bytes = CurveKey::size + sizeof(std::uint64_t) + id_bytes;
    const auto subject = TRY(read_subject(input));
    const auto* own = TRY(keys_.find(subject.id));
    const auto packet = TRY(e2e::read_packet(subject.rest));
    const auto letter = TRY(open_letter(*own, packet));
    auto* from = TRY(letters_.find(own->id, letter.sender));
    if (!from->is_new(letter.head.number)) {
        return fail(Kind::expired, "a letter was there before, or is too old to tell");
    }
    if ((letter.head.flags & ~e2e::flags_known) != 0) {
        return fail(Kind::malformed, "a letter has reserved flags");
    }
    auto* gate = TRY(gate_for(*own));
    if (gate != nullptr && !gate->permits_message(letter.sender, runtime_.ticks())) {
        return fail(Kind::unacceptable, "the sender's node is not trusted now");
    }
    const auto content = e2e::content_of(packet);
    if (output.size() < head_bytes + content.size()) {
        return fail(Kind::exhausted, "the buffer for a letter is too small");
    }
    TRY(open_content(letter.content, packet.id, content, output.subspan(head_bytes)));
    from->take(letter.head.number);
    Writer writer(output);
    writer.write_bytes(letter.sender.bytes);
    writer.write_le(letter.head.number);
    writer.write_le(std::uint32_t{letter.head.flags});
    return head_bytes + content.size() - e2e::tag_bytes;
}

Result<std::size_t> Chamber::e2e_seal_sender(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    const auto* own = TRY(keys_.find(subject.id));
    CurveKey sender;
    copy_bytes(sender.bytes, subject.rest);
    const auto* from = TRY(letters_.find(own->id, sender));
    return seal_correspondent(runtime_, *own, *from, output);
}

Result<std::size_t> Chamber::e2e_unseal_sender(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto subject = TRY(read_subject(input));
    const auto* own = TRY(keys_.find(subject.id));
    CurveKey sender;
    copy_bytes(sender.bytes, subject.rest.first(CurveKey::size));
    auto* into = TRY(letters_.find(own->id, sender));
    TRY(unseal_correspondent(runtime_, *own, subject.rest.subspan(CurveKey::size), *into));
    return std::size_t{0};
}

} // namespace caisson::trusted::curve
