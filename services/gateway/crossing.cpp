#include "services/gateway/crossing.hpp"

#include "core/wire.hpp"

#include <algorithm>

namespace caisson::services::gateway {
namespace {

using airlock::curve::Request;
using host::enclave::Enclave;

constexpr std::uint32_t number(Request request) noexcept
{
    return static_cast<std::uint32_t>(request);
}

} // namespace

Crossing::Crossing(Enclave& enclave)
    : enclave_(enclave)
{
    for (auto* lane : {&produces_, &processes_}) {
        lane->calls.reserve(messages_max);
        lane->heads.resize(messages_max);
    }
}

Crossing::Ticket Crossing::ask(Request request, std::uint32_t subject, Bytes rest, std::size_t room)
{
    auto& step = steps_.emplace_back();
    std::memcpy(step.subject.data(), &subject, sizeof subject);
    step.answer.resize(room);
    step.call.request = number(request);
    step.call.input_head = step.subject;
    step.call.input = rest;
    step.call.output = step.answer;
    return steps_.size() - 1;
}

Result<Bytes> Crossing::answer(Ticket ticket) const
{
    const auto& step = steps_[ticket];
    const auto size = TRY(step.call.result);
    return Bytes(step.answer).first(size);
}

Crossing::Ticket Crossing::produce(const Text& text, MutableBytes body)
{
    const auto ticket = produces_.calls.size();
    auto& head = produces_.heads[ticket].input;
    Writer writer(head);
    writer.write_le(text.session);
    writer.write_le(text.flags);
    writer.write_bytes(text.first);
    auto& call = produces_.calls.emplace_back();
    call.request = number(Request::produce_message);
    call.input_head = writer.written();
    call.input = text.text;
    call.output = body;
    return ticket;
}

Crossing::Ticket Crossing::process(std::uint32_t session, Bytes body, MutableBytes text)
{
    const auto ticket = processes_.calls.size();
    auto& heads = processes_.heads[ticket];
    std::memcpy(heads.input.data(), &session, sizeof session);
    auto& call = processes_.calls.emplace_back();
    call.request = number(Request::process_message);
    call.input_head = Bytes(heads.input).first(sizeof session);
    call.input = body;
    call.output_head = heads.output;
    call.output = text;
    call.room_beyond = 1; // the flags octet, while the text is being opened
    return ticket;
}

std::uint32_t Crossing::flags(Ticket ticket) const
{
    std::uint32_t flags = 0;
    std::memcpy(&flags, processes_.heads[ticket].output.data(), sizeof flags);
    return flags;
}

void Crossing::run()
{
    if (!steps_.empty()) {
        // Equal requests stand together: the chamber works on several of a kind at once.
        std::vector<Step*> order;
        for (auto& step : steps_) {
            order.push_back(&step);
        }
        std::stable_sort(order.begin(), order.end(),
                         [](const Step* a, const Step* b) { return a->call.request < b->call.request; });
        std::vector<Enclave::Call> calls;
        for (const auto* step : order) {
            calls.push_back(step->call);
        }
        enclave_.call_many(calls);
        for (std::size_t index = 0; index < order.size(); ++index) {
            order[index]->call.result = calls[index].result;
        }
    }
    for (auto* lane : {&processes_, &produces_}) {
        if (!lane->calls.empty()) {
            enclave_.call_many(lane->calls);
        }
    }
}

void Crossing::clear()
{
    steps_.clear();
    produces_.calls.clear();
    processes_.calls.clear();
}

} // namespace caisson::services::gateway
