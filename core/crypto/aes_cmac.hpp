// AES-128-CMAC (NIST SP 800-38B): the MAC of an SGX REPORT and the key derivation of the emulated EGETKEY.
// Always the portable kernel: used per report, never per message.
#pragma once

#include "core/bytes.hpp"
#include "core/crypto/aes.hpp"

namespace caisson::crypto {

using AesCmacKey = Aes128Key;
using AesCmacTag = ByteArray<16>;

[[nodiscard]] AesCmacTag aes128_cmac(const AesCmacKey& key, Bytes message) noexcept;

} // namespace caisson::crypto
