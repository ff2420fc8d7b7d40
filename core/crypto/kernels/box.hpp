// The kernels behind core/crypto/box.hpp, and what they share.
#pragma once

#include "core/crypto/box.hpp"

namespace caisson::crypto::kernels {

// "expand 32-byte k", the constants of Salsa20 with a 32-byte key.
inline constexpr std::array<std::uint32_t, 4> salsa20_sigma{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
inline constexpr std::size_t salsa20_block_bytes = 64;
// The first half of block 0 is the Poly1305 key; the text starts in its second half.
inline constexpr std::size_t box_key_bytes = 32;

void seal_box_portable(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept;
[[nodiscard]] bool open_box_portable(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept;

// Requires: the CPU has what BoxKernel::avx512 names.
void seal_box_avx512(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept;
[[nodiscard]] bool open_box_avx512(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept;

// HSalsa20 (Bernstein, "Extending the Salsa20 nonce").
void hsalsa20(std::span<std::uint8_t, 32> output, std::span<const std::uint8_t, 16> input,
              std::span<const std::uint8_t, 32> key) noexcept;

// Kernels go upwards, so a text that lies below its destination would be overwritten before it is read: it moves first.
inline const std::uint8_t* movable_source(Bytes text, std::uint8_t* to) noexcept
{
    const auto from_address = reinterpret_cast<std::uintptr_t>(text.data());
    const auto to_address = reinterpret_cast<std::uintptr_t>(to);
    if (to_address <= from_address || to_address - from_address >= text.size()) {
        return text.data();
    }
    std::memmove(to, text.data(), text.size());
    return to;
}

} // namespace caisson::crypto::kernels
