// The chamber's requests about sessions: each reads its id, lets the session do its step, and moves its state on.
#include "core/wire.hpp"
#include "trusted/curve/chamber.hpp"

namespace caisson::trusted::curve {
namespace {

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

// Of the subject. The row demands more than that.
std::uint32_t id_of(const airlock::Exchange& exchange) noexcept
{
    std::uint32_t id = 0;
    __builtin_memcpy(&id, exchange.input.data(), sizeof id);
    return id;
}

// [CURVE-2] A step that fails ends the session: nobody tries twice on one set of transient keys, nor on one session
// key.
template <typename T>
Result<T> or_end(Sessions& sessions, Session& session, Result<T> result) noexcept
{
    if (!result) {
        sessions.close(session);
    }
    return result;
}

} // namespace

Status Chamber::check_gate(Session& session) noexcept
{
    if (session.gate != nullptr && !session.gate->permits_message(session.peer, runtime_.ticks())) {
        end_session(session.id);
        return fail(Kind::expired, "the peer's node is not trusted now");
    }
    return {};
}

Session* Chamber::session_of(airlock::Exchange& exchange) noexcept
{
    auto* session = sessions_.at(id_of(exchange));
    if (session == nullptr) {
        exchange.answer.result = fail(Kind::missing, "there is no such session");
    }
    return session;
}

const LongTermKey* Chamber::key_of(airlock::Exchange& exchange, std::uint32_t id) noexcept
{
    const auto own = keys_.find(id);
    if (!own) {
        exchange.answer.result = std::unexpected(own.error());
        return nullptr;
    }
    return *own;
}

Session* Chamber::message_session(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept
{
    auto* session = session_of(exchange);
    if (session == nullptr) {
        return nullptr;
    }
    if (!row.permits(session->state)) {
        exchange.answer.refusal = airlock::Refusal::not_in_this_state;
        return nullptr;
    }
    if (session->gate != nullptr) {
        if (const auto open = check_gate(*session); !open) {
            exchange.answer.result = std::unexpected(open.error());
            return nullptr;
        }
    }
    return session;
}

Result<Session*> Chamber::new_client(Bytes input) noexcept
{
    const auto subject = TRY(read_subject(input));
    const auto* own = TRY(keys_.find(subject.id));
    auto* gate = TRY(gate_for(*own));
    auto* session = TRY(sessions_.open(runtime_.ticks()));
    session->own_key = own->id;
    session->gate = gate;
    copy_bytes(session->peer.bytes, subject.rest);
    return session;
}

Result<std::size_t> Chamber::open_client(Bytes input, MutableBytes output) noexcept
{
    const auto* session = TRY(new_client(input));
    Writer writer(output);
    writer.write_le(session->id);
    return writer.finish();
}

// [CURVE-2]
void Chamber::note_joined(airlock::Exchange& exchange, Session* session, const Status& joined) noexcept
{
    if (joined) {
        return;
    }
    exchange.answer.result = std::unexpected(joined.error());
    if (session != nullptr) {
        sessions_.close(*session);
    }
}

void Chamber::begin_client(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    const auto session = new_client(exchange.input);
    if (!session) {
        exchange.answer.result = std::unexpected(session.error());
        return;
    }
    note_joined(exchange, *session, handshakes_.add_begin_client(exchange, **session));
}

void Chamber::produce_hello(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    if (auto* session = session_of(exchange); session != nullptr) {
        note_joined(exchange, session, handshakes_.add_produce_hello(exchange, *session));
    }
}

void Chamber::process_hello(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    if (const auto* own = key_of(exchange, id_of(exchange)); own != nullptr) {
        note_joined(exchange, nullptr, handshakes_.add_process_hello(exchange, *own));
    }
}

void Chamber::process_welcome(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    if (auto* session = session_of(exchange); session != nullptr) {
        note_joined(exchange, session, handshakes_.add_process_welcome(exchange, *session));
    }
}

void Chamber::produce_initiate(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    auto* session = session_of(exchange);
    const auto* own = session != nullptr ? key_of(exchange, session->own_key) : nullptr;
    if (own != nullptr) {
        note_joined(exchange, session, handshakes_.add_produce_initiate(exchange, *session, *own));
    }
}

void Chamber::process_initiate(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    const auto* own = key_of(exchange, id_of(exchange));
    if (own == nullptr) {
        return;
    }
    const auto gate = gate_for(*own);
    note_joined(exchange, nullptr,
                gate ? handshakes_.add_process_initiate(exchange, *own, *gate) : Status(std::unexpected(gate.error())));
}

Result<std::size_t> Chamber::produce_ready(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    const auto size = TRY(or_end(sessions_, *session, curve::produce_ready(*session, subject.rest, output)));
    session->state = SessionState::open;
    return size;
}

Result<std::size_t> Chamber::process_ready(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    const auto size = TRY(or_end(sessions_, *session, curve::process_ready(*session, subject.rest, output)));
    TRY(check_gate(*session));
    session->state = SessionState::open;
    return size;
}

void Chamber::produce_message(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept
{
    if (auto* session = message_session(row, exchange); session != nullptr) {
        if (const auto added = messages_.add_sealing(exchange, *session); !added) {
            exchange.answer.result = std::unexpected(added.error());
        }
    }
}

void Chamber::process_message(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept
{
    if (auto* session = message_session(row, exchange); session != nullptr) {
        if (const auto added = messages_.add_opening(exchange, *session); !added) {
            end_session(session->id);
            exchange.answer.result = std::unexpected(added.error());
        }
    }
}

// One was asked for when the session was found.
Status Chamber::check_gate_for_more(Session& session, std::size_t messages) noexcept
{
    for (std::size_t count = 1; count < messages && session.gate != nullptr; ++count) {
        TRY(check_gate(session));
    }
    return {};
}

Result<std::size_t> Chamber::seal_run(Session& session, airlock::Exchange& exchange) noexcept
{
    const auto count = TRY(messages_.lay_out_sealing(exchange));
    TRY(check_gate_for_more(session, count));
    return messages_.seal_run(session, exchange, count, ahead_);
}

void Chamber::produce_messages(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept
{
    if (auto* session = message_session(row, exchange); session != nullptr) {
        exchange.answer.result = seal_run(*session, exchange);
    }
}

Result<std::size_t> Chamber::open_run(Session& session, airlock::Exchange& exchange) noexcept
{
    const auto count = TRY(messages_.lay_out_opening(exchange));
    TRY(check_gate_for_more(session, count));
    const auto run = messages_.open_run(session, exchange, count, ahead_);
    if (!run.all) {
        sessions_.close(session);
        if (run.output_bytes == 0) {
            return std::unexpected(run.all.error());
        }
    }
    return run.output_bytes;
}

void Chamber::process_messages(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept
{
    auto* session = message_session(row, exchange);
    if (session == nullptr) {
        return;
    }
    const auto id = session->id;
    exchange.answer.result = open_run(*session, exchange);
    if (!exchange.answer.result) {
        end_session(id);
    }
}

Result<std::size_t> Chamber::process_error(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    const auto size = curve::process_error(subject.rest, output);
    sessions_.close(*session);
    return size;
}

Result<std::size_t> Chamber::close_session(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    sessions_.close(*session);
    return std::size_t{0};
}

// [CURVE-27] A client's handshake is judged when it is over.
Result<std::size_t> Chamber::sweep_sessions(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    const auto now = runtime_.ticks();
    Writer writer(output);
    for (auto& session : sessions_.places(subject.id, airlock::curve::sweep_places_max)) {
        const bool talks = session.id != 0 && session.state >= SessionState::ready_due;
        if (talks && session.gate != nullptr && !session.gate->admits(session.peer, now)) {
            writer.write_le(session.id);
            sessions_.close(session);
        }
    }
    return writer.finish();
}

} // namespace caisson::trusted::curve
