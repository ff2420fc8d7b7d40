#include "services/gateway/crossing.hpp"

#include <algorithm>

namespace caisson::services::gateway {

using host::enclave::Enclave;

Crossing::Ticket Crossing::ask(airlock::curve::Request request, std::uint32_t subject, Bytes rest, std::size_t room)
{
    auto& step = steps_.emplace_back();
    step.request = request;
    std::memcpy(step.subject.data(), &subject, sizeof subject);
    step.rest = rest;
    step.room = room;
    step.room_at = room_bytes_;
    room_bytes_ += room;
    return steps_.size() - 1;
}

Result<Bytes> Crossing::answer(Ticket ticket) const
{
    const auto& step = steps_[ticket];
    const auto size = TRY(step.result);
    return Bytes(rooms_).subspan(step.room_at, step.room).first(size);
}

void Crossing::run()
{
    if (steps_.empty()) {
        return;
    }
    used_ = true;
    if (rooms_.size() < room_bytes_) {
        rooms_.resize(room_bytes_);
    }
    // Equal requests stand together: the chamber works on several of a kind at once. What a link asks for behind
    // another step has a greater number.
    order_.clear();
    for (auto& step : steps_) {
        order_.push_back(&step);
    }
    std::stable_sort(order_.begin(), order_.end(),
                     [](const Step* a, const Step* b) { return a->request < b->request; });
    calls_.clear();
    for (const auto* step : order_) {
        auto& call = calls_.emplace_back();
        call.request = static_cast<std::uint32_t>(step->request);
        call.input = step->subject;
        call.more_input = Enclave::Pieces<Bytes>({&step->rest, 1});
        call.output = MutableBytes(rooms_).subspan(step->room_at, step->room);
    }
    enclave_.call_many(calls_);
    for (std::size_t index = 0; index < order_.size(); ++index) {
        order_[index]->result = calls_[index].result;
    }
}

void Crossing::clear()
{
    steps_.clear();
    room_bytes_ = 0;
    if (rooms_.size() > rooms_kept_bytes) {
        rooms_ = {};
    }
}

} // namespace caisson::services::gateway
