// What the threads of an agent share: the last verdict, whether the server is there, and the wish to measure or stop.
#pragma once

#include "protocol/attestation_result.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

namespace caisson::services::agent {

// Safe for concurrent use.
class AgentState {
  public:
    using Clock = std::chrono::steady_clock;

    struct View {
        std::string node;
        bool connected = false;
        bool judged = false;
        protocol::TrustTier tier = protocol::TrustTier::none;
        std::vector<std::string> reasons;
        std::vector<std::string> missing; // protections the witness chamber runs without
        Clock::time_point judged_at;
        std::uint64_t rounds = 0;
        std::uint64_t keys = 0;
    };

    void stop()
    {
        stopping_ = true;
        wake();
    }
    void measure_now()
    {
        measure_now_ = true;
        wake();
    }
    [[nodiscard]] bool stopping() const noexcept { return stopping_; }
    // For whoever is in the middle of measuring.
    [[nodiscard]] const std::atomic<bool>& stop_flag() const noexcept { return stopping_; }

    // Sleeps until `until`, or until told to measure or to stop.
    void sleep_until(Clock::time_point until)
    {
        std::unique_lock lock(mutex_);
        changed_.wait_until(lock, until, [this] { return stopping_ || measure_now_; });
        measure_now_ = false;
    }

    // Changes what others see, under the lock.
    template <typename Change>
    void change(Change change)
    {
        const std::lock_guard lock(mutex_);
        change(view_);
    }
    [[nodiscard]] View view() const
    {
        const std::lock_guard lock(mutex_);
        return view_;
    }

  private:
    void wake()
    {
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::atomic<bool> stopping_ = false;
    std::atomic<bool> measure_now_ = false;
    View view_;
};

} // namespace caisson::services::agent
