// The two ENCLU leaves a chamber executes (SDM vol. 3D): what only the CPU, or its emulator, can answer.
#pragma once

#include "protocol/sgx.hpp"
#include "trusted/runtime/enclave_runtime.hpp"

namespace caisson::trusted {

[[nodiscard]] Leaves enclu_leaves() noexcept;

// One word from RDRAND; false when the CPU has none ready.
[[nodiscard]] bool read_hardware_random(std::uint64_t& word) noexcept;

// The same from RDSEED. Requires: the CPU has it.
[[nodiscard]] bool read_hardware_seed(std::uint64_t& word) noexcept;

} // namespace caisson::trusted
