// The one file inside that reads the time-stamp counter; the disassembly check names it.
#include "trusted/runtime/clock.hpp"

namespace caisson::trusted {

std::uint64_t read_tick_counter() noexcept
{
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (std::uint64_t{high} << 32U) | low;
}

} // namespace caisson::trusted
