#include "host/enclave/hang_watch.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace caisson::host::enclave {
namespace {

constexpr Stall stall{1, 40};

// A child that is stopped for its tracer, which spins until it is stopped itself.
struct Traced {
    ::pid_t tracer = ::fork();
    ::pid_t child = 0;

    Traced()
    {
        if (tracer == 0) {
            const ::pid_t traced = ::fork();
            if (traced == 0) {
                ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
                ::raise(SIGUSR1);
                ::_exit(0);
            }
            ::waitpid(traced, nullptr, 0);
            for (volatile bool spin = true; spin;) {
            }
        }
        while (child == 0) {
            child = child_of(tracer);
            std::this_thread::yield();
        }
    }
    ~Traced()
    {
        ::kill(tracer, SIGKILL);
        ::kill(child, SIGKILL);
        ::waitpid(tracer, nullptr, 0);
    }
    Traced(const Traced&) = delete;
    Traced& operator=(const Traced&) = delete;

    static ::pid_t child_of(::pid_t parent)
    {
        const auto path = "/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children";
        FILE* file = std::fopen(path.c_str(), "re");
        int pid = 0;
        const bool read = file != nullptr && std::fscanf(file, "%d", &pid) == 1;
        if (file != nullptr) {
            std::fclose(file);
        }
        return read ? pid : 0;
    }
    [[nodiscard]] char state() const
    {
        FILE* file = std::fopen(("/proc/" + std::to_string(child) + "/stat").c_str(), "re");
        char state = '?';
        const bool read = file != nullptr && std::fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
        if (file != nullptr) {
            std::fclose(file);
        }
        return read ? state : '?';
    }
};

bool hangs_within(HangWatch& watch, int looks)
{
    for (int look = 0; look < looks; ++look) {
        if (watch.hangs(stall)) {
            return true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
}

TEST(HangWatchTest, a_child_that_waits_for_its_guard_hangs_only_when_the_guard_does)
{
    const Traced traced;
    while (traced.state() != 't') {
        std::this_thread::yield();
    }
    HangWatch watch;
    watch.watch(traced.child);
    EXPECT_FALSE(hangs_within(watch, 40)); // five times its patience: the guard is ready to run
    ::kill(traced.tracer, SIGSTOP);
    EXPECT_TRUE(hangs_within(watch, 2000));
}

TEST(HangWatchTest, a_child_that_sleeps_hangs)
{
    const ::pid_t child = ::fork();
    if (child == 0) {
        ::pause();
        ::_exit(0);
    }
    HangWatch watch;
    watch.watch(child);
    EXPECT_TRUE(hangs_within(watch, 2000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
}

} // namespace
} // namespace caisson::host::enclave
