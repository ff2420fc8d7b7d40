#include "services/gateway/voyage.hpp"

#include "core/check.hpp"
#include "core/wire.hpp"

namespace caisson::services::gateway {
namespace {

using airlock::curve::Request;
using host::enclave::Enclave;

constexpr std::size_t size_bytes = sizeof(std::uint32_t);
constexpr std::size_t flags_bytes = sizeof(std::uint32_t);
// Of a run: as much as stays in a core's nearest caches on its way there and back.
constexpr std::size_t run_bytes_max = std::size_t{16} << 10U;
static_assert(Voyage::copied_bytes_max >= run_bytes_max); // what is lent is alone in its request

constexpr std::uint32_t number(Request request) noexcept
{
    return static_cast<std::uint32_t>(request);
}

// The request for one message alone: the chamber works on those of several sessions together.
constexpr Request alone(Request request) noexcept
{
    return request == Request::produce_messages ? Request::produce_message : Request::process_message;
}

} // namespace

Voyage::Voyage(Enclave& enclave)
    : enclave_(enclave)
{
    messages_.reserve(2 * messages_max);
    runs_.reserve(2 * messages_max);
    inputs_.reserve(4 * messages_max);
    outputs_.reserve(4 * messages_max);
    calls_.reserve(2 * messages_max);
}

Buffer& Voyage::room(std::size_t bytes)
{
    auto& room = rooms_.emplace_back();
    static_cast<void>(room.room(bytes));
    return room;
}

Voyage::Message& Voyage::add(Request request, std::uint32_t session, std::size_t input_bytes, std::size_t answer_bytes)
{
    const bool joins = !runs_.empty() && runs_.back().request == request && runs_.back().session == session &&
                       runs_.back().messages < airlock::curve::messages_per_request_max &&
                       runs_.back().input_bytes + input_bytes <= run_bytes_max;
    if (!joins) {
        runs_.push_back({request, session, 0, 0, 0, false, inputs_.size(), outputs_.size()});
    }
    auto& run = runs_.back();
    ++run.messages;
    run.input_bytes += input_bytes;
    run.answer_bytes += answer_bytes;
    auto& message = messages_.emplace_back();
    message.run = runs_.size() - 1;
    message.answer_end = run.answer_bytes;
    return message;
}

Voyage::Message& Voyage::add_text(const Text& text, std::size_t body_bytes)
{
    const auto text_bytes = text.first.size() + text.text.size();
    auto& message = add(Request::produce_messages, text.session, size_bytes + flags_bytes + text_bytes, body_bytes);
    Writer writer(message.head);
    writer.write_le(static_cast<std::uint32_t>(text_bytes));
    writer.write_le(text.flags);
    writer.write_bytes(text.first);
    inputs_.push_back(writer.written());
    inputs_.push_back(text.text);
    ++produced_count_;
    return message;
}

Voyage::Message& Voyage::add_body(std::uint32_t session, Bytes body, std::size_t text_bytes)
{
    auto& message = add(Request::process_messages, session, size_bytes + body.size(), flags_bytes + text_bytes);
    Writer writer(message.head);
    writer.write_le(static_cast<std::uint32_t>(body.size()));
    inputs_.push_back(writer.written());
    inputs_.push_back(body);
    ++processed_count_;
    return message;
}

Voyage::Ticket Voyage::produce(const Text& text, MutableBytes body)
{
    add_text(text, body.size());
    outputs_.push_back(body);
    return messages_.size() - 1;
}

Voyage::Ticket Voyage::process(std::uint32_t session, Bytes body, MutableBytes text)
{
    auto& message = add_body(session, body, text.size());
    outputs_.emplace_back(message.flags);
    outputs_.push_back(text);
    return messages_.size() - 1;
}

Voyage::Ticket Voyage::produce_lent(const Text& text, std::size_t body_bytes)
{
    CHECK(text.text.size() > copied_bytes_max);
    add_text(text, body_bytes);
    runs_.back().lent = has_lent_ = true;
    return messages_.size() - 1;
}

Voyage::Ticket Voyage::process_lent(std::uint32_t session, Bytes body, std::size_t text_bytes)
{
    CHECK(text_bytes > copied_bytes_max);
    add_body(session, body, text_bytes).lent_from = flags_bytes;
    runs_.back().lent = has_lent_ = true;
    return messages_.size() - 1;
}

void Voyage::make_calls()
{
    for (std::size_t index = 0; index < runs_.size(); ++index) {
        auto& run = runs_[index];
        const bool last = index + 1 == runs_.size();
        const auto inputs_end = last ? inputs_.size() : runs_[index + 1].first_input;
        const auto outputs_end = last ? outputs_.size() : runs_[index + 1].first_output;
        auto request = run.request;
        if (run.messages == 1) {
            request = alone(request);
            inputs_[run.first_input] = inputs_[run.first_input].subspan(size_bytes); // its size is the request's
        }
        auto& call = calls_.emplace_back();
        call.request = number(request);
        call.input = {reinterpret_cast<const std::uint8_t*>(&run.session), sizeof run.session};
        call.more_input = Enclave::Pieces<Bytes>(
            std::span<const Bytes>(inputs_).subspan(run.first_input, inputs_end - run.first_input));
        call.more_output = Enclave::Pieces<MutableBytes>(
            std::span<const MutableBytes>(outputs_).subspan(run.first_output, outputs_end - run.first_output));
        call.is_wiped = false; // a gateway's own buffers have the same
        call.lent_bytes = run.lent ? run.answer_bytes : 0;
    }
}

void Voyage::sail()
{
    make_calls();
    std::span<Enclave::Call> rest(calls_);
    while (has_lent_ && !rest.empty()) {
        const auto flight = enclave_.submit(rest);
        if (flight.taken == 0) { // the ring is full: then nothing is lent
            break;
        }
        last_ = flight;
        rest = rest.subspan(flight.taken);
    }
    if (!rest.empty()) {
        enclave_.call_many(rest);
    }
    enclave_.reap(last_);
    take_lent_flags();
}

// Once, for the chamber could give others later.
void Voyage::take_lent_flags()
{
    for (std::size_t index = 0; has_lent_ && index < messages_.size(); ++index) {
        auto& message = messages_[index];
        const auto& call = calls_[message.run];
        if (message.lent_from > 0 && call.answer.size() >= flags_bytes) {
            copy_bytes(message.flags, call.answer.first(flags_bytes));
        }
    }
}

Bytes Voyage::lent(Ticket ticket) const noexcept
{
    const auto& message = messages_[ticket];
    const auto answer = calls_[message.run].answer;
    return answer.subspan(std::min(message.lent_from, answer.size()));
}

// Of a run the chamber opens as many as are good.
Status Voyage::outcome(Ticket ticket) const
{
    const auto& message = messages_[ticket];
    const auto& result = calls_[message.run].result;
    if (!result) {
        return std::unexpected(result.error());
    }
    if (*result < message.answer_end) {
        return fail(Kind::unauthentic, "a message does not open");
    }
    return {};
}

std::uint32_t Voyage::flags(Ticket ticket) const noexcept
{
    std::uint32_t flags = 0;
    std::memcpy(&flags, messages_[ticket].flags.data(), sizeof flags);
    return flags;
}

void Voyage::clear()
{
    enclave_.release(last_);
    links.clear();
    passing.clear();
    messages_.clear();
    runs_.clear();
    inputs_.clear();
    outputs_.clear();
    calls_.clear();
    rooms_.clear();
    last_ = {};
    has_lent_ = false;
    produced_count_ = processed_count_ = 0;
}

} // namespace caisson::services::gateway
