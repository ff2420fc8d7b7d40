// What this CPU can do, asked outside: chambers never run CPUID.
#pragma once

#include "airlock/entry.hpp"

#include <cstdint>

namespace caisson::host::enclave {

// airlock::CpuFeature bits.
[[nodiscard]] std::uint32_t cpu_features() noexcept;

// The state components (XFRM) that an enclave gets on a machine with these features.
[[nodiscard]] constexpr std::uint64_t xfrm_of(std::uint32_t features) noexcept
{
    const auto has = [features](airlock::CpuFeature feature) {
        return (features & static_cast<std::uint32_t>(feature)) != 0;
    };
    auto xfrm = protocol::sgx::XFRM_LEGACY;
    xfrm |= has(airlock::CpuFeature::avx) ? protocol::sgx::XFRM_AVX : 0;
    xfrm |= has(airlock::CpuFeature::avx512) ? protocol::sgx::XFRM_AVX512 : 0;
    return xfrm;
}

// TSC ticks in ten microseconds: how long both sides of the ring spin before they sleep; 0 with one allowed CPU.
[[nodiscard]] std::uint32_t spin_budget_ticks() noexcept;

} // namespace caisson::host::enclave
