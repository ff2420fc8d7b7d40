// PublicKey: an RSA or P-256/P-384 key of somebody else that verifies what a TPM signed.
#pragma once

#include "protocol/evidence/tpm_structures.hpp"

#include <memory>
#include <string_view>

struct evp_pkey_st; // OpenSSL's

namespace caisson::protocol::evidence {

class PublicKey {
  public:
    // Each fails: malformed (no key of a kind that is known here).
    static Result<PublicKey> from_pem(std::string_view pem);
    static Result<PublicKey> from_tpm(const TpmPublic& key);

    // Fails: unauthentic.
    [[nodiscard]] Status verify(const TpmSignature& signature, Bytes message) const;

    [[nodiscard]] bool operator==(const PublicKey& other) const noexcept;

    // For the files beside this one. The key stays owned here.
    explicit PublicKey(evp_pkey_st* owned) noexcept;
    [[nodiscard]] evp_pkey_st* get() const noexcept { return key_.get(); }

  private:
    std::shared_ptr<evp_pkey_st> key_;
};

} // namespace caisson::protocol::evidence
