// A secret that only this TPM gives back, and only under its policy. The secret crosses the bus encrypted, in a session
// salted to the pinned SRK.
#pragma once

#include "host/tpm/tpm.hpp"
#include "host/tpm/tpm_root.hpp"

#include <optional>

namespace caisson::host::tpm {

// As it lies in a file: useless without the TPM.
struct SealedSecret {
    std::vector<std::uint8_t> area;   // TPM2B_PUBLIC
    std::vector<std::uint8_t> secret; // TPM2B_PRIVATE
};

[[nodiscard]] Outcome<SealedSecret> seal_secret(const Tpm& tpm, ESYS_TR srk, const MachineRoot& root,
                                                const Digest& policy);

// PCRs of the SHA-256 bank, by bits.
[[nodiscard]] Outcome<std::vector<Digest>> read_pcrs(const Tpm& tpm, std::uint32_t mask);

// [TPM-10] [TPM-12] What must hold for the secret to come back: the PCRs of `mask`; where it is said, the value of the
// register; where a signer is set, his approval of the policy so far.
struct Release {
    std::uint32_t pcr_mask = 0;
    std::uint32_t register_index = 0;
    std::optional<Digest> register_value;
    struct Approval {
        std::vector<std::uint8_t> signer;    // TPMT_PUBLIC
        Digest policy{};                     // what was approved
        std::vector<std::uint8_t> signature; // TPMT_SIGNATURE
    };
    std::optional<Approval> approval;
};

// Fails: unacceptable (PCRs, register or approval), unauthentic (another TPM's, altered, a wrong signer).
[[nodiscard]] Outcome<MachineRoot> unseal_secret(const Tpm& tpm, ESYS_TR srk, const SealedSecret& sealed,
                                                 const Release& release);

// With the owner's secret instead. Requires: an Owner. Fails: forbidden (a wrong owner secret).
[[nodiscard]] Outcome<MachineRoot> unseal_as_owner(const Tpm& tpm, ESYS_TR srk, const SealedSecret& sealed);

} // namespace caisson::host::tpm
