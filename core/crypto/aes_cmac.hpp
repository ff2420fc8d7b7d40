// AES-128-CMAC (NIST SP 800-38B): the MAC of an SGX REPORT and the key derivation of the emulated EGETKEY.
// Portable and constant-time (no tables): a few microseconds per block, used per report, never per message.
#pragma once

#include "core/bytes.hpp"
#include "core/secret.hpp"

namespace caisson::crypto {

struct AesCmacKeyTag;
using AesCmacKey = Secret<16, AesCmacKeyTag>;
using AesCmacTag = ByteArray<16>;

[[nodiscard]] AesCmacTag aes128_cmac(const AesCmacKey& key, Bytes message) noexcept;

} // namespace caisson::crypto
