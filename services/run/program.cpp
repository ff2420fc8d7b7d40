#include "services/run/program.hpp"

#include "core/check.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace caisson::services::run {
namespace {

using host::fault;
using host::Outcome;
using host::system_fault;

constexpr std::array handed_on{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGALRM};
constexpr long look_ns = 500'000'000;
constexpr int shell_signal_base = 128;

std::vector<char*> pointers_to(std::vector<std::string>& words)
{
    std::vector<char*> pointers;
    for (auto& word : words) {
        pointers.push_back(word.data());
    }
    pointers.push_back(nullptr);
    return pointers;
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& ours)
{
    std::vector<std::string> lines;
    for (char** line = environ; *line != nullptr; ++line) {
        const std::string_view text = *line;
        if (!ours.contains(std::string(text.substr(0, text.find('='))))) {
            lines.emplace_back(text);
        }
    }
    for (const auto& [name, value] : ours) {
        lines.push_back(name + "=" + value);
    }
    return lines;
}

// Between fork and exec of a process that may have threads: system calls only.
struct Birth {
    char* const* words;
    char* const* environment;
    const sigset_t* mask;
    int shared_fd;
    int error_fd;
    ::pid_t parent;
};

[[noreturn]] void become(const Birth& birth)
{
    // [SHIM-10] Without its chamber the program is of no use: it ends with us, however we end.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() == birth.parent) {
        if (birth.shared_fd >= 0) {
            ::fcntl(birth.shared_fd, F_SETFD, 0);
        }
        ::sigprocmask(SIG_SETMASK, birth.mask, nullptr);
        ::execvpe(birth.words[0], birth.words, birth.environment);
    }
    const int error = errno;
    [[maybe_unused]] const auto written = ::write(birth.error_fd, &error, sizeof error);
    ::_exit(127);
}

Outcome<::pid_t> start(const Program& program, const SignalGuard& guard)
{
    auto words = program.words;
    auto environment = merged_environment(program.environment);
    const auto word_pointers = pointers_to(words);
    const auto environment_pointers = pointers_to(environment);
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        return std::unexpected(system_fault("run: starting " + words.front(), errno));
    }
    const Birth birth{
        word_pointers.data(), environment_pointers.data(), &guard.before(), program.shared_fd, pipe[1], ::getpid()};
    const ::pid_t pid = ::fork();
    if (pid == 0) {
        become(birth);
    }
    const int fork_error = errno;
    ::close(pipe[1]);
    int error = 0;
    const auto count = pid > 0 ? ::read(pipe[0], &error, sizeof error) : 0;
    ::close(pipe[0]);
    if (pid < 0) {
        return std::unexpected(system_fault("run: starting " + words.front(), fork_error));
    }
    if (count == 0) {
        return pid;
    }
    ::waitpid(pid, nullptr, 0);
    const auto what = "run: " + words.front() + ": " + std::strerror(error);
    return error == ENOENT ? fault(Kind::missing, what + "; give the path of the program, or a name that is in $PATH")
                           : fault(Kind::forbidden, what + "; is it a program, and may you execute it?");
}

int exit_status(int status) noexcept
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : shell_signal_base + WTERMSIG(status);
}

} // namespace

SignalGuard::SignalGuard()
{
    sigemptyset(&guarded_);
    for (const int signal : handed_on) {
        sigaddset(&guarded_, signal);
    }
    sigaddset(&guarded_, SIGCHLD);
    CHECK(::pthread_sigmask(SIG_BLOCK, &guarded_, &before_) == 0);
}

SignalGuard::~SignalGuard()
{
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

Outcome<int> run_program(const Program& program, const SignalGuard& guard, const std::function<void()>& look)
{
    CHECK(!program.words.empty());
    const ::pid_t pid = TRY(start(program, guard));
    while (true) {
        int status = 0;
        if (::waitpid(pid, &status, WNOHANG) == pid) {
            return exit_status(status);
        }
        const ::timespec wait{0, look_ns};
        ::siginfo_t facts{};
        const int signal = ::sigtimedwait(&guard.guarded(), &facts, &wait);
        // [SHIM-9] The terminal sends Ctrl-C to the program as well: only what was sent to us alone is handed on.
        if (signal > 0 && signal != SIGCHLD && facts.si_code <= 0) {
            ::kill(pid, signal);
        }
        if (signal < 0 || signal == SIGCHLD) {
            look();
        }
    }
}

} // namespace caisson::services::run
