// What the AK signs: the PCRs, and the register of images.
#pragma once

#include "host/tpm/nv.hpp"
#include "host/tpm/tpm_root.hpp"

namespace caisson::host::tpm {

// [TPM-9] Quote and NV_Certify over `extra`. Fails: exhausted (the TPM is in lockout: the AK is protected by it),
// conflict (the PCRs change faster than they can be quoted).
[[nodiscard]] Outcome<Attestation> attest_state(const Tpm& tpm, ESYS_TR ak, Slot slot, std::uint32_t pcr_mask,
                                                const Digest& extra);

} // namespace caisson::host::tpm
