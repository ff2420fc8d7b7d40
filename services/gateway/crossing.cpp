#include "services/gateway/crossing.hpp"

#include <algorithm>

namespace caisson::services::gateway {

using host::enclave::Enclave;

Crossing::Ticket Crossing::ask(airlock::curve::Request request, std::uint32_t subject, Bytes rest, std::size_t room)
{
    auto& step = steps_.emplace_back();
    std::memcpy(step.subject.data(), &subject, sizeof subject);
    step.rest = rest;
    step.answer.resize(room);
    step.call.request = static_cast<std::uint32_t>(request);
    step.call.input = step.subject;
    step.call.more_input = Enclave::Pieces<Bytes>({&step.rest, 1});
    step.call.output = step.answer;
    return steps_.size() - 1;
}

Result<Bytes> Crossing::answer(Ticket ticket) const
{
    const auto& step = steps_[ticket];
    const auto size = TRY(step.call.result);
    return Bytes(step.answer).first(size);
}

void Crossing::run()
{
    if (steps_.empty()) {
        return;
    }
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

} // namespace caisson::services::gateway
