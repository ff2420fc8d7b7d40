#include "trusted/curve/handshakes.hpp"

#include <algorithm>
#include <utility>

namespace caisson::trusted::curve {
namespace {

constexpr std::size_t id_bytes = sizeof(std::uint32_t);
// Of the answer to INITIATE, before the metadata: the session, the client's key, whether it is admitted.
constexpr std::size_t initiated_bytes = id_bytes + CurveKey::size + id_bytes;

} // namespace

Handshakes::Waiting& Handshakes::next_place(airlock::Exchange& exchange) noexcept
{
    auto& waiting = waiting_.add();
    waiting.exchange = &exchange;
    waiting.step.body = exchange.input.subspan(id_bytes); // the row demands so much
    waiting.step.output = exchange.output;
    return waiting;
}

// One that does not begin has its answer; nothing of it is left but the place.
Status Handshakes::joined(Waiting& waiting, Status begun) noexcept
{
    if (!begun) {
        waiting.step = {};
    }
    return begun;
}

Status Handshakes::add_begin_client(airlock::Exchange& exchange, Session& session) noexcept
{
    Writer writer(exchange.output);
    writer.write_le(session.id);
    if (const auto written = writer.finish(); !written) {
        return std::unexpected(written.error());
    }
    auto& waiting = next_place(exchange);
    waiting.front_bytes = id_bytes;
    waiting.step.output = exchange.output.subspan(id_bytes);
    waiting.step.session = &session;
    waiting.next = SessionState::welcome_awaited;
    return joined(waiting, begin_produce_hello(sources_, waiting.step));
}

Status Handshakes::add_produce_hello(airlock::Exchange& exchange, Session& session) noexcept
{
    auto& waiting = next_place(exchange);
    waiting.step.session = &session;
    waiting.next = SessionState::welcome_awaited;
    return joined(waiting, begin_produce_hello(sources_, waiting.step));
}

Status Handshakes::add_process_hello(airlock::Exchange& exchange, const LongTermKey& own) noexcept
{
    auto& waiting = next_place(exchange);
    waiting.step.own = &own;
    return joined(waiting, begin_process_hello(waiting.step));
}

Status Handshakes::add_process_welcome(airlock::Exchange& exchange, Session& session) noexcept
{
    auto& waiting = next_place(exchange);
    waiting.step.session = &session;
    waiting.next = SessionState::initiate_due;
    return joined(waiting, begin_process_welcome(waiting.step));
}

Status Handshakes::add_produce_initiate(airlock::Exchange& exchange, Session& session, const LongTermKey& own) noexcept
{
    auto& waiting = next_place(exchange);
    waiting.step.session = &session;
    waiting.step.own = &own;
    waiting.next = SessionState::ready_awaited;
    return joined(waiting, begin_produce_initiate(waiting.step));
}

Status Handshakes::add_process_initiate(airlock::Exchange& exchange, const LongTermKey& own, Gate* gate) noexcept
{
    if (exchange.output.size() < initiated_bytes) {
        return fail(Kind::exhausted, "the buffer for the answer is too small");
    }
    auto& waiting = next_place(exchange);
    waiting.gate = gate;
    waiting.opens = true;
    waiting.front_bytes = initiated_bytes;
    waiting.step.own = &own;
    waiting.step.output = exchange.output.subspan(initiated_bytes);
    return joined(waiting, begin_process_initiate(sources_, waiting.step));
}

bool Handshakes::has(std::uint32_t session_id) const noexcept
{
    return std::any_of(waiting_.begin(), waiting_.end(), [session_id](const Waiting& waiting) {
        return waiting.step.session != nullptr && waiting.step.session->id == session_id;
    });
}

// [CURVE-46]
void Handshakes::run() noexcept
{
    go_on_together(waiting_, [this](Waiting& waiting, bool has_key) { advance(waiting, has_key); });
    waiting_.clear(); // and wiped
}

// [CURVE-2]
void Handshakes::advance(Waiting& waiting, bool has_key) noexcept
{
    auto done = go_on(sources_, waiting.step, has_key);
    if (done && waiting.step.go_on == nullptr) {
        done = complete(waiting);
    }
    if (!done) {
        waiting.exchange->answer.result = std::unexpected(done.error());
        if (waiting.step.session != nullptr) {
            sessions_.close(*waiting.step.session);
        }
    }
}

Status Handshakes::complete(Waiting& waiting) noexcept
{
    if (waiting.opens) {
        return open_session(waiting);
    }
    if (waiting.step.session != nullptr) {
        waiting.step.session->state = waiting.next;
    }
    waiting.exchange->answer.result = waiting.front_bytes + waiting.step.written;
    return {};
}

Status Handshakes::open_session(Waiting& waiting) noexcept
{
    auto& step = waiting.step;
    const auto now = sources_.runtime.ticks();
    const bool admitted = waiting.gate == nullptr || waiting.gate->admits(step.client, now);
    std::uint32_t id = 0;
    if (admitted) {
        auto* session = TRY(sessions_.open(now));
        session->state = SessionState::ready_due;
        session->is_server = true;
        session->own_key = step.own->id;
        session->gate = waiting.gate;
        session->peer = step.client;
        session->received = step.counter;
        session->key = std::move(step.session_key);
        id = session->id;
    }
    Writer writer(waiting.exchange->output);
    writer.write_le(id);
    writer.write_bytes(step.client.bytes);
    writer.write_le(admitted ? std::uint32_t{1} : std::uint32_t{0});
    waiting.exchange->answer.result = waiting.front_bytes + step.written;
    return {};
}

} // namespace caisson::trusted::curve
