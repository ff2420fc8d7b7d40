// Forks from one thread that lives as long as the process: "die with the parent" (PDEATHSIG) means the parent's thread.
#pragma once

#include <functional>
#include <sys/types.h>

namespace caisson::host::enclave {

// Runs `in_child` in a child that shares our memory until it becomes another program, with all signals blocked; it must
// do that, or end by _exit. The child's pid, or -1 with errno set.
[[nodiscard]] ::pid_t fork_in_nursery(const std::function<void()>& in_child);

} // namespace caisson::host::enclave
