// Crossing: what all links of one turn ask of the chamber, in as few trips over the ring as there are kinds of
// requests. Answers to messages go straight to where the caller wants them. One thread.
#pragma once

#include "airlock/curve/requests.hpp"
#include "host/enclave/enclave.hpp"

#include <algorithm>
#include <deque>
#include <vector>

namespace caisson::services::gateway {

class Crossing {
  public:
    static constexpr std::size_t messages_max = 2048; // of each direction

    explicit Crossing(host::enclave::Enclave& enclave);

    using Ticket = std::size_t;

    // A step of a handshake. `rest` must live until `run`; the answer is kept until the next turn.
    Ticket ask(airlock::curve::Request request, std::uint32_t subject, Bytes rest, std::size_t room);
    [[nodiscard]] Result<Bytes> answer(Ticket ticket) const;

    // From text to MESSAGE body. `first` is an octet before the text, if there is one. Requires: room_for_messages.
    struct Text {
        std::uint32_t session = 0;
        std::uint32_t flags = 0;
        Bytes first;
        Bytes text;
    };
    Ticket produce(const Text& text, MutableBytes body);
    [[nodiscard]] const Result<std::size_t>& produced(Ticket ticket) const { return produces_.calls[ticket].result; }

    // From MESSAGE body to text.
    Ticket process(std::uint32_t session, Bytes body, MutableBytes text);
    [[nodiscard]] const Result<std::size_t>& processed(Ticket ticket) const { return processes_.calls[ticket].result; }
    [[nodiscard]] std::uint32_t flags(Ticket ticket) const;

    [[nodiscard]] std::size_t room_for_messages() const noexcept
    {
        return messages_max - std::max(produces_.calls.size(), processes_.calls.size());
    }
    void run();
    void clear();

  private:
    struct Heads {
        ByteArray<12> input;
        ByteArray<4> output;
    };
    struct Lane {
        std::vector<host::enclave::Enclave::Call> calls;
        std::vector<Heads> heads;
    };
    struct Step {
        ByteArray<4> subject;
        std::vector<std::uint8_t> answer;
        host::enclave::Enclave::Call call;
    };

    host::enclave::Enclave& enclave_;
    Lane produces_;
    Lane processes_;
    std::deque<Step> steps_;
};

} // namespace caisson::services::gateway
