// LinesAhead: cache lines of the ring that the next group of requests will touch. Asked for all at once they fill every
// place where a core keeps what it waits for, and the work on the group before stands still; a few at a time they
// travel while it goes on. Hints alone: whoever forgets them gets the same answers.
#pragma once

#include "core/prefetch.hpp"

#include <array>

namespace caisson::trusted {

class LinesAhead {
  public:
    // The lines of `size` octets; what finds no room here is asked for at once.
    void add(const std::uint8_t* from, std::size_t size) noexcept
    {
        if (size == 0) {
            return;
        }
        if (count_ == ranges_.size()) {
            take_over(from, size);
            return;
        }
        const auto skew = reinterpret_cast<std::uintptr_t>(from) % cache_line_bytes;
        const auto lines = (skew + size + cache_line_bytes - 1) / cache_line_bytes;
        ranges_[count_++] = {from - skew, lines};
        waiting_ += lines;
    }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }

    // Asks for so many of them, in the order they came.
    void ask(std::size_t lines) noexcept
    {
        for (; next_ < count_; ++next_) {
            auto& range = ranges_[next_];
            for (; range.lines > 0; --range.lines, --lines, --waiting_, range.at += cache_line_bytes) {
                if (lines == 0) {
                    return;
                }
                take_over(range.at);
            }
        }
        next_ = count_ = 0;
    }
    void ask_all() noexcept { ask(waiting_); }

  private:
    static constexpr std::size_t ranges_max = 16; // of few and large requests: for many small ones it does not pay

    struct Range {
        const std::uint8_t* at = nullptr;
        std::size_t lines = 0;
    };
    std::array<Range, ranges_max> ranges_{};
    std::size_t count_ = 0;
    std::size_t next_ = 0;
    std::size_t waiting_ = 0;
};

} // namespace caisson::trusted
