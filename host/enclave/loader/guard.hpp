// The guard: a tiny process that traces the chamber's, so that nobody else can. A process has one tracer; this one can
// do nothing but wait and let go on, and when it ends in any way, the chamber is killed with it.
#pragma once

namespace caisson::host::enclave::loader {

struct GuardHandshake;

class Guard {
  public:
    // Forks it; it seizes this process and its later threads while this goes on. Requires: this process holds no secret
    // yet (the guard is a copy of it), and has one thread.
    void start() noexcept;
    // Waits until it holds. Before the process makes itself undumpable. 0, or -1 with errno why there is no guard.
    [[nodiscard]] long wait() noexcept;

  private:
    GuardHandshake* handshake_ = nullptr;
    int pid_ = -1;
    int error_ = 0;
};

} // namespace caisson::host::enclave::loader
