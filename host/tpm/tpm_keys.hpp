// The keys of a TPM root: the storage key (SRK) everything is sealed under, the endorsement key (EK) that says which
// TPM this is, and the attestation key (AK) that signs. SRK and AK are persistent; the EK is made anew from its seed.
#pragma once

#include "host/tpm/tpm.hpp"

namespace caisson::host::tpm {

inline constexpr TPM2_HANDLE srk_handle = 0x8100ca01;
inline constexpr TPM2_HANDLE ak_handle = 0x8100ca02;
inline constexpr std::size_t owner_secret_bytes = 32;

// Authorises what only the machine's owner may do, for as long as it lives.
class Owner {
  public:
    // `secret`: empty where the TPM has no owner secret.
    Owner(const Tpm& tpm, Bytes secret);
    ~Owner();
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;

  private:
    const Tpm& tpm_;
};

// An authorisation session for the owner's commands, salted to the SRK where there is one yet.
[[nodiscard]] Outcome<Loaded> owner_session(const Tpm& tpm);

// Gives the TPM this owner secret, and the same as lockout secret: without either nobody but the firmware clears it.
[[nodiscard]] Done set_owner_secret(const Tpm& tpm, Bytes secret, ESYS_TR salt);

// Requires: an Owner. Makes the SRK, or takes the one that is there.
// Fails: conflict (another object stands at that handle).
[[nodiscard]] Outcome<ESYS_TR> provide_srk(const Tpm& tpm);

// As above. The AK is a child of the EK: it dies when the TPM is cleared, so that who knows it knows it was not.
[[nodiscard]] Outcome<ESYS_TR> provide_ak(const Tpm& tpm);

// [TPM-11] The persistent key at `handle`, if its Name is `name`. Fails: missing, unauthentic (another key: another
// TPM).
[[nodiscard]] Outcome<ESYS_TR> pinned(const Tpm& tpm, TPM2_HANDLE handle, Bytes name, const char* what);

// The TPMT_PUBLIC of a persistent key.
[[nodiscard]] Outcome<std::vector<std::uint8_t>> public_area(const Tpm& tpm, ESYS_TR key);

struct Endorsement {
    std::vector<std::uint8_t> certificate; // DER, as the TPM's maker left it; empty: there is none
    std::vector<std::uint8_t> ek_public;   // TPMT_PUBLIC
};

[[nodiscard]] Outcome<Endorsement> endorsement_of(const Tpm& tpm);

// [TPM-6] Opens a credential made to the EK for the AK. Fails: unauthentic (for another TPM or key).
[[nodiscard]] Outcome<std::vector<std::uint8_t>> activate_credential(const Tpm& tpm, ESYS_TR ak, Bytes id_object,
                                                                     Bytes encrypted_secret);

} // namespace caisson::host::tpm
