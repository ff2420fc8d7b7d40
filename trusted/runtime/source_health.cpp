#include "trusted/runtime/source_health.hpp"

namespace caisson::trusted {

// [RANDOM-3]
bool SourceHealth::accept(std::uint64_t word) noexcept
{
    // A stuck register, or the all-ones of CPUs that woke up badly: once in 2^62 words from a source that works.
    const bool impossible = word == 0 || word == ~std::uint64_t{0} || (has_previous_ && word == previous_word_);
    broken_ |= impossible;
    previous_word_ = word;
    has_previous_ = true;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        broken_ |= !accept_octet(static_cast<std::uint8_t>(word >> shift));
    }
    return !broken_;
}

bool SourceHealth::accept_octet(std::uint8_t octet) noexcept
{
    repetitions_ = octet == repeated_ ? repetitions_ + 1 : 1;
    repeated_ = octet;
    if (in_window_ == 0) {
        watched_ = octet;
        occurrences_ = 0;
    }
    occurrences_ += octet == watched_ && in_window_ < window_octets ? 1U : 0U;
    in_window_ = in_window_ == window_octets ? 0 : in_window_ + 1;
    return repetitions_ < repetition_cutoff && occurrences_ < proportion_cutoff;
}

} // namespace caisson::trusted
