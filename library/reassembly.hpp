// Reassembly: from the packets of one session, in whatever order they came, back to whole multipart messages.
#pragma once

#include "core/bytes.hpp"
#include "library/failure.hpp"
#include "protocol/e2e.hpp"

#include <map>
#include <vector>

namespace caisson::library {

using Buffer = std::vector<std::uint8_t>;
using Parts = std::vector<Buffer>;

// [E2E-30] What one session may hold of messages that are not complete.
inline constexpr std::size_t incomplete_bytes_max = std::size_t{128} << 20U;
// A counter so far below the highest does not come any more (E2E-10).
inline constexpr std::uint64_t packets_late_max = 1024;

struct Piece {
    std::uint8_t flags = 0;
    Buffer text;
};

class Reassembly {
  public:
    explicit Reassembly(std::size_t bytes_max = incomplete_bytes_max) noexcept
        : bytes_max_(bytes_max)
    {
    }
    // The message that this packet completes, if it does. Fails: exhausted, malformed.
    Outcome<Parts> take(std::uint64_t counter, Piece piece);

  private:
    void drop_hopeless();

    std::size_t bytes_max_;
    std::map<std::uint64_t, Piece> pieces_;
    std::size_t bytes_ = 0;
    std::uint64_t highest_ = 0;
};

// A message as the texts of its packets, each of at most `chunk_bytes`.
[[nodiscard]] std::vector<Piece> cut(std::span<const Bytes> parts, std::size_t chunk_bytes);

// The parts of a letter in one text: size u32 (big-endian) and octets, each.
[[nodiscard]] Buffer join_parts(std::span<const Bytes> parts);
[[nodiscard]] Outcome<Parts> split_parts(Bytes text);

} // namespace caisson::library
