#include "core/crypto/aes_cbc.hpp"

#include "core/check.hpp"
#include "core/crypto/constant_time.hpp"

namespace caisson::crypto {
namespace {

void add(AesBlock& block, const AesBlock& other) noexcept
{
    for (std::size_t index = 0; index < aes_block_bytes; ++index) {
        block[index] = static_cast<std::uint8_t>(block[index] ^ other[index]);
    }
}

// All ones when left < right; both below 2^31.
std::uint32_t mask_if_less(std::size_t left, std::size_t right) noexcept
{
    const auto difference = static_cast<std::uint32_t>(left) - static_cast<std::uint32_t>(right);
    return std::uint32_t{0} - (difference >> 31U);
}

// Which octet was wrong must not show in the time: that answers a decryption oracle's questions.
bool padding_is_valid(Bytes text, std::size_t padding) noexcept
{
    std::uint32_t wrong = mask_if_less(padding, 1) | mask_if_less(aes_block_bytes, padding);
    for (std::size_t index = 1; index <= aes_block_bytes; ++index) {
        const auto is_padding = mask_if_less(index, padding + 1);
        wrong |= is_padding & static_cast<std::uint32_t>(text[text.size() - index] ^ padding);
    }
    hide_from_optimiser(wrong);
    return wrong == 0;
}

AesBlock block_at(Bytes bytes, std::size_t at) noexcept
{
    AesBlock block;
    copy_bytes(block, bytes.subspan(at, aes_block_bytes));
    return block;
}

} // namespace

void cbc_encrypt(const Aes& cipher, const AesBlock& iv, Bytes plaintext, MutableBytes output) noexcept
{
    CHECK(output.size() == cbc_padded_bytes(plaintext.size()));
    const auto padding = static_cast<std::uint8_t>(output.size() - plaintext.size());
    auto previous = iv;
    for (std::size_t at = 0; at < output.size(); at += aes_block_bytes) {
        AesBlock block;
        block.fill(padding);
        copy_bytes(block, plaintext.subspan(at, std::min(aes_block_bytes, plaintext.size() - at)));
        add(block, previous);
        cipher.encrypt({&block, 1});
        copy_bytes(output.subspan(at), block);
        previous = block;
    }
}

Result<std::size_t> cbc_decrypt(const Aes& cipher, const AesBlock& iv, Bytes ciphertext, MutableBytes output) noexcept
{
    CHECK(output.size() >= ciphertext.size());
    if (ciphertext.empty() || ciphertext.size() % aes_block_bytes != 0) {
        return fail(Kind::malformed, "AES-CBC text is no whole number of blocks");
    }
    auto previous = iv;
    for (std::size_t at = 0; at < ciphertext.size(); at += aes_block_bytes) {
        const auto encrypted = block_at(ciphertext, at);
        auto block = encrypted;
        cipher.decrypt({&block, 1});
        add(block, previous);
        copy_bytes(output.subspan(at), block);
        previous = encrypted;
    }
    const std::size_t padding = output[ciphertext.size() - 1];
    if (!public_verdict(padding_is_valid(output.first(ciphertext.size()), padding))) {
        wipe(output.first(ciphertext.size()));
        return fail(Kind::malformed, "AES-CBC text has wrong padding");
    }
    return ciphertext.size() - padding;
}

} // namespace caisson::crypto
