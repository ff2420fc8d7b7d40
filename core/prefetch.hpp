// Hints that change nothing: cache lines that will be needed soon may come from another core while other work goes on.
#pragma once

#include <cstddef>
#include <cstdint>

namespace caisson {

inline constexpr std::size_t cache_line_bytes = 64;

// The line leaves the other core's cache, which is what one wants before reading too, where the other core will write
// it next: a line that both may read costs its writer more than twice as much as one that it takes over.
// Spelled out, for without a flag of its own the compiler makes the weaker hint of the builtin; a CPU without the
// instruction does nothing.
inline void take_over(const void* line) noexcept
{
    __asm__ volatile("prefetchw (%0)" : : "r"(line));
}

// The lines of the first `size` octets.
inline void take_over(const std::uint8_t* from, std::size_t size) noexcept
{
    const auto* const end = from + size;
    from -= reinterpret_cast<std::uintptr_t>(from) % cache_line_bytes;
    for (; from < end; from += cache_line_bytes) {
        take_over(from);
    }
}

} // namespace caisson
