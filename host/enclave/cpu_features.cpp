#include "host/enclave/cpu_features.hpp"

#include "airlock/entry.hpp"

#include <sched.h>
#include <x86intrin.h>

#include <algorithm>
#include <chrono>

namespace caisson::host::enclave {
namespace {

using airlock::CpuFeature;

constexpr std::uint32_t bit(CpuFeature feature) noexcept
{
    return static_cast<std::uint32_t>(feature);
}

constexpr std::uint64_t budget_ticks_max = 100'000; // no time-stamp counter counts more in 10 us

std::uint32_t measured_budget() noexcept
{
    using Clock = std::chrono::steady_clock;
    constexpr auto budget = std::chrono::microseconds(10);
    const auto began = Clock::now();
    const auto first = __rdtsc();
    auto passed = Clock::duration(0);
    while (passed < std::chrono::microseconds(200)) {
        passed = Clock::now() - began;
    }
    // By the time that has passed, which is longer when somebody else had this CPU meanwhile.
    const auto ticks = __rdtsc() - first;
    const auto measured = ticks * static_cast<std::uint64_t>(std::chrono::nanoseconds(budget).count()) /
                          static_cast<std::uint64_t>(std::chrono::nanoseconds(passed).count());
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(measured, budget_ticks_max));
}

} // namespace

std::uint32_t cpu_features() noexcept
{
    __builtin_cpu_init();
    std::uint32_t features = 0;
    const auto add = [&features](bool present, CpuFeature feature) { features |= present ? bit(feature) : 0; };
    add(__builtin_cpu_supports("rdrnd"), CpuFeature::rdrand);
    add(__builtin_cpu_supports("rdseed"), CpuFeature::rdseed);
    add(__builtin_cpu_supports("aes"), CpuFeature::aes_ni);
    add(__builtin_cpu_supports("pclmul"), CpuFeature::pclmul);
    add(__builtin_cpu_supports("ssse3"), CpuFeature::ssse3);
    add(__builtin_cpu_supports("sse4.1"), CpuFeature::sse41);
    add(__builtin_cpu_supports("avx"), CpuFeature::avx);
    add(__builtin_cpu_supports("avx2"), CpuFeature::avx2);
    add(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl"),
        CpuFeature::avx512);
    add(__builtin_cpu_supports("avx512ifma"), CpuFeature::avx512_ifma);
    add(__builtin_cpu_supports("avx512vbmi2"), CpuFeature::avx512_vbmi2);
    return features;
}

std::uint32_t spin_budget_ticks() noexcept
{
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) <= 1) {
        return 0;
    }
    static const std::uint32_t budget = measured_budget();
    return budget;
}

} // namespace caisson::host::enclave
