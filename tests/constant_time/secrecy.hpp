// Marks bytes as secret for a tool that watches the program run: valgrind's memcheck, or MSan where the compiler is
// clang. The tool then reports every branch and every address that depends on them.
#pragma once

#include "core/bytes.hpp"

namespace caisson::tests::constant_time {

// From here on the tool reports who branches on these bytes or uses them as an address.
void make_secret(Bytes bytes) noexcept;

// These bytes are public from here on: a ciphertext that was sent, a verdict that a peer learns anyway.
void make_public(Bytes bytes) noexcept;

template <typename T>
void make_public_value(T& value) noexcept
{
    make_public({reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
}

// Does any of these bytes depend on a secret, as far as the tool has followed it?
[[nodiscard]] bool depends_on_secret(Bytes bytes) noexcept;

// How often the tool has complained in this process. Under MSan always 0: it ends the process instead.
[[nodiscard]] std::size_t complaints() noexcept;
[[nodiscard]] bool counts_complaints() noexcept;

// False when no tool watches: then nothing here means anything.
[[nodiscard]] bool is_watched() noexcept;

} // namespace caisson::tests::constant_time
