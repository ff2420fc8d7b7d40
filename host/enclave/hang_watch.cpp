#include "host/enclave/hang_watch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace caisson::host::enclave {

namespace {

struct Look {
    char state = '?'; // as /proc says it; '?' where /proc hides the process: it counts as running
    ::pid_t tracer = 0;
};

bool is_one_of(char state, const char* states) noexcept
{
    return std::strchr(states, state) != nullptr;
}

const char* value_of(const char* text, const char* name) noexcept
{
    const char* found = std::strstr(text, name);
    return found == nullptr ? "" : found + std::strlen(name);
}

// Names in /proc/PID/status have their line ends escaped: no process can write a line of it.
Look look_at(::pid_t pid) noexcept
{
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "/proc/%d/status", pid);
    const int file = ::open(path.data(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return {};
    }
    std::array<char, 1024> text{};
    const auto size = ::read(file, text.data(), text.size() - 1);
    ::close(file);
    const char* state = size > 0 ? value_of(text.data(), "\nState:\t") : "";
    if (*state == '\0') {
        return {};
    }
    return {*state, static_cast<::pid_t>(std::strtol(value_of(text.data(), "\nTracerPid:\t"), nullptr, 10))};
}

} // namespace

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
        idle_since_ = now;
        cpu_at_ = cpu_time();
        return false;
    }
    if (!is_idle()) {
        idle_since_ = now;
    }
    const auto patience = std::chrono::milliseconds(stall.patience_ms);
    return cpu_time() - cpu_at_ >= patience || now - idle_since_ >= patience;
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

// Asleep, stopped or ended. A child that is stopped for its guard (the emulator's ENCLU is a signal, and the guard
// hands it on) waits for the guard: that one may be ready to run and get no CPU either.
bool HangWatch::is_idle() const noexcept
{
    const auto child = look_at(pid_);
    return child.state == 't' ? is_one_of(look_at(child.tracer).state, "STtZ") : is_one_of(child.state, "STZ");
}

} // namespace caisson::host::enclave
