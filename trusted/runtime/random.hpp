// The one source of random bytes inside: a ChaCha20 generator with fast key erasure, fed from RDRAND (and RDSEED) and,
// in `process`, a seed the loader took from getrandom before the lock-down. Never from the airlock.
// Spec: docs/spec/chamber.md, Randomness.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"
#include "trusted/runtime/source_health.hpp"

namespace caisson::trusted {

struct SeedTag;
using Seed = Secret<64, SeedTag>;

class Random {
  public:
    // A source gives one 64-bit word, or false when it cannot; null where the CPU has none. `rdseed` only ever adds to
    // `hardware`: that it has nothing ready for a while is no fault, as anybody on the machine can bring that about.
    // Fails: unavailable (neither a seed nor healthy hardware, or hardware that is broken: the chamber must not start).
    using HardwareSource = bool (*)(std::uint64_t& word) noexcept;
    [[nodiscard]] Status start(const Seed& seed, HardwareSource hardware, HardwareSource rdseed = nullptr) noexcept;

    // Requires: start succeeded. Ends the chamber when the hardware breaks afterwards.
    void fill(MutableBytes bytes) noexcept;

  private:
    struct GeneratorKeyTag;
    struct Source {
        HardwareSource read = nullptr;
        SourceHealth health;
    };
    enum class Drawn : std::uint8_t { words, nothing_ready, broken };

    // Tests `word_count` words and mixes them in.
    [[nodiscard]] Drawn draw(Source& source, std::size_t word_count) noexcept;
    [[nodiscard]] bool draw_all(std::size_t word_count) noexcept;
    void mix(Bytes input) noexcept;

    Secret<32, GeneratorKeyTag> key_;
    Source hardware_;
    Source rdseed_;
    std::uint64_t until_mix_ = 0;
    bool started_ = false;
};

} // namespace caisson::trusted
