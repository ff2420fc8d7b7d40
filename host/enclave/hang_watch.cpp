#include "host/enclave/hang_watch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace caisson::host::enclave {

void HangWatch::watch(::pid_t pid) noexcept
{
    pid_ = pid;
    began_ = false;
}

bool HangWatch::hangs(const Stall& stall) noexcept
{
    const auto now = Clock::now();
    if (!began_ || stall.progress != progress_) {
        began_ = true;
        progress_ = stall.progress;
        at_ = now;
        cpu_at_ = cpu_time();
        return false;
    }
    const auto patience = std::chrono::milliseconds(stall.patience_ms);
    return cpu_time() - cpu_at_ >= patience || (now - at_ >= patience && is_idle());
}

std::chrono::nanoseconds HangWatch::cpu_time() const noexcept
{
    ::clockid_t clock{};
    ::timespec used{};
    if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &used) != 0) {
        return std::chrono::nanoseconds(0);
    }
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

// Asleep, stopped or traced, by the third field of /proc/PID/stat, behind the name in parentheses. Where /proc hides
// the child it counts as running.
bool HangWatch::is_idle() const noexcept
{
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "/proc/%d/stat", pid_);
    const int file = ::open(path.data(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    std::array<char, 512> text{};
    const auto size = ::read(file, text.data(), text.size() - 1);
    ::close(file);
    const char* name_end = size > 0 ? std::strrchr(text.data(), ')') : nullptr;
    return name_end != nullptr && name_end[1] == ' ' && std::strchr("STtZ", name_end[2]) != nullptr;
}

} // namespace caisson::host::enclave
