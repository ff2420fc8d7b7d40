// SourceHealth: the two continuous health tests of NIST SP 800-90B (4.4.1 repetition count, 4.4.2 adaptive proportion)
// over the octets that a hardware source of randomness gives, and one for words that no working source gives.
#pragma once

#include "core/bytes.hpp"

namespace caisson::trusted {

class SourceHealth {
  public:
    // Half of what the makers claim for RDRAND and RDSEED, so that an honest source is not refused: with a false alarm
    // of 2^-40 an octet these are the cut-offs of SP 800-90B.
    static constexpr unsigned min_entropy_bits = 4;
    static constexpr std::uint32_t repetition_cutoff = 11; // 1 + 40 / 4
    static constexpr std::uint32_t window_octets = 512;
    static constexpr std::uint32_t proportion_cutoff = 78; // 1 + critbinom(512, 2^-4, 1 - 2^-40)

    // At start 1024 octets are tested before one is used (4.3).
    static constexpr std::size_t startup_words = 128;

    // False from the first word on that fails: a source that was broken once stays so.
    [[nodiscard]] bool accept(std::uint64_t word) noexcept;

  private:
    [[nodiscard]] bool accept_octet(std::uint8_t octet) noexcept;

    bool broken_ = false;
    bool has_previous_ = false;
    std::uint64_t previous_word_ = 0;
    std::uint8_t repeated_ = 0;
    std::uint32_t repetitions_ = 0;
    std::uint8_t watched_ = 0;
    std::uint32_t in_window_ = 0;
    std::uint32_t occurrences_ = 0;
};

} // namespace caisson::trusted
