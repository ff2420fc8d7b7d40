// How long a chamber that has nothing to do looks for more before it goes out, in ticks: long while that pays, else
// shortly, for whoever looks in vain keeps a CPU from somebody who has work. Who is asked for little looks long: to
// look costs no more than he did, and a round trip goes faster from CPU to CPU while none of them sleeps.
#pragma once

#include <algorithm>
#include <cstdint>

namespace caisson::trusted {

class Patience {
  public:
    explicit Patience(std::uint32_t longest) noexcept
        : longest_(longest)
        , ticks_(longest)
    {
    }

    [[nodiscard]] std::uint32_t ticks() const noexcept { return ticks_; }

    // Something came while it looked. What the shortest look would have seen as well says nothing.
    void found_after(std::uint64_t looked) noexcept
    {
        if (looked > shortest()) {
            ticks_ = longest_;
        }
    }
    // Nothing came after the last work, which took so long.
    void gave_up(std::uint64_t now, std::uint64_t worked) noexcept
    {
        ticks_ = worked > longest_ ? std::max(ticks_ / 4, shortest()) : longest_;
        left_ = now;
    }
    // Something came so soon after that, that to look on would have cost less than the way out and in.
    void came_back(std::uint64_t now) noexcept
    {
        if (left_ != 0 && now - left_ <= 2 * std::uint64_t{longest_}) {
            ticks_ = longest_;
        }
        left_ = 0;
    }

  private:
    [[nodiscard]] std::uint32_t shortest() const noexcept { return longest_ / 16; }

    std::uint32_t longest_;
    std::uint32_t ticks_;
    std::uint64_t left_ = 0;
};

} // namespace caisson::trusted
