// Poly1305 (RFC 8439, section 2.5) in limbs of 44, 44 and 42 bits: whole messages, and the tails of vector kernels.
#pragma once

#include "core/bytes.hpp"

namespace caisson::crypto::kernels {

inline constexpr std::size_t poly1305_block_bytes = 16;
inline constexpr std::uint64_t mask44 = (std::uint64_t{1} << 44U) - 1;
inline constexpr std::uint64_t mask42 = (std::uint64_t{1} << 42U) - 1;

__extension__ using Wide = unsigned __int128;

inline std::uint64_t load64(const std::uint8_t* from) noexcept
{
    std::uint64_t value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

struct PolyElement {
    std::uint64_t limb0 = 0;
    std::uint64_t limb1 = 0;
    std::uint64_t limb2 = 0;
};

inline PolyElement clamped(std::uint64_t low, std::uint64_t high) noexcept
{
    low &= 0x0ffffffc0fffffffU;
    high &= 0x0ffffffc0ffffffcU;
    return {low & mask44, ((low >> 44U) | (high << 20U)) & mask44, high >> 24U};
}

// left * right mod 2^130 - 5, limbs barely above their size.
inline PolyElement product(const PolyElement& left, const PolyElement& right) noexcept
{
    const std::uint64_t folded1 = right.limb1 * 20;
    const std::uint64_t folded2 = right.limb2 * 20;
    const auto wide = [](std::uint64_t a, std::uint64_t b) { return static_cast<Wide>(a) * b; };
    const Wide sum0 = wide(left.limb0, right.limb0) + wide(left.limb1, folded2) + wide(left.limb2, folded1);
    Wide sum1 = wide(left.limb0, right.limb1) + wide(left.limb1, right.limb0) + wide(left.limb2, folded2);
    Wide sum2 = wide(left.limb0, right.limb2) + wide(left.limb1, right.limb1) + wide(left.limb2, right.limb0);
    PolyElement out;
    sum1 += static_cast<std::uint64_t>(sum0 >> 44U);
    out.limb0 = static_cast<std::uint64_t>(sum0) & mask44;
    sum2 += static_cast<std::uint64_t>(sum1 >> 44U);
    out.limb1 = static_cast<std::uint64_t>(sum1) & mask44;
    const auto carry = static_cast<std::uint64_t>(sum2 >> 42U);
    out.limb2 = static_cast<std::uint64_t>(sum2) & mask42;
    out.limb0 += carry * 5;
    out.limb1 += out.limb0 >> 44U;
    out.limb0 &= mask44;
    return out;
}

// state + a block of 16 bytes, whose bit 128 is `high_bit`.
inline PolyElement with_block(const PolyElement& state, std::uint64_t low, std::uint64_t high,
                              std::uint64_t high_bit) noexcept
{
    return {state.limb0 + (low & mask44), state.limb1 + (((low >> 44U) | (high << 20U)) & mask44),
            state.limb2 + ((high >> 24U) | (high_bit << 40U))};
}

// Less than a block, followed by 1 and zeros, as two words.
inline std::array<std::uint64_t, 2> padded_block(Bytes bytes) noexcept
{
    std::array<std::uint64_t, 2> block{};
    for (std::size_t index = 0; index < bytes.size(); ++index) {
        block[index / 8] |= std::uint64_t{bytes[index]} << (8 * (index % 8));
    }
    block[bytes.size() / 8] |= std::uint64_t{1} << (8 * (bytes.size() % 8));
    return block;
}

// One message under one one-time key (r and s, 32 bytes).
class Poly1305 {
  public:
    explicit Poly1305(const std::uint8_t* key) noexcept
        : r_(clamped(load64(key), load64(key + 8)))
        , s_low_(load64(key + 16))
        , s_high_(load64(key + 24))
    {
    }
    // Continues where a vector kernel stopped.
    Poly1305(const std::uint8_t* key, const PolyElement& state) noexcept
        : Poly1305(key)
    {
        state_ = state;
    }
    ~Poly1305()
    {
        r_ = {};
        state_ = {};
        s_low_ = s_high_ = 0;
        __asm__ volatile("" : : "r"(this) : "memory");
    }
    Poly1305(const Poly1305&) = delete;
    Poly1305& operator=(const Poly1305&) = delete;

    // For vector kernels, which go on from here and come back to it between whole blocks.
    [[nodiscard]] const PolyElement& state() const noexcept { return state_; }
    [[nodiscard]] const PolyElement& factor() const noexcept { return r_; }
    void set_state(const PolyElement& state) noexcept { state_ = state; }

    // All of the message that is left; a last partial block is padded as the RFC says.
    void absorb(Bytes bytes) noexcept
    {
        while (bytes.size() >= poly1305_block_bytes) {
            add_block(load64(bytes.data()), load64(bytes.data() + 8), 1);
            bytes = bytes.subspan(poly1305_block_bytes);
        }
        if (!bytes.empty()) {
            const auto block = padded_block(bytes);
            add_block(block[0], block[1], 0);
        }
    }

    void finish(std::uint8_t* tag) noexcept
    {
        auto [h0, h1, h2] = state_;
        for (int round = 0; round < 2; ++round) {
            h1 += h0 >> 44U;
            h0 &= mask44;
            h2 += h1 >> 44U;
            h1 &= mask44;
            h0 += (h2 >> 42U) * 5;
            h2 &= mask42;
        }
        h1 += h0 >> 44U;
        h0 &= mask44;
        // Subtract 2^130 - 5 and keep the difference when it did not borrow.
        std::uint64_t g0 = h0 + 5;
        std::uint64_t g1 = h1 + (g0 >> 44U);
        const std::uint64_t g2 = h2 + (g1 >> 44U) - (std::uint64_t{1} << 42U);
        g0 &= mask44;
        g1 &= mask44;
        const std::uint64_t keep = (g2 >> 63U) - 1;
        h0 = (h0 & ~keep) | (g0 & keep);
        h1 = (h1 & ~keep) | (g1 & keep);
        h2 = (h2 & ~keep) | (g2 & keep & mask42);
        const std::uint64_t low = h0 | (h1 << 44U);
        const std::uint64_t high = (h1 >> 20U) | (h2 << 24U);
        const Wide sum = static_cast<Wide>(low) + s_low_;
        const auto tag_low = static_cast<std::uint64_t>(sum);
        const std::uint64_t tag_high = high + s_high_ + static_cast<std::uint64_t>(sum >> 64U);
        __builtin_memcpy(tag, &tag_low, sizeof tag_low);
        __builtin_memcpy(tag + sizeof tag_low, &tag_high, sizeof tag_high);
    }

  private:
    void add_block(std::uint64_t low, std::uint64_t high, std::uint64_t high_bit) noexcept
    {
        state_ = product(with_block(state_, low, high, high_bit), r_);
    }

    PolyElement r_;
    std::uint64_t s_low_;
    std::uint64_t s_high_;
    PolyElement state_;
};

} // namespace caisson::crypto::kernels
