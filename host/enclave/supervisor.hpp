// Supervisor: keeps a chamber running. When it has ended or hangs (calls are then `unavailable` within 100 ms), starts
// it anew behind the same ring and has its user bring back what a chamber must know: the keys, from their sealed form.
// Sessions and ids of before are gone; what was acknowledged is sealed on disk, and so is not.
//
//     Supervisor supervisor(*enclave, [&] { return Root::open_file(home / "root.key"); },
//                           [&](Enclave& fresh) { return load_my_keys(fresh); });
//     // in the loop, and when poll says that enclave->ended_fd() is readable:
//     const auto looked = supervisor.look();   // true: it is a new one, forget all ids and sessions
#pragma once

#include "host/enclave/enclave.hpp"
#include "host/enclave/root.hpp"

#include <chrono>
#include <functional>

namespace caisson::host::enclave {

// Not safe for concurrent use itself; other threads may go on calling the Enclave.
class Supervisor {
  public:
    using Clock = std::chrono::steady_clock;
    using OpenRoot = std::function<Outcome<Root>()>;
    // Runs after each restart, before `look` returns. If it fails, the chamber is started anew at a later look.
    using Reload = std::function<Done(Enclave&)>;

    // Requires: `enclave` outlives it.
    Supervisor(Enclave& enclave, OpenRoot open_root, Reload reload)
        : enclave_(enclave)
        , open_root_(std::move(open_root))
        , reload_(std::move(reload))
    {
    }

    // Costs one system call while all is well. True when the chamber was restarted. A chamber that ends again and again
    // is started after pauses that double, up to 5 s; then this returns false and the chamber stays ended.
    // Fails: what hindered the restart or the reload; the next look tries again, after the pause.
    Outcome<bool> look();

    [[nodiscard]] std::uint64_t restarts() const noexcept { return restarts_; }

  private:
    Done restart();

    Enclave& enclave_;
    OpenRoot open_root_;
    Reload reload_;
    std::uint64_t restarts_ = 0;
    bool reloaded_ = true;
    Clock::time_point next_;
    std::chrono::milliseconds pause_{0};
};

} // namespace caisson::host::enclave
