// The kernels behind core/crypto/box.hpp, and what they share.
#pragma once

#include "core/crypto/box.hpp"
#include "core/crypto/kernels/poly1305.hpp"

namespace caisson::crypto::kernels {

// "expand 32-byte k", the constants of Salsa20 with a 32-byte key.
inline constexpr std::array<std::uint32_t, 4> salsa20_sigma{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
inline constexpr std::size_t salsa20_block_bytes = 64;
// The first half of block 0 is the Poly1305 key; the text starts in its second half.
inline constexpr std::size_t box_key_bytes = 32;

void seal_box_portable(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept;
[[nodiscard]] bool open_box_portable(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept;

// Requires: the CPU has AVX2.
void seal_box_avx2(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept;
[[nodiscard]] bool open_box_avx2(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept;

// Requires: the CPU has what BoxKernel::avx512 names.
void seal_box_avx512(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept;
[[nodiscard]] bool open_box_avx512(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept;

// Block `index` of the key stream.
void write_key_stream_block(const BoxPosition& at, std::uint64_t index, std::span<std::uint8_t, 64> block) noexcept;

// Whole blocks of a box that is made or opened in pieces: key stream from block `first` on, and the tag so far.
struct BoxRun {
    std::uint64_t first = 0;
    const std::uint8_t* from = nullptr;
    std::uint8_t* to = nullptr; // below `from`, the same, or apart
    std::size_t blocks = 0;
    bool opening = false; // the ciphertext is what is read
};

// r^1 to r^16 of one box, made when a first long run needs them.
struct PolyPowers {
    std::array<PolyElement, 17> of;
    bool made = false;

    PolyPowers() = default;
    ~PolyPowers() { wipe({reinterpret_cast<std::uint8_t*>(of.data()), sizeof of}); }
    PolyPowers(const PolyPowers&) = delete;
    PolyPowers& operator=(const PolyPowers&) = delete;
    void make(const PolyElement& r) noexcept
    {
        of[1] = r;
        for (std::size_t index = 2; index < of.size(); ++index) {
            of[index] = product(of[index - 1], r);
        }
        made = true;
    }
};

void run_blocks_portable(const BoxPosition& at, const BoxRun& run, Poly1305& poly) noexcept;
void run_blocks_avx2(const BoxPosition& at, const BoxRun& run, Poly1305& poly) noexcept;
void run_blocks_avx512(const BoxPosition& at, const BoxRun& run, Poly1305& poly, PolyPowers& powers) noexcept;

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
    __builtin_memmove(to, text.data(), text.size());
    return to;
}

} // namespace caisson::crypto::kernels
