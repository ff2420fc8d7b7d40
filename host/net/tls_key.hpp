// A node's TLS key: made here, asked to be certified, and named by the hash of its public half.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"

#include <string>
#include <vector>

namespace caisson::host::net {

struct TlsKey {
    std::string pem;               // the secret key (PKCS #8); for a file of mode 0600 and nowhere else
    std::vector<std::uint8_t> csr; // a request to certify it, DER
    Digest spki_sha256{};          // SHA-256 of its SubjectPublicKeyInfo
};

// A new P-256 key and a request in the name `common_name`. Fails: unavailable (OpenSSL says no).
[[nodiscard]] Outcome<TlsKey> make_tls_key(const std::string& common_name);

// SHA-256 of the SubjectPublicKeyInfo of a secret key. Fails: malformed.
[[nodiscard]] Outcome<Digest> spki_sha256_of_key(const std::string& key_pem);

} // namespace caisson::host::net
