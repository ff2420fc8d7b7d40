// Bitsliced AES: bit b of every byte of four blocks lies in word b, so the S-box is a circuit and nothing is looked up.
#include "core/crypto/kernels/aes.hpp"

#include <algorithm>

namespace caisson::crypto::kernels {
namespace {

constexpr std::size_t parallel_blocks = 4;
constexpr std::size_t lane_count = parallel_blocks * aes_block_bytes;

// Word `bit`, position 16 * block + byte index: that bit of that byte.
struct Slices {
    std::array<std::uint64_t, 8> bit{};

    ~Slices() { wipe({reinterpret_cast<std::uint8_t*>(bit.data()), sizeof bit}); }
};

Slices sliced(std::span<const AesBlock> blocks) noexcept
{
    Slices out;
    for (std::size_t block = 0; block < blocks.size(); ++block) {
        for (std::size_t index = 0; index < aes_block_bytes; ++index) {
            const std::uint64_t byte = blocks[block][index];
            for (std::size_t bit = 0; bit < 8; ++bit) {
                out.bit[bit] |= ((byte >> bit) & 1U) << (block * aes_block_bytes + index);
            }
        }
    }
    return out;
}

void unslice(std::span<AesBlock> blocks, const Slices& slices) noexcept
{
    for (std::size_t block = 0; block < blocks.size(); ++block) {
        for (std::size_t index = 0; index < aes_block_bytes; ++index) {
            std::uint64_t byte = 0;
            for (std::size_t bit = 0; bit < 8; ++bit) {
                byte |= ((slices.bit[bit] >> (block * aes_block_bytes + index)) & 1U) << bit;
            }
            blocks[block][index] = static_cast<std::uint8_t>(byte);
        }
    }
}

// The S-box as the circuit of Boyar and Peralta (2010): 115 gates, names as in their paper.
void substitute(Slices& s) noexcept
{
    const auto x0 = s.bit[7], x1 = s.bit[6], x2 = s.bit[5], x3 = s.bit[4];
    const auto x4 = s.bit[3], x5 = s.bit[2], x6 = s.bit[1], x7 = s.bit[0];

    const auto y14 = x3 ^ x5, y13 = x0 ^ x6, y9 = x0 ^ x3, y8 = x0 ^ x5, t0 = x1 ^ x2;
    const auto y1 = t0 ^ x7, y4 = y1 ^ x3, y12 = y13 ^ y14, y2 = y1 ^ x0, y5 = y1 ^ x6, y3 = y5 ^ y8;
    const auto t1 = x4 ^ y12, y15 = t1 ^ x5, y20 = t1 ^ x1, y6 = y15 ^ x7, y10 = y15 ^ t0, y11 = y20 ^ y9;
    const auto y7 = x7 ^ y11, y17 = y10 ^ y11, y19 = y10 ^ y8, y16 = t0 ^ y11, y21 = y13 ^ y16, y18 = x0 ^ y16;

    const auto t2 = y12 & y15, t4 = (y3 & y6) ^ t2, t6 = (y4 & x7) ^ t2, t7 = y13 & y16, t9 = (y5 & y1) ^ t7;
    const auto t11 = (y2 & y7) ^ t7, t12 = y9 & y11, t14 = (y14 & y17) ^ t12, t16 = (y8 & y10) ^ t12;
    const auto t21 = t4 ^ t14 ^ y20, t22 = t6 ^ t16 ^ y19, t23 = t9 ^ t14 ^ y21, t24 = t11 ^ t16 ^ y18;
    const auto t25 = t21 ^ t22, t26 = t21 & t23, t27 = t24 ^ t26, t29 = (t25 & t27) ^ t22, t30 = t23 ^ t24;
    const auto t31 = t22 ^ t26, t33 = (t31 & t30) ^ t24, t34 = t23 ^ t33, t35 = t27 ^ t33, t36 = t24 & t35;
    const auto t37 = t36 ^ t34, t38 = t27 ^ t36, t39 = t29 & t38, t40 = t25 ^ t39, t41 = t40 ^ t37;
    const auto t42 = t29 ^ t33, t43 = t29 ^ t40, t44 = t33 ^ t37, t45 = t42 ^ t41;

    const auto z0 = t44 & y15, z1 = t37 & y6, z2 = t33 & x7, z3 = t43 & y16, z4 = t40 & y1, z5 = t29 & y7;
    const auto z6 = t42 & y11, z7 = t45 & y17, z8 = t41 & y10, z9 = t44 & y12, z10 = t37 & y3, z11 = t33 & y4;
    const auto z12 = t43 & y13, z13 = t40 & y5, z14 = t29 & y2, z15 = t42 & y9, z16 = t45 & y14, z17 = t41 & y8;

    const auto t46 = z15 ^ z16, t47 = z10 ^ z11, t48 = z5 ^ z13, t49 = z9 ^ z10, t50 = z2 ^ z12, t51 = z2 ^ z5;
    const auto t52 = z7 ^ z8, t53 = z0 ^ z3, t54 = z6 ^ z7, t55 = z16 ^ z17, t56 = z12 ^ t48, t57 = t50 ^ t53;
    const auto t58 = z4 ^ t46, t59 = z3 ^ t54, t60 = t46 ^ t57, t61 = z14 ^ t57, t62 = t52 ^ t58, t63 = t49 ^ t58;
    const auto t64 = z4 ^ t59, t65 = t61 ^ t62, t66 = z1 ^ t63, t67 = t64 ^ t65, s3 = t53 ^ t66;

    s.bit = {t48 ^ ~t60, t56 ^ ~t62, t47 ^ t65, t51 ^ t66, s3, t55 ^ ~t67, t64 ^ ~s3, t59 ^ t63};
}

// The affine map of the S-box, without or with its inverse: InvSubBytes is inverse-affine, SubBytes, inverse-affine.
void undo_affine(Slices& s) noexcept
{
    const auto b = s.bit;
    for (std::size_t bit = 0; bit < 8; ++bit) {
        s.bit[bit] = b[(bit + 2) % 8] ^ b[(bit + 5) % 8] ^ b[(bit + 7) % 8];
    }
    s.bit[0] = ~s.bit[0]; // the constant 0x05
    s.bit[2] = ~s.bit[2];
}

void substitute_inverse(Slices& s) noexcept
{
    undo_affine(s);
    substitute(s);
    undo_affine(s);
}

// Moves the byte at position from(p) of each block to position p.
template <typename From>
std::uint64_t permuted(std::uint64_t word, From from) noexcept
{
    std::uint64_t out = 0;
    constexpr std::uint64_t every_block = 0x0001000100010001U;
    for (std::size_t to = 0; to < aes_block_bytes; ++to) {
        out |= ((word >> from(to)) & every_block) << to;
    }
    return out;
}

void shift_rows(Slices& s) noexcept
{
    for (auto& word : s.bit) {
        word = permuted(word, [](std::size_t to) { return (to + 4 * (to % 4)) % aes_block_bytes; });
    }
}

void unshift_rows(Slices& s) noexcept
{
    for (auto& word : s.bit) {
        word = permuted(word, [](std::size_t to) { return (to + 12 * (to % 4)) % aes_block_bytes; });
    }
}

// Row r of each column takes the byte of row r + count.
std::uint64_t rotate_column(std::uint64_t word, unsigned count) noexcept
{
    constexpr std::array<std::uint64_t, 4> low_rows{~0ULL, 0x7777777777777777U, 0x3333333333333333U,
                                                    0x1111111111111111U};
    return ((word >> count) & low_rows[count]) | ((word << (4 - count)) & ~low_rows[count]);
}

std::array<std::uint64_t, 8> doubled(const std::array<std::uint64_t, 8>& b) noexcept
{
    return {b[7], b[0] ^ b[7], b[1], b[2] ^ b[7], b[3] ^ b[7], b[4], b[5], b[6]};
}

void mix_columns(Slices& s) noexcept
{
    std::array<std::uint64_t, 8> next{};
    for (std::size_t bit = 0; bit < 8; ++bit) {
        next[bit] = s.bit[bit] ^ rotate_column(s.bit[bit], 1);
    }
    const auto twice = doubled(next);
    for (std::size_t bit = 0; bit < 8; ++bit) {
        s.bit[bit] = twice[bit] ^ rotate_column(s.bit[bit], 1) ^ rotate_column(next[bit], 2);
    }
}

// InvMixColumns = MixColumns after adding 4 (a[r] + a[r+2]) to each row.
void unmix_columns(Slices& s) noexcept
{
    std::array<std::uint64_t, 8> opposite{};
    for (std::size_t bit = 0; bit < 8; ++bit) {
        opposite[bit] = s.bit[bit] ^ rotate_column(s.bit[bit], 2);
    }
    const auto four_times = doubled(doubled(opposite));
    for (std::size_t bit = 0; bit < 8; ++bit) {
        s.bit[bit] ^= four_times[bit];
    }
    mix_columns(s);
}

void add(Slices& s, const Slices& key) noexcept
{
    for (std::size_t bit = 0; bit < 8; ++bit) {
        s.bit[bit] ^= key.bit[bit];
    }
}

Slices sliced_key(const AesBlock& key) noexcept
{
    std::array<AesBlock, parallel_blocks> copies;
    copies.fill(key);
    auto out = sliced(copies);
    wipe({copies.data()->data(), lane_count});
    return out;
}

} // namespace

ByteArray<4> aes_substitute(const ByteArray<4>& word) noexcept
{
    std::array<AesBlock, 1> block{};
    copy_bytes(block[0], word);
    auto slices = sliced(block);
    substitute(slices);
    unslice(block, slices);
    return {block[0][0], block[0][1], block[0][2], block[0][3]};
}

void aes_encrypt_portable(std::span<const AesBlock> round_keys, std::span<AesBlock> blocks) noexcept
{
    for (std::size_t at = 0; at < blocks.size(); at += parallel_blocks) {
        const auto group = blocks.subspan(at, std::min(parallel_blocks, blocks.size() - at));
        auto state = sliced(group);
        add(state, sliced_key(round_keys.front()));
        for (std::size_t round = 1; round < round_keys.size(); ++round) {
            substitute(state);
            shift_rows(state);
            if (round + 1 != round_keys.size()) {
                mix_columns(state);
            }
            add(state, sliced_key(round_keys[round]));
        }
        unslice(group, state);
    }
}

void aes_decrypt_portable(std::span<const AesBlock> round_keys, std::span<AesBlock> blocks) noexcept
{
    for (std::size_t at = 0; at < blocks.size(); at += parallel_blocks) {
        const auto group = blocks.subspan(at, std::min(parallel_blocks, blocks.size() - at));
        auto state = sliced(group);
        for (std::size_t round = round_keys.size() - 1; round > 0; --round) {
            add(state, sliced_key(round_keys[round]));
            if (round + 1 != round_keys.size()) {
                unmix_columns(state);
            }
            unshift_rows(state);
            substitute_inverse(state);
        }
        add(state, sliced_key(round_keys.front()));
        unslice(group, state);
    }
}

} // namespace caisson::crypto::kernels
