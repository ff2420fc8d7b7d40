// The truth the vector kernels are held to: one message after the other, as Salsa20 and Poly1305 are written down.
#include "core/crypto/constant_time.hpp"
#include "core/crypto/kernels/box.hpp"
#include "core/crypto/kernels/forget_call.hpp"
#include "core/crypto/kernels/poly1305.hpp"

#include <bit>

namespace caisson::crypto::kernels {
namespace {

using State = std::array<std::uint32_t, 16>;
using Block = ByteArray<salsa20_block_bytes>;

constexpr std::size_t box_stack_bytes_max = 896;
constexpr std::size_t block_stack_bytes_max = 384;

void quarter_round(State& x, std::size_t a, std::size_t b, std::size_t c, std::size_t d) noexcept
{
    x[b] ^= std::rotl(x[a] + x[d], 7);
    x[c] ^= std::rotl(x[b] + x[a], 9);
    x[d] ^= std::rotl(x[c] + x[b], 13);
    x[a] ^= std::rotl(x[d] + x[c], 18);
}

void twenty_rounds(State& x) noexcept
{
    for (int round = 0; round < 10; ++round) {
        quarter_round(x, 0, 4, 8, 12);
        quarter_round(x, 5, 9, 13, 1);
        quarter_round(x, 10, 14, 2, 6);
        quarter_round(x, 15, 3, 7, 11);
        quarter_round(x, 0, 1, 2, 3);
        quarter_round(x, 5, 6, 7, 4);
        quarter_round(x, 10, 11, 8, 9);
        quarter_round(x, 15, 12, 13, 14);
    }
}

// Constants at 0, 5, 10, 15; key at 1..4 and 11..14; the input at 6..9.
State initial_state(const std::uint8_t* key, const std::array<std::uint32_t, 4>& input) noexcept
{
    State x{};
    for (std::size_t index = 0; index < 4; ++index) {
        x[5 * index] = salsa20_sigma[index];
        __builtin_memcpy(&x[1 + index], key + 4 * index, 4);
        __builtin_memcpy(&x[11 + index], key + 16 + 4 * index, 4);
        x[6 + index] = input[index];
    }
    return x;
}

[[gnu::noinline]] void write_block(const BoxPosition& at, std::uint64_t index, std::uint8_t* block) noexcept
{
    const auto nonce = __builtin_bswap64(at.counter);
    const auto initial = initial_state(at.key.expose().data(),
                                       {static_cast<std::uint32_t>(nonce), static_cast<std::uint32_t>(nonce >> 32U),
                                        static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32U)});
    auto x = initial;
    twenty_rounds(x);
    for (std::size_t word = 0; word < x.size(); ++word) {
        x[word] += initial[word];
    }
    __builtin_memcpy(block, x.data(), sizeof x);
}

Block key_stream_block(const BoxPosition& at, std::uint64_t index) noexcept
{
    Block block;
    write_block(at, index, block.data());
    return block;
}

// Adds the key stream to the text; `first` is block 0.
void apply_key_stream(const BoxPosition& at, const Block& first, const std::uint8_t* from, std::uint8_t* to,
                      std::size_t size) noexcept
{
    auto block = first;
    std::size_t used = box_key_bytes;
    std::uint64_t index = 0;
    for (std::size_t done = 0; done < size; ++done, ++used) {
        if (used == block.size()) {
            block = key_stream_block(at, ++index);
            used = 0;
        }
        to[done] = static_cast<std::uint8_t>(from[done] ^ block[used]);
    }
}

[[gnu::noinline]] void run_blocks(const BoxPosition& at, const BoxRun& run, Poly1305& poly) noexcept
{
    Block key;
    for (std::size_t index = 0; index < run.blocks; ++index) {
        write_block(at, run.first + index, key.data());
        const auto* from = run.from + index * key.size();
        auto* to = run.to + index * key.size();
        if (run.opening) {
            poly.absorb({from, key.size()});
        }
        for (std::size_t octet = 0; octet < key.size(); ++octet) {
            to[octet] = static_cast<std::uint8_t>(from[octet] ^ key[octet]);
        }
        if (!run.opening) {
            poly.absorb({to, key.size()});
        }
    }
}

[[gnu::noinline]] void derive(std::span<std::uint8_t, 32> output, std::span<const std::uint8_t, 16> input,
                              std::span<const std::uint8_t, 32> key) noexcept
{
    std::array<std::uint32_t, 4> words;
    __builtin_memcpy(words.data(), input.data(), input.size());
    auto x = initial_state(key.data(), words);
    twenty_rounds(x);
    const std::array<std::uint32_t, 8> out{x[0], x[5], x[10], x[15], x[6], x[7], x[8], x[9]};
    __builtin_memcpy(output.data(), out.data(), sizeof out);
}

[[gnu::noinline]] void seal(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept
{
    const auto first = key_stream_block(at, 0);
    auto* ciphertext = output + box_tag_bytes;
    apply_key_stream(at, first, movable_source(text, ciphertext), ciphertext, text.size());
    Poly1305 poly(first.data());
    poly.absorb({ciphertext, text.size()});
    poly.finish(output);
}

[[gnu::noinline]] bool open(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept
{
    const auto first = key_stream_block(at, 0);
    const auto ciphertext = box.subspan(box_tag_bytes);
    ByteArray<box_tag_bytes> tag;
    Poly1305 poly(first.data());
    poly.absorb(ciphertext);
    poly.finish(tag.data());
    const bool good = public_verdict(equal(tag, box.first(box_tag_bytes)));
    if (good) {
        apply_key_stream(at, first, movable_source(ciphertext, output), output, ciphertext.size());
    }
    return good;
}

} // namespace

void write_key_stream_block(const BoxPosition& at, std::uint64_t index, std::span<std::uint8_t, 64> block) noexcept
{
    write_block(at, index, block.data());
    forget_call<block_stack_bytes_max>();
}

void run_blocks_portable(const BoxPosition& at, const BoxRun& run, Poly1305& poly) noexcept
{
    run_blocks(at, run, poly);
    forget_call<box_stack_bytes_max>();
}

void hsalsa20(std::span<std::uint8_t, 32> output, std::span<const std::uint8_t, 16> input,
              std::span<const std::uint8_t, 32> key) noexcept
{
    derive(output, input, key);
    forget_call<block_stack_bytes_max>();
}

void seal_box_portable(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept
{
    seal(at, text, output);
    forget_call<box_stack_bytes_max>();
}

bool open_box_portable(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept
{
    const bool good = open(at, box, output);
    forget_call<box_stack_bytes_max>();
    return good;
}

} // namespace caisson::crypto::kernels
