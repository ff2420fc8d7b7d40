// What a connection has to write: small frames lie together, a large body stays where it is and is never copied.
// One thread.
#pragma once

#include "core/bytes.hpp"

#include <deque>
#include <vector>

namespace caisson::library {

class OutputQueue {
  public:
    void append(Bytes bytes);
    // Taken over, unless it is so small that a copy costs less.
    void append(std::vector<std::uint8_t>&& body);

    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    // As much as the socket takes now. Returns 0, or the errno with which it ended.
    [[nodiscard]] int write_to(int descriptor);

  private:
    void drop(std::size_t sent);

    std::deque<std::vector<std::uint8_t>> chunks_;
    std::vector<std::uint8_t> spare_; // has gone; the next frames are gathered where it was
    std::size_t front_sent_ = 0;      // of the first chunk
    std::size_t bytes_ = 0;
    bool last_gathers_ = false; // what comes next may lie behind what the last chunk has
};

} // namespace caisson::library
