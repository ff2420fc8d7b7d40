// Crossing: the steps of handshakes that all links of one turn ask of the chamber, in one trip over the ring. One
// thread.
#pragma once

#include "airlock/curve/requests.hpp"
#include "host/enclave/enclave.hpp"

#include <utility>
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
    // Whether steps were made since this was asked last.
    [[nodiscard]] bool was_used() noexcept { return std::exchange(used_, false); }
    void clear();

  private:
    static constexpr std::size_t rooms_kept_bytes = std::size_t{1} << 20U;

    struct Step {
        airlock::curve::Request request{};
        ByteArray<4> subject{};
        Bytes rest;
        std::size_t room_at = 0; // of its answer
        std::size_t room = 0;
        Result<std::size_t> result = std::size_t{0};
    };

    host::enclave::Enclave& enclave_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    std::vector<Step> steps_; // these stay as large as they have been: memory that is new costs more than the step
    std::vector<Step*> order_;
    std::vector<host::enclave::Enclave::Call> calls_;
    std::vector<std::uint8_t> rooms_;
    std::size_t room_bytes_ = 0;
    bool used_ = false;
};

} // namespace caisson::services::gateway
