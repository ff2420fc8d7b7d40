#include "core/crypto/aes_cmac.hpp"

#include <algorithm>

namespace caisson::crypto {
namespace {

constexpr std::size_t block_bytes = 16;
constexpr std::size_t round_count = 10;
using Block = ByteArray<block_bytes>;

constexpr std::uint8_t xtime(std::uint8_t value) noexcept
{
    const auto carry = static_cast<std::uint8_t>(-(value >> 7U));
    return static_cast<std::uint8_t>((value << 1U) ^ (carry & 0x1bU));
}

// Multiplication in GF(2^8) by masks: no branch and no index depends on the operands.
constexpr std::uint8_t multiply(std::uint8_t left, std::uint8_t right) noexcept
{
    std::uint8_t product = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
        const auto mask = static_cast<std::uint8_t>(-((right >> bit) & 1U));
        product = static_cast<std::uint8_t>(product ^ (left & mask));
        left = xtime(left);
    }
    return product;
}

// The S-box as it is defined (FIPS 197, section 5.1.1): the inverse, x^254, then the affine map.
constexpr std::uint8_t substitute(std::uint8_t value) noexcept
{
    const auto x2 = multiply(value, value);
    const auto x3 = multiply(x2, value);
    const auto x6 = multiply(x3, x3);
    const auto x12 = multiply(x6, x6);
    const auto x15 = multiply(x12, x3);
    const auto x30 = multiply(x15, x15);
    const auto x60 = multiply(x30, x30);
    const auto x120 = multiply(x60, x60);
    const auto x126 = multiply(x120, x6);
    const auto x127 = multiply(x126, value);
    const auto inverse = multiply(x127, x127);
    const auto rotated = [inverse](unsigned count) {
        return static_cast<std::uint8_t>((inverse << count) | (inverse >> (8U - count)));
    };
    return static_cast<std::uint8_t>(inverse ^ rotated(1) ^ rotated(2) ^ rotated(3) ^ rotated(4) ^ 0x63U);
}
static_assert(substitute(0x00) == 0x63 && substitute(0x53) == 0xed && substitute(0xff) == 0x16);

class Aes128 {
  public:
    explicit Aes128(const AesCmacKey& key) noexcept
    {
        copy_bytes(round_keys_[0], key.expose());
        std::uint8_t round_constant = 1;
        for (std::size_t round = 1; round <= round_count; ++round) {
            const auto& last = round_keys_[round - 1];
            auto& next = round_keys_[round];
            for (std::size_t index = 0; index < 4; ++index) {
                next[index] = static_cast<std::uint8_t>(last[index] ^ substitute(last[12 + (index + 1) % 4]));
            }
            next[0] = static_cast<std::uint8_t>(next[0] ^ round_constant);
            for (std::size_t index = 4; index < block_bytes; ++index) {
                next[index] = static_cast<std::uint8_t>(last[index] ^ next[index - 4]);
            }
            round_constant = xtime(round_constant);
        }
    }
    ~Aes128() { wipe({round_keys_[0].data(), sizeof round_keys_}); }
    Aes128(const Aes128&) = delete;
    Aes128& operator=(const Aes128&) = delete;

    void encrypt(Block& block) const noexcept
    {
        add(block, round_keys_[0]);
        for (std::size_t round = 1; round <= round_count; ++round) {
            substitute_and_shift(block);
            if (round != round_count) {
                mix_columns(block);
            }
            add(block, round_keys_[round]);
        }
    }

  private:
    static void add(Block& block, const Block& other) noexcept
    {
        for (std::size_t index = 0; index < block_bytes; ++index) {
            block[index] = static_cast<std::uint8_t>(block[index] ^ other[index]);
        }
    }
    static void substitute_and_shift(Block& block) noexcept
    {
        Block out;
        for (std::size_t index = 0; index < block_bytes; ++index) {
            out[index] = substitute(block[(index + 4 * (index % 4)) % block_bytes]);
        }
        block = out;
        wipe(out);
    }
    static void mix_columns(Block& block) noexcept
    {
        for (std::size_t column = 0; column < block_bytes; column += 4) {
            const ByteArray<4> old{block[column], block[column + 1], block[column + 2], block[column + 3]};
            const auto all = static_cast<std::uint8_t>(old[0] ^ old[1] ^ old[2] ^ old[3]);
            for (std::size_t row = 0; row < 4; ++row) {
                const auto pair = static_cast<std::uint8_t>(old[row] ^ old[(row + 1) % 4]);
                block[column + row] = static_cast<std::uint8_t>(old[row] ^ all ^ xtime(pair));
            }
        }
    }

    std::array<Block, round_count + 1> round_keys_;
};

Block doubled(const Block& value) noexcept
{
    Block out;
    for (std::size_t index = 0; index < block_bytes; ++index) {
        const unsigned next = index + 1 < block_bytes ? value[index + 1] : 0U;
        out[index] = static_cast<std::uint8_t>((static_cast<unsigned>(value[index]) << 1U) | (next >> 7U));
    }
    const auto carry = static_cast<std::uint8_t>(-(value[0] >> 7U));
    out[block_bytes - 1] = static_cast<std::uint8_t>(out[block_bytes - 1] ^ (carry & 0x87U));
    return out;
}

void add_bytes(Block& block, Bytes bytes) noexcept
{
    for (std::size_t index = 0; index < bytes.size(); ++index) {
        block[index] = static_cast<std::uint8_t>(block[index] ^ bytes[index]);
    }
}

} // namespace

AesCmacTag aes128_cmac(const AesCmacKey& key, Bytes message) noexcept
{
    const Aes128 cipher(key);
    Block subkey{};
    cipher.encrypt(subkey);
    subkey = doubled(subkey);

    Block state{};
    while (message.size() > block_bytes) {
        add_bytes(state, message.first(block_bytes));
        cipher.encrypt(state);
        message = message.subspan(block_bytes);
    }
    add_bytes(state, message);
    if (message.size() < block_bytes) {
        state[message.size()] = static_cast<std::uint8_t>(state[message.size()] ^ 0x80U);
        subkey = doubled(subkey);
    }
    add_bytes(state, subkey);
    cipher.encrypt(state);
    wipe(subkey);
    return state;
}

} // namespace caisson::crypto
