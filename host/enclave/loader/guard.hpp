// The guard: a tiny process that traces the chamber's, so that nobody else can. A process has one tracer; this one can
// do nothing but wait and let go on, and when it ends in any way, the chamber is killed with it.
#pragma once

namespace caisson::host::enclave::loader {

// Forks the guard and waits until it has seized this process and its later threads. Requires: this process holds no
// secret yet (the guard is a copy of it), and has one thread. 0, or -1 with errno why there is no guard.
[[nodiscard]] long start_guard() noexcept;

} // namespace caisson::host::enclave::loader
