// What this CPU can do, asked outside: chambers never run CPUID.
#pragma once

#include <cstdint>

namespace caisson::host::enclave {

// airlock::CpuFeature bits.
[[nodiscard]] std::uint32_t cpu_features() noexcept;

// TSC ticks in ten microseconds: how long both sides of the ring spin before they sleep; 0 with one allowed CPU.
[[nodiscard]] std::uint32_t spin_budget_ticks() noexcept;

} // namespace caisson::host::enclave
