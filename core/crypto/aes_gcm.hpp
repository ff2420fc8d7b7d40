// AES-256-GCM (NIST SP 800-38D) with a 96-bit nonce and a 128-bit tag. GHASH multiplies without tables.
#pragma once

#include "core/crypto/aes.hpp"
#include "core/result.hpp"

namespace caisson::crypto {

struct GcmNonceTag;
using GcmNonce = Named<12, GcmNonceTag>;
using GcmTag = ByteArray<16>;

// One key and nonce never seal two messages; the caller keeps that. `output` may be `plaintext` itself.
// Requires: output.size() == plaintext.size().
[[nodiscard]] GcmTag gcm_encrypt(const Aes& cipher, const GcmNonce& nonce, Bytes associated, Bytes plaintext,
                                 MutableBytes output) noexcept;

// Requires: output.size() == ciphertext.size(). Nothing is written before the tag is right.
// Fails: unauthentic.
[[nodiscard]] Status gcm_decrypt(const Aes& cipher, const GcmNonce& nonce, Bytes associated, Bytes ciphertext,
                                 const GcmTag& tag, MutableBytes output) noexcept;

} // namespace caisson::crypto
