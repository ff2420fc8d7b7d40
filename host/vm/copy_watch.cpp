#include "host/vm/copy_watch.hpp"

#include <algorithm>
#include <ctime>

namespace caisson::host::vm {
namespace {

constexpr std::int64_t slack_ms = 1000; // clocks that are kept right step by less

std::int64_t read_ms(::clockid_t clock) noexcept
{
    ::timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000;
}

} // namespace

// The monotonic clock last: a pause between the readings cannot look like one that it has not counted.
Clocks read_clocks() noexcept
{
    Clocks now;
    now.boottime_ms = read_ms(CLOCK_BOOTTIME);
    now.realtime_ms = read_ms(CLOCK_REALTIME);
    now.monotonic_ms = read_ms(CLOCK_MONOTONIC);
    return now;
}

// [CURVE-50]
bool CopyWatch::stood_still(const Clocks& now) noexcept
{
    const auto counted = now.monotonic_ms - last_.monotonic_ms;
    const auto passed = std::max(now.boottime_ms - last_.boottime_ms, now.realtime_ms - last_.realtime_ms);
    last_ = now;
    return passed - counted > slack_ms;
}

} // namespace caisson::host::vm
