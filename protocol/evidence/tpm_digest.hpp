// A TPM's name for a hash, as OpenSSL's.
#pragma once

#include "protocol/evidence/tpm_structures.hpp"

#include <openssl/evp.h>

namespace caisson::protocol::evidence {

// Null: no hash that is known here.
inline const EVP_MD* digest_of(std::uint16_t hash) noexcept
{
    switch (hash) {
    case TPM_ALG_SHA1: return EVP_sha1();
    case TPM_ALG_SHA256: return EVP_sha256();
    case TPM_ALG_SHA384: return EVP_sha384();
    case TPM_ALG_SHA512: return EVP_sha512();
    default: return nullptr;
    }
}

} // namespace caisson::protocol::evidence
