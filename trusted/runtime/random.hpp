// The one source of random bytes inside: a ChaCha20 generator with fast key erasure, fed from RDRAND (and RDSEED) and,
// in `process`, a seed the loader took from getrandom before the lock-down. Never from the airlock.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"

namespace caisson::trusted {

struct SeedTag;
using Seed = Secret<64, SeedTag>;

class Random {
  public:
    // `hardware` gives one 64-bit word, or false when it cannot; null where the CPU has none.
    // Fails: unavailable (neither a seed nor healthy hardware: the chamber must not start).
    using HardwareSource = bool (*)(std::uint64_t& word) noexcept;
    [[nodiscard]] Status start(const Seed& seed, HardwareSource hardware) noexcept;

    // Requires: start succeeded.
    void fill(MutableBytes bytes) noexcept;

  private:
    struct GeneratorKeyTag;

    [[nodiscard]] bool mix_hardware() noexcept;
    void mix(Bytes input) noexcept;

    Secret<32, GeneratorKeyTag> key_;
    HardwareSource hardware_ = nullptr;
    std::uint64_t until_mix_ = 0;
    bool started_ = false;
};

} // namespace caisson::trusted
