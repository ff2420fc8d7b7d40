// The arena of a chamber: which addresses of its range may become memory while it runs (EAUG), behind every image and
// the same for all. With an image and its traps it stays below 8 MiB, which is what RLIMIT_MEMLOCK mostly is.
#pragma once

#include "airlock/limits.hpp"

namespace caisson::airlock {

inline constexpr std::size_t arena_offset = image_range_bytes / 2;
inline constexpr std::size_t arena_bytes = std::size_t{6} << 20U;
// With less than this no chamber starts.
inline constexpr std::size_t arena_bytes_min = std::size_t{3} << 20U;

static_assert(arena_offset + arena_bytes <= image_range_bytes);

} // namespace caisson::airlock
