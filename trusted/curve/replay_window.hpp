// ReplayWindow: which of the last counters of a session were there already, for carriers that reorder.
// Spec: docs/spec/e2e.md.
#pragma once

#include <array>
#include <cstdint>

namespace caisson::trusted::curve {

class ReplayWindow {
  public:
    static constexpr std::uint64_t width = 1024;

    // [E2E-10] Above all that came, or within the window and not there yet. 0 is no counter.
    [[nodiscard]] bool is_new(std::uint64_t counter) const noexcept
    {
        if (counter > highest_) {
            return true;
        }
        return counter != 0 && highest_ - counter < width && (word(counter) & bit(counter)) == 0;
    }

    // Requires: is_new(counter).
    void take(std::uint64_t counter) noexcept
    {
        if (counter > highest_) {
            if (counter - highest_ >= width) {
                bits_ = {};
            } else {
                for (auto skipped = highest_ + 1; skipped <= counter; ++skipped) {
                    bits_[index(skipped)] &= ~bit(skipped);
                }
            }
            highest_ = counter;
        }
        bits_[index(counter)] |= bit(counter);
    }

    [[nodiscard]] std::uint64_t highest() const noexcept { return highest_; }

  private:
    static std::size_t index(std::uint64_t counter) noexcept { return (counter % width) / 64; }
    static std::uint64_t bit(std::uint64_t counter) noexcept { return std::uint64_t{1} << (counter % 64); }
    [[nodiscard]] std::uint64_t word(std::uint64_t counter) const noexcept { return bits_[index(counter)]; }

    std::uint64_t highest_ = 0;
    std::array<std::uint64_t, width / 64> bits_{};
};

} // namespace caisson::trusted::curve
