// What libsodium's objects ask of their surroundings, answered without a libc, and their choice of code paths.
#pragma once

#include <cstdint>

namespace caisson::trusted {

// Picks libsodium's implementations by airlock::CpuFeature bits; the image never calls sodium_init.
void choose_sodium_implementations(std::uint32_t features) noexcept;

} // namespace caisson::trusted
