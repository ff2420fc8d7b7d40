// Which source has the most in waiting: known at once, however many sources there are. One thread.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <utility>

namespace caisson::services::gateway {

class WaitingRanks {
  public:
    // Requires: `before` is what was said last of this source, 0 at first.
    void move(const std::string& network, std::size_t before, std::size_t now)
    {
        if (before == now) {
            return;
        }
        ranks_.erase({before, network});
        if (now > 0) {
            ranks_.emplace(now, network);
        }
    }

    // Null while nobody waits.
    [[nodiscard]] const std::string* greediest() const noexcept
    {
        return ranks_.empty() ? nullptr : &ranks_.rbegin()->second;
    }

  private:
    std::set<std::pair<std::size_t, std::string>> ranks_;
};

} // namespace caisson::services::gateway
