// The time-stamp counter. Steady while nobody interferes; what it is worth is decided by who uses it.
#pragma once

#include <cstdint>

namespace caisson::trusted {

[[nodiscard]] std::uint64_t read_tick_counter() noexcept;

} // namespace caisson::trusted
