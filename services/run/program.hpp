// A program of the user's, run as our child: its signals, its end.
#pragma once

#include "host/fault.hpp"

#include <csignal>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace caisson::services::run {

// Keeps the signals that are meant for the program from ending us, in this thread and those made after it.
class SignalGuard {
  public:
    SignalGuard();
    ~SignalGuard();
    SignalGuard(const SignalGuard&) = delete;
    SignalGuard& operator=(const SignalGuard&) = delete;

    [[nodiscard]] const sigset_t& guarded() const noexcept { return guarded_; }
    [[nodiscard]] const sigset_t& before() const noexcept { return before_; }

  private:
    sigset_t guarded_;
    sigset_t before_;
};

struct Program {
    std::vector<std::string> words;                 // the program and its arguments
    std::map<std::string, std::string> environment; // set on top of ours
    int shared_fd = -1;                             // stays open in the program
};

// Starts the program and waits for its end; hands on the signals that were sent to us. `look` is called about twice a
// second, and when another child of ours has ended. Returns what a shell would: the exit status, or 128 + the signal
// that ended it. Requires: !program.words.empty(). Fails: missing (no such program), forbidden (it cannot be executed),
// unavailable.
[[nodiscard]] host::Outcome<int> run_program(const Program& program, const SignalGuard& guard,
                                             const std::function<void()>& look);

} // namespace caisson::services::run
