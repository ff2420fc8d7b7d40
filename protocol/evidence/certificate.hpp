// One X.509 certificate: a TPM's, in DER, or one of the short P-256 chains that the evidence of CPUs uses. What it
// leads to is certificate_chain.hpp's.
#pragma once

#include "protocol/evidence/public_key.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct x509_st; // OpenSSL's

namespace caisson::protocol::evidence {

inline constexpr std::size_t chain_bytes_max = 32768;
inline constexpr std::size_t chain_certificates_max = 4;
inline constexpr std::size_t certificate_bytes_max = 8192;

class CertificateAuthorities;

class Certificate {
  public:
    // DER; zeros after it are permitted, because a TPM's NV index is often longer than what is in it.
    // Fails: malformed.
    [[nodiscard]] static Result<Certificate> from_der(Bytes der);

    // A chain of P-256 certificates as PEM, leaf first, and nothing else but white space and zeros between and behind.
    // Strict on purpose: what no maker of CPUs puts there is refused. Fails: malformed, exhausted.
    [[nodiscard]] static Result<std::vector<Certificate>> read_chain(std::string_view pem);

    // [TPM-5] Valid at `unix_seconds`, and a chain to one of the roots. Fails: unauthentic, expired.
    [[nodiscard]] Status verify(const CertificateAuthorities& authorities, std::int64_t unix_seconds) const;

    // True for the whole of [notBefore, notAfter].
    [[nodiscard]] bool valid_at(std::int64_t now) const noexcept;
    [[nodiscard]] bool issued_by(const Certificate& issuer) const noexcept; // name and signature, ECDSA with SHA-256
    [[nodiscard]] bool is_authority() const noexcept;                       // CA, may sign certificates
    [[nodiscard]] std::string common_name() const;
    [[nodiscard]] std::string issuer() const; // for people
    [[nodiscard]] Digest public_key_digest() const noexcept;
    // Fails: malformed (no RSA, P-256 or P-384 key).
    [[nodiscard]] Result<PublicKey> public_key() const;
    // By its P-256 key: r and s, 32 bytes each, over SHA-256 of `message`. Fails: malformed, unauthentic.
    [[nodiscard]] Status verify(Bytes message, Bytes signature) const noexcept;
    // The content of the extension with this OID (dotted). Fails: missing, malformed (twice).
    [[nodiscard]] Result<Bytes> extension(const char* oid) const noexcept;
    // An attribute of the directory name among the subject's alternative names, by its dotted object id; empty: none.
    [[nodiscard]] std::string alternative_attribute(const char* object_id) const;

    [[nodiscard]] x509_st* x509() const noexcept { return x509_.get(); }

  private:
    explicit Certificate(x509_st* owned) noexcept;
    std::shared_ptr<x509_st> x509_;
};

// A P-256 public key as x and y. Fails: malformed (no point of the curve), unauthentic.
[[nodiscard]] Status verify_p256(Bytes point, Bytes message, Bytes signature) noexcept;

} // namespace caisson::protocol::evidence
