// What certificates lead to: roots that the caller pins or gives. Nothing a prover brings is ever a root.
#pragma once

#include "protocol/evidence/certificate.hpp"

namespace caisson::protocol::evidence {

inline constexpr std::size_t crl_bytes_max = std::size_t{1} << 20U;

// SHA-256 of a root's SubjectPublicKeyInfo.
using RootPin = Digest;

// Leaf first, root last, exactly `length` of them; each issued by the next, the root by itself and pinned; all valid at
// `now`. Fails: malformed (length), unauthentic (issuer, CA flag, root), expired (too early or too late).
[[nodiscard]] Status verify_chain(const std::vector<Certificate>& chain, std::size_t length, const RootPin& root,
                                  std::int64_t now);

// A CRL (DER) by `issuer`, in force at `now`, that does not name `subject`.
// Fails: malformed, unauthentic (issuer, signature, or revoked), expired.
[[nodiscard]] Status verify_not_revoked(Bytes crl, const Certificate& issuer, const Certificate& subject,
                                        std::int64_t now);

// The authorities that one kind of evidence is verified to (Certificate::verify).
class CertificateAuthorities {
  public:
    // PEM texts with any number of certificates each. Only a self-signed one is a root.
    // Fails: malformed (no certificate, or one that does not parse).
    [[nodiscard]] static Result<CertificateAuthorities> from_pem(std::string_view roots,
                                                                 std::string_view intermediates);

    [[nodiscard]] std::size_t root_count() const noexcept { return roots_.size(); }

  private:
    friend class Certificate;
    std::vector<std::shared_ptr<x509_st>> roots_;
    std::vector<std::shared_ptr<x509_st>> intermediates_;
};

} // namespace caisson::protocol::evidence
