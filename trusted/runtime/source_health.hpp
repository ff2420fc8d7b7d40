// SourceHealth: the two continuous health tests of NIST SP 800-90B (4.4.1 repetition count, 4.4.2 adaptive proportion)
// over the octets that a hardware source of randomness gives, and one for words that no working source gives.
#pragma once

#include "core/bytes.hpp"

namespace caisson::trusted {

class SourceHealth {
  public:
    // Below the 8 that the makers claim for RDRAND and RDSEED, so that an honest source is not refused, and high enough
    // that one stuck octet in a word is seen. With a false alarm of 2^-40 an octet, SP 800-90B has these cut-offs.
    static constexpr unsigned min_entropy_bits = 6;
    static constexpr std::uint32_t repetition_cutoff = 8; // 1 + ceil(40 / 6)
    static constexpr std::uint32_t window_octets = 512;
    static constexpr std::uint32_t proportion_cutoff = 35; // 1 + critbinom(512, 2^-6, 1 - 2^-40)

    // Before one word is used so many are tested (4.3 asks for 1024 octets): a window for each octet of a word, as the
    // next window begins one octet later.
    static constexpr std::size_t startup_words = 520;
    static_assert(startup_words * 8 >= 8 * (std::size_t{window_octets} + 1));

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
    std::uint32_t in_window_ = 0; // octets seen of the window, and the one that is left out behind it
    std::uint32_t occurrences_ = 0;
};

} // namespace caisson::trusted
