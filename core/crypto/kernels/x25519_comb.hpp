// The multiples of X25519's base point that public keys are added up from, on the Edwards curve: a signed comb of 43
// windows of 6 bits. Public numbers: tools/x25519_comb.py writes them when this is built, so that a chamber need not
// make them at its start, in secret memory.
#pragma once

#include "core/crypto/kernels/poly1305.hpp"

namespace caisson::crypto::kernels {

inline constexpr std::size_t comb_windows = 43;
inline constexpr std::size_t comb_points = 32; // 1, 3, 5 .. 63 times the window's point

// Of each point y + x, y - x and 2dxy, limb by limb, so that a lane's limb is one of 32 words in a row.
struct Comb {
    alignas(64) std::uint64_t limb[comb_windows][3][5][comb_points];
};

extern const Comb comb;

} // namespace caisson::crypto::kernels
