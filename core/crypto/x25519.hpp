// X25519 (RFC 7748) for many keys a call, eight side by side in AVX-512 IFMA. Where a CPU has no such lanes libsodium
// is the way; a single key is faster here too, alone in its lane.
#pragma once

#include "core/bytes.hpp"

namespace caisson::crypto {

// 32 octets each. `point` is not looked at for public keys.
struct X25519Job {
    const std::uint8_t* secret = nullptr;
    const std::uint8_t* point = nullptr;
    std::uint8_t* out = nullptr;
};

// So many share one inversion.
inline constexpr std::size_t x25519_best_count = 64;

// What follows needs AVX-512 F, DQ, VL, IFMA and VBMI2.

// out = X25519(secret, 9).
void make_public_keys(std::span<const X25519Job> jobs) noexcept;

// out = X25519(secret, point); all zeros for a point of low order.
void make_shared_secrets(std::span<const X25519Job> jobs) noexcept;

} // namespace caisson::crypto
