#include "host/enclave/supervisor.hpp"

#include <algorithm>

namespace caisson::host::enclave {
namespace {

constexpr std::chrono::milliseconds pause_min{50};
constexpr std::chrono::milliseconds pause_max{5000};

} // namespace

Outcome<bool> Supervisor::look()
{
    if (reloaded_ && enclave_.alive()) {
        return false;
    }
    const auto now = Clock::now();
    if (now < next_) {
        return false;
    }
    // Long quiet since the last start: this is another trouble, and the first pause is short again.
    pause_ = now - next_ > pause_max ? pause_min : std::clamp(2 * pause_, pause_min, pause_max);
    const auto restarted = restart();
    next_ = Clock::now() + pause_;
    TRY(restarted);
    return true;
}

Done Supervisor::restart()
{
    reloaded_ = false;
    const auto root = TRY(open_root_());
    TRY(enclave_.restart(root));
    ++restarts_;
    TRY(reload_(enclave_));
    reloaded_ = true;
    return {};
}

} // namespace caisson::host::enclave
