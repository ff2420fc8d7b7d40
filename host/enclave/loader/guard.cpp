#include "host/enclave/loader/guard.hpp"

#include "host/enclave/loader/seccomp_filter.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <new>

namespace caisson::host::enclave::loader {
namespace {

constexpr int pending = -1;

} // namespace

// Shared between the two until the guard has said whether it holds.
struct GuardHandshake {
    std::atomic<int> may_seize = 0;
    std::atomic<int> error = pending; // 0: seized
};

namespace {

long futex(std::atomic<int>& word, int operation, int value, const timespec* timeout) noexcept
{
    return ::syscall(SYS_futex, reinterpret_cast<int*>(&word), operation, value, timeout, nullptr, 0);
}

[[noreturn]] void leave(int status) noexcept
{
    ::syscall(SYS_exit_group, status);
    __builtin_trap();
}

// wait4, PTRACE_CONT and the end: whoever takes the guard over can neither look into the chamber nor let it go.
long restrict_guard() noexcept
{
    SeccompFilter filter;
    filter.load_number();
    filter.allow(SYS_wait4);
    filter.allow(SYS_exit_group);
    filter.skip_unless(SYS_ptrace, 5);
    filter.load(offsetof(seccomp_data, args) + 4);
    filter.skip_unless(0, 3);
    filter.load(offsetof(seccomp_data, args));
    filter.skip_unless(PTRACE_CONT, 1);
    filter.give(SECCOMP_RET_ALLOW);
    return filter.install();
}

// Signals go to the chamber as they came, its emulator lives on them; stops end at once.
[[noreturn]] void guard(pid_t chamber) noexcept
{
    while (true) {
        int status = 0;
        const long pid = ::syscall(SYS_wait4, -1, &status, __WALL, nullptr);
        if (pid < 0 || (pid == chamber && !WIFSTOPPED(status))) {
            leave(0);
        }
        if (WIFSTOPPED(status)) {
            const bool is_event = (status >> 16) != 0;
            ::syscall(SYS_ptrace, PTRACE_CONT, pid, 0, is_event ? 0 : WSTOPSIG(status));
        }
    }
}

[[noreturn]] void become_guard(GuardHandshake& handshake, pid_t chamber) noexcept
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_NAME, "caisson-guard");
    ::syscall(SYS_close_range, 0, ~0U, 0);
    while (handshake.may_seize.load() == 0) {
        futex(handshake.may_seize, FUTEX_WAIT, 0, nullptr);
    }
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE;
    bool holds = ::ptrace(PTRACE_SEIZE, chamber, nullptr, options) == 0;
    holds = holds && ::prctl(PR_SET_DUMPABLE, 0) == 0 && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    const int error = holds ? 0 : errno;
    auto* word = &handshake;
    if (holds && restrict_guard() == 0) {
        word->error.store(0); // the chamber looks every millisecond: a futex is not among the guard's calls any more
        guard(chamber);
    }
    word->error.store(error != 0 ? error : errno);
    leave(1);
}

// A machine that is busy must not cost a chamber its guard: what ends this is the guard's word or its end. Of a guard
// that is stopped the host's patience is the limit, and then the chamber does not start.
int wait_for(GuardHandshake& handshake, pid_t& guard) noexcept
{
    for (long look = 0;; ++look) {
        if (const int error = handshake.error.load(); error != pending) {
            return error;
        }
        if (::waitpid(guard, nullptr, WNOHANG) != 0) {
            guard = 0;
            const int said = handshake.error.load(); // with its last breath
            return said == pending || said == 0 ? ESRCH : said;
        }
        const timespec nap{0, look < 20 ? 50'000 : 1'000'000};
        ::nanosleep(&nap, nullptr);
    }
}

} // namespace

void Guard::start() noexcept
{
    void* memory = ::mmap(nullptr, sizeof(GuardHandshake), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        error_ = errno;
        return;
    }
    handshake_ = new (memory) GuardHandshake;
    const auto chamber = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
        become_guard(*handshake_, chamber);
    }
    if (pid_ < 0) {
        error_ = errno;
        return;
    }
    ::prctl(PR_SET_PTRACER, pid_, 0, 0, 0); // where Yama wants to be told
    handshake_->may_seize.store(1);
    futex(handshake_->may_seize, FUTEX_WAKE, 1, nullptr);
}

long Guard::wait() noexcept
{
    if (pid_ > 0) {
        error_ = wait_for(*handshake_, pid_);
        if (error_ != 0 && pid_ > 0) { // half a guard is none
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }
    if (handshake_ != nullptr) {
        ::munmap(handshake_, sizeof(GuardHandshake));
    }
    errno = error_;
    return error_ == 0 ? 0 : -1;
}

} // namespace caisson::host::enclave::loader
