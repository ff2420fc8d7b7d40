// The handshakes of an endpoint: what comes is kept until all that is there has been looked at, and crosses at once.
#include "core/wire.hpp"
#include "library/endpoint.hpp"

#include <algorithm>

namespace caisson::library {
namespace {

namespace e2e = protocol::e2e;
using host::enclave::Enclave;

constexpr std::size_t number_bytes = sizeof(std::uint32_t);
constexpr std::size_t step_bytes_max = 1024; // of what is said in a handshake

} // namespace

Done Endpoint::take_hello(Buffer bytes, const Parts& route)
{
    if (!settings_.accepts_all && allowed_.empty()) {
        return fault(Kind::forbidden, "sessions of clients are not accepted here");
    }
    handshakes_.push_back({e2e::PacketType::hello, nullptr, std::move(bytes), route, Request::e2e_process_hello, key_,
                           Buffer(step_bytes_max)});
    return {};
}

Done Endpoint::take_welcome(const e2e::Packet& packet, Buffer bytes)
{
    const auto is_of = [&packet](const Handshake& step) {
        return step.session != nullptr && step.session->id == packet.id;
    };
    if (std::any_of(handshakes_.begin(), handshakes_.end(), is_of)) { // of a handshake one step at a time
        go_on_with_handshakes();
    }
    auto session = find(packet.id);
    if (session == nullptr || session->step != Step::welcome) {
        return fault(Kind::missing, "WELCOME is for no handshake of ours");
    }
    const auto number = session->number;
    handshakes_.push_back(
        {e2e::PacketType::welcome, std::move(session), std::move(bytes), {}, Request::e2e_process_welcome, number, {}});
    return {};
}

Done Endpoint::take_initiate(Buffer bytes, const Parts& route)
{
    Buffer answer(initiated_bytes_max(bytes));
    handshakes_.push_back({e2e::PacketType::initiate, nullptr, std::move(bytes), route, Request::e2e_process_initiate,
                           key_, std::move(answer)});
    return {};
}

void Endpoint::ask_many(std::span<Handshake> steps)
{
    struct Crossing {
        ByteArray<number_bytes> subject{};
        std::array<Bytes, 1> packet;
    };
    std::vector<Crossing> crossings(steps.size());
    std::vector<Enclave::Call> calls(steps.size());
    for (std::size_t index = 0; index < steps.size(); ++index) {
        auto& step = steps[index];
        auto& crossing = crossings[index];
        Writer(crossing.subject).write_le(step.subject);
        crossing.packet = {Bytes(step.packet)};
        auto& call = calls[index];
        call.request = static_cast<std::uint32_t>(step.request);
        call.input = crossing.subject;
        call.more_input = Enclave::Pieces<Bytes>(crossing.packet);
        call.output = step.answer;
    }
    if (!calls.empty()) {
        chamber_.enclave().call_many(calls);
    }
    for (std::size_t index = 0; index < steps.size(); ++index) {
        steps[index].result = calls[index].result;
        steps[index].answer.resize(calls[index].result.value_or(0));
    }
}

// All that is there crosses twice: with what came, and for what is said because of it.
void Endpoint::go_on_with_handshakes()
{
    auto steps = std::exchange(handshakes_, {});
    ask_many(steps);
    std::vector<Handshake> answers;
    for (auto& step : steps) {
        auto next = after(step);
        if (!next) {
            refuse(next.error().kind, {});
        } else if (*next) {
            answers.push_back(std::move(**next));
        }
    }
    ask_many(answers);
    for (auto& step : answers) {
        if (const auto done = finish(step); !done) {
            refuse(done.error().kind, {});
        }
    }
}

Outcome<std::optional<Endpoint::Handshake>> Endpoint::after(Handshake& step)
{
    TRY(step.result);
    if (step.type == e2e::PacketType::welcome) {
        return TRY(after_welcome(step));
    }
    if (step.type == e2e::PacketType::initiate) {
        return TRY(after_initiate(step));
    }
    push_outgoing(step.route, {std::move(step.answer)});
    return std::nullopt;
}

Outcome<Endpoint::Handshake> Endpoint::after_welcome(Handshake& step)
{
    const auto number = step.session->number;
    return Handshake{e2e::PacketType::welcome,      std::move(step.session),
                     own_property(settings_.order), {},
                     Request::e2e_produce_initiate, number,
                     Buffer(step_bytes_max)};
}

// [E2E-15] Who is not admitted by the gate, or not allowed here, gets no session and no word.
Outcome<Endpoint::Handshake> Endpoint::after_initiate(Handshake& step)
{
    const auto initiated = TRY(read_initiated(step.answer));
    if (initiated.session == 0) {
        chamber_.want_peer(key_, initiated.client);
        return fault(Kind::unacceptable, "the client's node is not trusted now");
    }
    if (!settings_.accepts_all && !allowed_.contains(initiated.client)) {
        static_cast<void>(chamber_.ask(Request::e2e_close_session, {Number(initiated.session)}, 0));
        return fault(Kind::forbidden, "the client is not allowed here");
    }
    auto session = std::make_shared<Session>();
    session->number = initiated.session;
    session->id = initiated.id;
    session->peer = initiated.client;
    session->step = Step::open;
    session->route = step.route;
    chamber_.keep_peer(key_, session->peer);
    sessions_[session->id] = session;
    by_peer_[session->peer].push_back(session);
    return Handshake{e2e::PacketType::initiate, std::move(session),         {},
                     std::move(step.route),     Request::e2e_produce_ready, initiated.session,
                     Buffer(step_bytes_max)};
}

Done Endpoint::finish(Handshake& step)
{
    const auto& session = step.session;
    TRY(step.result);
    if (step.type == e2e::PacketType::initiate) {
        push_outgoing(step.route, {std::move(step.answer)});
        limit_sessions_of(session->peer);
        events_.push_back({CAISSON_EVENT_OPENED, CAISSON_OK, session->peer, {}});
    } else if (!session->ended) { // another one with this peer may have taken its place
        sessions_.erase(session->id);
        session->id = TRY(e2e::read_packet(step.answer)).id;
        session->step = Step::ready;
        sessions_[session->id] = session;
        push_outgoing(session->route, {std::move(step.answer)});
    }
    return {};
}

Done Endpoint::take_ready(const e2e::Packet& packet, Bytes bytes)
{
    const auto session = find(packet.id);
    if (session == nullptr || session->step != Step::ready) {
        return fault(Kind::missing, "READY is for no handshake of ours");
    }
    TRY(chamber_.ask(Request::e2e_process_ready, {Number(session->number), bytes}, bytes.size() + 64));
    session->step = Step::open;
    wishes_[session->peer].pause = settings_.retry;
    limit_sessions_of(session->peer);
    events_.push_back({CAISSON_EVENT_OPENED, CAISSON_OK, session->peer, {}});
    return {};
}

} // namespace caisson::library
