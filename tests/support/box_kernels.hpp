// The box kernels that the CPU at hand can run, the portable one first.
#pragma once

#include "core/crypto/box.hpp"

#include <vector>

namespace caisson::crypto {

inline bool has_avx512_kernels()
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi2");
}

inline std::vector<BoxKernel> kernels_here()
{
    std::vector<BoxKernel> kernels{BoxKernel::portable};
    if (__builtin_cpu_supports("avx2")) {
        kernels.push_back(BoxKernel::avx2);
    }
    if (has_avx512_kernels()) {
        kernels.push_back(BoxKernel::avx512);
    }
    return kernels;
}

} // namespace caisson::crypto
