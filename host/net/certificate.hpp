// The fabric's own certificate authority: one level, P-256, made by `caisson server init`. It certifies the server's
// TLS key and, at enrolment, each node's. A certificate says who may connect; who a node is says its witness key alone.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"

#include <string>

namespace caisson::host::net {

struct CertifiedKey {
    std::string key_pem; // secret; for a file of mode 0600 and nowhere else
    std::string certificate_pem;
};

// A new authority. Fails: unavailable (OpenSSL says no).
[[nodiscard]] Outcome<CertifiedKey> make_authority(const std::string& name);

// A key and certificate for a server that is reached as `host` (a name or an IP address).
[[nodiscard]] Outcome<CertifiedKey> make_server_certificate(const CertifiedKey& authority, const std::string& host);

struct NodeCertificate {
    std::string certificate_pem;
    Digest spki_sha256{};
};

// SHA-256 of the SubjectPublicKeyInfo in a request (DER), whose own signature must verify.
// Fails: malformed, unauthentic.
[[nodiscard]] Outcome<Digest> spki_sha256_of_request(Bytes csr);

// Certifies the request's P-256 key for `node`; the name in the request is not looked at.
[[nodiscard]] Outcome<NodeCertificate> certify_node(const CertifiedKey& authority, Bytes csr, const std::string& node);

} // namespace caisson::host::net
