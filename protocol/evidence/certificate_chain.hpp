// Certificates (X.509) up to roots that the caller pins; nothing a prover brings is ever a root.
#pragma once

#include "protocol/evidence/public_key.hpp"

#include <string>

struct x509_st; // OpenSSL's

namespace caisson::protocol::evidence {

// The authorities one kind of evidence is verified to.
class CertificateAuthorities {
  public:
    // PEM texts with any number of certificates each. Only a self-signed one is a root.
    // Fails: malformed (no certificate, or one that does not parse).
    static Result<CertificateAuthorities> from_pem(std::string_view roots, std::string_view intermediates);

    [[nodiscard]] std::size_t root_count() const noexcept { return roots_.size(); }

  private:
    friend class Certificate;
    std::vector<std::shared_ptr<x509_st>> roots_;
    std::vector<std::shared_ptr<x509_st>> intermediates_;
};

// One certificate of a prover.
class Certificate {
  public:
    // DER; zeros after it are permitted, because a TPM's NV index is often longer than what is in it.
    // Fails: malformed.
    static Result<Certificate> from_der(Bytes der);

    // [TPM-5] Valid at `unix_seconds`, and a chain to one of the roots. Fails: unauthentic, expired.
    [[nodiscard]] Status verify(const CertificateAuthorities& authorities, std::int64_t unix_seconds) const;

    // Fails: malformed (no RSA, P-256 or P-384 key).
    [[nodiscard]] Result<PublicKey> public_key() const;

    [[nodiscard]] std::string issuer() const; // for people

    // An attribute of the directory name among the subject's alternative names, by its dotted object id; empty: none.
    [[nodiscard]] std::string alternative_attribute(const char* object_id) const;

  private:
    explicit Certificate(x509_st* owned) noexcept;
    std::shared_ptr<x509_st> certificate_;
};

} // namespace caisson::protocol::evidence
