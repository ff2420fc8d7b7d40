// The outside end of the ring, for the owner of the chamber: lane 0. Safe for concurrent use.
// The chamber may lie about everything it writes; sizes are bounded before they are believed.
#pragma once

#include "airlock/ring.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"
#include "host/enclave/enclave.hpp"

#include <functional>
#include <mutex>

namespace caisson::host::enclave {

class RingClient {
  public:
    // `alive` says whether somebody still serves the ring.
    RingClient(airlock::Ring& ring, std::function<bool()> alive);

    [[nodiscard]] Result<std::size_t> call(std::uint32_t request, Bytes input, MutableBytes output);
    void call_many(std::span<Enclave::Call> calls);

    // Asks the chamber to end.
    void stop() noexcept;

  private:
    // As many of `calls` as fit into slots and arena; returns how many were taken. Requires: the lock.
    [[nodiscard]] std::size_t exchange(std::span<Enclave::Call> calls);
    [[nodiscard]] Status wait_for(std::uint32_t position);
    void ring_doorbell() noexcept;

    airlock::Ring& ring_;
    airlock::Lane& lane_;
    std::function<bool()> alive_;
    std::mutex mutex_;
    bool gone_ = false;
    bool may_spin_;
};

} // namespace caisson::host::enclave
