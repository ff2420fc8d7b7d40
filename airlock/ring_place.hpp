// How a program that shares a chamber finds the ring: the environment variables that `caisson run` sets for it.
#pragma once

namespace caisson::airlock {

// The number of an inherited file descriptor of the ring.
inline constexpr const char* ring_fd_variable = "CAISSON_RING_FD";

// The process that keeps the chamber. Its descriptor of the same number is the way in for a program whose own was
// closed on the way (Python's subprocess does that).
inline constexpr const char* run_pid_variable = "CAISSON_RUN_PID";

// "1": secrets that are no handles are used as they are (`caisson run --allow-raw-keys`).
inline constexpr const char* raw_keys_variable = "CAISSON_ALLOW_RAW_KEYS";

} // namespace caisson::airlock
