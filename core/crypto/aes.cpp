#include "core/crypto/aes.hpp"

#include "core/crypto/kernels/aes.hpp"

namespace caisson::crypto {
namespace {

constexpr std::size_t word_bytes = 4;
constexpr std::size_t words_per_block = aes_block_bytes / word_bytes;

constexpr std::uint8_t next_round_constant(std::uint8_t value) noexcept
{
    return static_cast<std::uint8_t>((value << 1U) ^ ((value >> 7U) * 0x1bU)); // public: depends on the round only
}

} // namespace

Aes::Aes(const Aes128Key& key, AesKernel kernel) noexcept
    : kernel_(kernel)
    , round_count_(10)
{
    expand(key.expose());
}

Aes::Aes(const Aes256Key& key, AesKernel kernel) noexcept
    : kernel_(kernel)
    , round_count_(14)
{
    expand(key.expose());
}

Aes::~Aes()
{
    wipe({round_keys_.data()->data(), sizeof round_keys_});
}

// FIPS 197, section 5.2.
void Aes::expand(Bytes key) noexcept
{
    const std::size_t key_words = key.size() / word_bytes;
    auto* bytes = round_keys_.data()->data();
    copy_bytes({bytes, key.size()}, key);
    std::uint8_t round_constant = 1;
    for (std::size_t word = key_words; word < words_per_block * (round_count_ + 1); ++word) {
        ByteArray<word_bytes> next;
        std::memcpy(next.data(), bytes + word_bytes * (word - 1), word_bytes);
        if (word % key_words == 0) {
            next = kernels::aes_substitute({next[1], next[2], next[3], next[0]});
            next[0] = static_cast<std::uint8_t>(next[0] ^ round_constant);
            round_constant = next_round_constant(round_constant);
        } else if (key_words > 6 && word % key_words == 4) {
            next = kernels::aes_substitute(next);
        }
        for (std::size_t index = 0; index < word_bytes; ++index) {
            bytes[word_bytes * word + index] =
                static_cast<std::uint8_t>(bytes[word_bytes * (word - key_words) + index] ^ next[index]);
        }
        wipe(next);
    }
}

void Aes::encrypt(std::span<AesBlock> blocks) const noexcept
{
    encrypt_repeatedly(blocks, 1);
}

void Aes::encrypt_repeatedly(std::span<AesBlock> blocks, std::uint64_t rounds) const noexcept
{
    const std::span<const AesBlock> keys(round_keys_.data(), round_count_ + 1);
    if (kernel_ == AesKernel::aes_ni) {
        kernels::aes_encrypt_ni(keys, blocks, rounds);
        return;
    }
    for (std::uint64_t round = 0; round < rounds; ++round) {
        kernels::aes_encrypt_portable(keys, blocks);
    }
}

void Aes::decrypt(std::span<AesBlock> blocks) const noexcept
{
    const std::span<const AesBlock> keys(round_keys_.data(), round_count_ + 1);
    if (kernel_ == AesKernel::aes_ni) {
        kernels::aes_decrypt_ni(keys, blocks);
    } else {
        kernels::aes_decrypt_portable(keys, blocks);
    }
}

} // namespace caisson::crypto
