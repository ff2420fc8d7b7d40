// AES-256-CBC with PKCS#7 padding (NIST SP 800-38A, RFC 5652): the outer cipher of many KDBX files.
// It authenticates nothing: the caller has verified the ciphertext before it decrypts.
#pragma once

#include "core/crypto/aes.hpp"
#include "core/result.hpp"

namespace caisson::crypto {

// The size with padding: always one to sixteen bytes more.
constexpr std::size_t cbc_padded_bytes(std::size_t size) noexcept
{
    return (size / aes_block_bytes + 1) * aes_block_bytes;
}

// Requires: output.size() == cbc_padded_bytes(plaintext.size()).
void cbc_encrypt(const Aes& cipher, const AesBlock& iv, Bytes plaintext, MutableBytes output) noexcept;

// Returns the size of the plaintext, at the front of `output`. Requires: output.size() >= ciphertext.size().
// Fails: malformed (no whole blocks, or the padding is wrong).
[[nodiscard]] Result<std::size_t> cbc_decrypt(const Aes& cipher, const AesBlock& iv, Bytes ciphertext,
                                              MutableBytes output) noexcept;

} // namespace caisson::crypto
