// What a node with a TPM root shows its server: at enrolment which TPM it has, and over each connection what that TPM
// attests about the machine. Spec: docs/spec/tpm.md, section 5.
#pragma once

#include "protocol/evidence/tpm_quote.hpp"
#include "protocol/measurement.hpp"

#include <string>

namespace caisson::protocol::evidence {

inline constexpr std::string_view root_evidence_domain = "caisson tpm evidence v1";
inline constexpr std::size_t root_evidence_bytes_max = 8192;
inline constexpr std::size_t registered_images_max = 64;

// Of the register of images (docs/spec/tpm.md, section 3): extend, AUTHREAD, AUTHWRITE, OWNERREAD, NO_DA, ORDERLY,
// CLEAR_STCLEAR, WRITTEN. Its Name says them, so that no other index can stand in its place.
inline constexpr std::uint32_t register_nv_attributes = 0x2e060044;
inline constexpr std::uint32_t register_index_first = 0x0180ca20;
inline constexpr std::uint32_t register_index_last = 0x0180cb1c;

// [TPM-14] extraData: SHA-256(domain, MRENCLAVE, MRSIGNER, product, SVN, witness key, exporter). The exporter is new
// for each connection and not the node's alone to choose: it is the nonce.
[[nodiscard]] Digest root_evidence_extra(const ChamberIdentity& chamber, const WitnessKey& witness,
                                         const Exporter& exporter);

struct RootEvidence {
    SignedAttest quote;
    std::uint32_t pcr_mask = 0;
    std::array<Digest, pcr_count> pcrs{}; // of the bits in the mask, ascending
    std::size_t pcr_values = 0;
    SignedAttest certified; // the register
    std::uint32_t register_index = 0;
    std::array<Digest, registered_images_max> images{}; // what the register was extended by
    std::size_t image_count = 0;
};

// Fails: exhausted.
[[nodiscard]] Result<std::size_t> write_root_evidence(MutableBytes output, const RootEvidence& evidence) noexcept;
// Views into `bytes`. Fails: truncated, malformed.
[[nodiscard]] Result<RootEvidence> read_root_evidence(Bytes bytes) noexcept;

// [TPM-15] Fails: as verify_tpm_quote and verify_nv_certify; unauthentic (images that the register does not hold);
// unacceptable (no attestation key, the witness's image was not started, too few PCRs).
[[nodiscard]] Status verify_root_evidence(const RootEvidence& evidence, Bytes ak_public, const ChamberIdentity& chamber,
                                          const Digest& extra);

// What an EK certificate says of its TPM, for people and to tell a software TPM.
struct EndorsedTpm {
    std::string manufacturer; // "id:49465800"
    std::string model;
    std::string issuer;
    bool software = false;
};

} // namespace caisson::protocol::evidence
