// Every limit that the two sides of the airlock agree on, in one place.
#pragma once

#include <cstddef>
#include <cstdint>

namespace caisson::airlock {

// The ring has independent lanes, each with one producer: the owner of the chamber uses lane 0,
// programs that share the chamber (`caisson run`) use the others.
inline constexpr std::uint32_t lane_count = 16;
inline constexpr std::uint32_t slots_per_lane = 256; // a power of two
inline constexpr std::size_t lane_arena_bytes = std::size_t{4} << 20U;

// One request or answer, without the slot. A frame of the largest message fits.
inline constexpr std::size_t message_bytes_max = std::size_t{256} << 10U;
inline constexpr std::size_t payload_bytes_max = message_bytes_max + 4096;

// The address range of every chamber (SECS.SIZE): naturally aligned, most of it empty.
inline constexpr std::size_t image_range_bytes = std::size_t{16} << 20U;

static_assert((slots_per_lane & (slots_per_lane - 1)) == 0);
static_assert(2 * payload_bytes_max <= lane_arena_bytes);

} // namespace caisson::airlock
