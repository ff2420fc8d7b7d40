// HangWatch: tells a chamber that hangs from one that gets no CPU. Looks at the child's CPU clock and its state, never
// at what it says of itself.
#pragma once

#include "host/enclave/ring_client.hpp"

#include <chrono>
#include <sys/types.h>

namespace caisson::host::enclave {

// For one child at a time. Not safe for concurrent use.
class HangWatch {
  public:
    void watch(::pid_t pid) noexcept;

    // True when no request was answered while the child used up its patience in CPU time, or spent it asleep, stopped
    // or ended, at each look. A child that is ready to run, or whose guard is, and does not get to run does not hang.
    // To be asked every few milliseconds while a call waits.
    [[nodiscard]] bool hangs(const Stall& stall) noexcept;

  private:
    using Clock = std::chrono::steady_clock;

    [[nodiscard]] std::chrono::nanoseconds cpu_time() const noexcept;
    [[nodiscard]] bool is_idle() const noexcept;

    ::pid_t pid_ = -1;
    std::uint64_t progress_ = 0;
    bool began_ = false;
    std::chrono::nanoseconds cpu_at_{0};
    Clock::time_point idle_since_;
};

} // namespace caisson::host::enclave
