// Bytes as text that people copy: lower-case hexadecimal, and Z85 (ZeroMQ RFC 32).
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace caisson {

// Requires: text.size() == 2 * bytes.size().
void write_hex(std::span<char> text, Bytes bytes) noexcept;

// The number of bytes read. Fails: malformed (odd length, a letter that is no digit), exhausted.
[[nodiscard]] Result<std::size_t> read_hex(MutableBytes bytes, std::string_view text) noexcept;

// Requires: bytes.size() % 4 == 0, text.size() == bytes.size() / 4 * 5.
void write_z85(std::span<char> text, Bytes bytes) noexcept;

// The number of bytes read. Fails: malformed (length not a multiple of 5, a foreign letter,
// a group over 2^32 - 1), exhausted.
[[nodiscard]] Result<std::size_t> read_z85(MutableBytes bytes, std::string_view text) noexcept;

} // namespace caisson
