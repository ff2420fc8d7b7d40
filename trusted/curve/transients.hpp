// Transient key pairs made ahead, so that a handshake finds one: several public keys at once cost little more than one.
#pragma once

#include "trusted/curve/cookies.hpp"

namespace caisson::trusted::curve {

// [CURVE-45]
class Transients {
  public:
    // As many as the lanes of X25519's kernel.
    static constexpr std::size_t made_at_once = 8;

    struct Pair {
        TransientSeed seed; // the secret is transient_of(seed)
        CurveKey public_key;
    };
    // One that nobody had before, and nobody has after.
    [[nodiscard]] Pair take(Runtime& runtime) noexcept;
    // Those made so far are nobody's.
    void forget() noexcept;

  private:
    void make(Runtime& runtime) noexcept;

    std::array<Pair, made_at_once> pairs_;
    std::size_t count_ = 0;
};

} // namespace caisson::trusted::curve
