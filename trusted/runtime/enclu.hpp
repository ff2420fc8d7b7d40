// The two ENCLU leaves a chamber executes (SDM vol. 3D): what only the CPU, or its emulator, can answer.
#pragma once

#include "protocol/sgx.hpp"
#include "trusted/runtime/enclave_runtime.hpp"

namespace caisson::trusted {

[[nodiscard]] Leaves enclu_leaves() noexcept;

// Arena::Accept by EACCEPT. `context`: an ArenaEnd. Where there is no page the kernel's driver adds one (EAUG) as
// EACCEPT faults; beyond what the host has memory for it would not, so there nobody asks.
struct ArenaEnd {
    const std::uint8_t* granted = nullptr;
};
[[nodiscard]] bool accept_page(void* context, std::uint8_t* page) noexcept;

// One word from RDRAND; false when the CPU has none ready.
[[nodiscard]] bool read_hardware_random(std::uint64_t& word) noexcept;

// The same from RDSEED. Requires: the CPU has it.
[[nodiscard]] bool read_hardware_seed(std::uint64_t& word) noexcept;

} // namespace caisson::trusted
