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

Session* Chamber::message_session(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept
{
    std::uint32_t id = 0;
    __builtin_memcpy(&id, exchange.input.data(), sizeof id); // the row demands more than that
    auto* session = sessions_.at(id);
    if (session == nullptr) {
        exchange.answer.result = fail(Kind::missing, "there is no such session");
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

Result<std::size_t> Chamber::open_client(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    const auto* own = TRY(keys_.find(subject.id));
    auto* gate = TRY(gate_for(*own));
    auto* session = TRY(sessions_.open(runtime_.ticks()));
    session->own_key = own->id;
    session->gate = gate;
    copy_bytes(session->peer.bytes, subject.rest);
    Writer writer(output);
    writer.write_le(session->id);
    return writer.finish();
}

Result<std::size_t> Chamber::produce_hello(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    const auto size = TRY(or_end(sessions_, *session, curve::produce_hello(runtime_, *session, output)));
    session->state = SessionState::welcome_awaited;
    return size;
}

Result<std::size_t> Chamber::process_hello(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    const auto* own = TRY(keys_.find(subject.id));
    return curve::process_hello(runtime_, cookies_, *own, subject.rest, output);
}

Result<std::size_t> Chamber::process_welcome(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    if (const auto done = curve::process_welcome(*session, subject.rest); !done) {
        sessions_.close(*session);
        return std::unexpected(done.error());
    }
    session->state = SessionState::initiate_due;
    return std::size_t{0};
}

Result<std::size_t> Chamber::produce_initiate(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    const auto* own = TRY(keys_.find(session->own_key));
    const auto size =
        TRY(or_end(sessions_, *session, curve::produce_initiate(runtime_, *session, *own, subject.rest, output)));
    session->state = SessionState::ready_awaited;
    return size;
}

Result<std::size_t> Chamber::process_initiate(Bytes input, MutableBytes output) noexcept
{
    constexpr std::size_t head_bytes = 4 + CurveKey::size + 4;
    const auto subject = TRY(read_subject(input));
    const auto* own = TRY(keys_.find(subject.id));
    auto* gate = TRY(gate_for(*own));
    if (output.size() < head_bytes) {
        return fail(Kind::exhausted, "the buffer for the answer is too small");
    }
    auto initiated = TRY(curve::process_initiate(runtime_, cookies_, *own, subject.rest, output.subspan(head_bytes)));
    const bool admitted = gate == nullptr || gate->admits(initiated.client, runtime_.ticks());
    std::uint32_t id = 0;
    if (admitted) {
        auto* session = TRY(sessions_.open(runtime_.ticks()));
        session->state = SessionState::ready_due;
        session->is_server = true;
        session->own_key = own->id;
        session->gate = gate;
        session->peer = initiated.client;
        session->received = initiated.counter;
        session->key = std::move(initiated.key);
        id = session->id;
    }
    Writer writer(output);
    writer.write_le(id);
    writer.write_bytes(initiated.client.bytes);
    writer.write_le(admitted ? std::uint32_t{1} : std::uint32_t{0});
    return head_bytes + initiated.metadata_bytes;
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
    return messages_.seal_run(session, exchange);
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
    const auto run = messages_.open_run(session, exchange);
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
