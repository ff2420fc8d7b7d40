// FS and GS of the calling thread. Nothing here reaches for thread-local storage: FS may be an enclave's.
#pragma once

#include <cstdint>

namespace caisson::host::enclave::loader {

// Does the kernel keep a base that user code wrote with WRFSBASE or WRGSBASE over a switch to another task? One that
// does not says so by leaving out a bit of AT_HWCAP2, even where a hypervisor lets the instructions pass; then only
// arch_prctl makes a base stay.
[[nodiscard]] bool kernel_keeps_bases() noexcept;

// What the thread has now; before the first of the two below.
void begin_with_bases(std::uint64_t& fs, std::uint64_t& gs) noexcept;

// Where FS points.
[[nodiscard]] std::uint64_t fs_base() noexcept;

// After get_bases both are as they are now, or unchanged where only set_bases can have changed them.
void get_bases(std::uint64_t& fs, std::uint64_t& gs) noexcept;
void set_bases(std::uint64_t fs, std::uint64_t gs) noexcept;

} // namespace caisson::host::enclave::loader
