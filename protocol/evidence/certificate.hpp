// X.509 as the evidence of CPUs uses it: short chains of P-256 certificates to a pinned root, and their CRLs. Strict on
// purpose: what no vendor's chain contains is refused.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace caisson::protocol::evidence {

inline constexpr std::size_t chain_bytes_max = 32768;
inline constexpr std::size_t chain_certificates_max = 4;
inline constexpr std::size_t crl_bytes_max = std::size_t{1} << 20U;

// SHA-256 of a root's SubjectPublicKeyInfo.
using RootPin = Digest;

class Certificate {
  public:
    // A chain as PEM, leaf first, and nothing else but white space and zeros between and behind.
    // Fails: malformed, exhausted.
    [[nodiscard]] static Result<std::vector<Certificate>> read_chain(std::string_view pem);

    // True for the whole of [notBefore, notAfter].
    [[nodiscard]] bool valid_at(std::int64_t now) const noexcept;
    [[nodiscard]] bool issued_by(const Certificate& issuer) const noexcept; // name and signature
    [[nodiscard]] bool is_authority() const noexcept;                       // CA, may sign certificates
    [[nodiscard]] std::string common_name() const;
    [[nodiscard]] Digest public_key_digest() const noexcept;
    // r and s, 32 bytes each, over SHA-256 of `message`. Fails: unauthentic.
    [[nodiscard]] Status verify(Bytes message, Bytes signature) const noexcept;
    // The content of the extension with this OID (dotted). Fails: missing, malformed (twice).
    [[nodiscard]] Result<Bytes> extension(const char* oid) const noexcept;

    struct Handle; // OpenSSL's
    [[nodiscard]] Handle& handle() const noexcept { return *handle_; }

  private:
    explicit Certificate(std::shared_ptr<Handle> handle)
        : handle_(std::move(handle))
    {
    }
    std::shared_ptr<Handle> handle_;
};

// Leaf first, root last, exactly `length` of them; each issued by the next, the root by itself and pinned; all valid at
// `now`. Fails: malformed (length), unauthentic (issuer, CA flag, root), expired (too early or too late).
[[nodiscard]] Status verify_chain(const std::vector<Certificate>& chain, std::size_t length, const RootPin& root,
                                  std::int64_t now);

// A CRL (DER) by `issuer`, in force at `now`, that does not name `subject`.
// Fails: malformed, unauthentic (issuer, signature, or revoked), expired.
[[nodiscard]] Status verify_not_revoked(Bytes crl, const Certificate& issuer, const Certificate& subject,
                                        std::int64_t now);

// A P-256 public key as x and y. Fails: malformed (no point of the curve), unauthentic.
[[nodiscard]] Status verify_p256(Bytes point, Bytes message, Bytes signature) noexcept;

} // namespace caisson::protocol::evidence
