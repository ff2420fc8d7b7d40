// The two AES kernels. `round_keys` holds round_count + 1 keys in the order of encryption.
#pragma once

#include "core/crypto/aes.hpp"

namespace caisson::crypto::kernels {

void aes_encrypt_portable(std::span<const AesBlock> round_keys, std::span<AesBlock> blocks) noexcept;
void aes_decrypt_portable(std::span<const AesBlock> round_keys, std::span<AesBlock> blocks) noexcept;
// The S-box on four bytes at once, for the key schedule.
[[nodiscard]] ByteArray<4> aes_substitute(const ByteArray<4>& word) noexcept;

// Requires: the CPU has AES-NI.
void aes_encrypt_ni(std::span<const AesBlock> round_keys, std::span<AesBlock> blocks, std::uint64_t rounds) noexcept;
void aes_decrypt_ni(std::span<const AesBlock> round_keys, std::span<AesBlock> blocks) noexcept;

} // namespace caisson::crypto::kernels
