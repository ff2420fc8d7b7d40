// Crossing: the steps of handshakes that all links of one turn ask of the chamber, in one trip over the ring. One
// thread.
#pragma once

#include "airlock/curve/requests.hpp"
#include "host/enclave/enclave.hpp"

#include <deque>
#include <vector>

namespace caisson::services::gateway {

class Crossing {
  public:
    explicit Crossing(host::enclave::Enclave& enclave)
        : enclave_(enclave)
    {
    }

    using Ticket = std::size_t;

    // `rest` must live until `run`; the answer is kept until `clear`.
    Ticket ask(airlock::curve::Request request, std::uint32_t subject, Bytes rest, std::size_t room);
    [[nodiscard]] Result<Bytes> answer(Ticket ticket) const;

    void run();
    void clear() { steps_.clear(); }

  private:
    struct Step {
        ByteArray<4> subject;
        Bytes rest;
        std::vector<std::uint8_t> answer;
        host::enclave::Enclave::Call call;
    };

    host::enclave::Enclave& enclave_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    std::deque<Step> steps_;
};

} // namespace caisson::services::gateway
