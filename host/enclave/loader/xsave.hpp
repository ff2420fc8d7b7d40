// x87, SSE, AVX and AVX-512 state on its way between a signal frame and an SSA frame: both hold an XSAVE area in the
// standard format.
#pragma once

#include "core/bytes.hpp"

#include <signal.h>

namespace caisson::host::enclave::loader {

// Reads the CPU's layout. Once, before any trap: CPUID may be denied later.
void learn_xsave_layout() noexcept;

// The bytes that XSAVE of these components takes. Requires: learn_xsave_layout was called.
[[nodiscard]] std::uint64_t xsave_bytes(std::uint64_t xfrm) noexcept;

// The components of `xfrm` from the frame's registers to `area`, as an asynchronous exit does.
void save_xsave_state(const _libc_fpstate& frame, std::uint64_t xfrm, std::uint8_t* area) noexcept;

// Initial values for all that an enclave could have changed, so that nothing of it is left outside.
void scrub_xsave_state(_libc_fpstate& frame) noexcept;

// The components of `xfrm` from `area` to the frame's registers, as ERESUME does. False, and nothing changed: the area
// holds what XRSTOR would refuse.
[[nodiscard]] bool restore_xsave_state(_libc_fpstate& frame, std::uint64_t xfrm, const std::uint8_t* area) noexcept;

} // namespace caisson::host::enclave::loader
