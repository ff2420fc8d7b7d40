// Views of bytes and arrays of them: the one vocabulary for memory that is passed around.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace caisson {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

template <std::size_t N>
using ByteArray = std::array<std::uint8_t, N>;

using Digest = ByteArray<32>; // SHA-256

// The octets of a text literal or view, without a terminator.
inline Bytes bytes_of(std::string_view text) noexcept
{
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view text_of(Bytes bytes) noexcept
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Copies `source` to the start of `target`. Requires: target.size() >= source.size().
inline void copy_bytes(MutableBytes target, Bytes source) noexcept
{
    if (!source.empty()) {
        std::memmove(target.data(), source.data(), source.size());
    }
}

// Public data only: for secrets use core/crypto/constant_time.hpp.
inline bool same_bytes(Bytes left, Bytes right) noexcept
{
    return left.size() == right.size() && (left.empty() || std::memcmp(left.data(), right.data(), left.size()) == 0);
}

} // namespace caisson
