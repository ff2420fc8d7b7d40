// MakeCredential without a TPM: a secret that only the TPM with this endorsement key (EK) can read, and only while it
// holds the key named. Spec: docs/spec/tpm.md, section 3; TPM 2.0 Library, part 1, chapter 24.
#pragma once

#include "protocol/evidence/tpm_structures.hpp"

namespace caisson::protocol::evidence {

inline constexpr std::size_t credential_secret_bytes = 32;
using CredentialSecret = ByteArray<credential_secret_bytes>;

struct Credential {
    std::vector<std::uint8_t> id_object;        // the content of a TPM2B_ID_OBJECT
    std::vector<std::uint8_t> encrypted_secret; // the content of a TPM2B_ENCRYPTED_SECRET
};

// [TPM-6] Fails: unacceptable (`ek` is no storage key that decrypts in its TPM alone), malformed, unavailable.
[[nodiscard]] Result<Credential> make_credential(const TpmPublic& ek, Bytes ak_name, const CredentialSecret& secret);

} // namespace caisson::protocol::evidence
