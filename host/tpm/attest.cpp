#include "host/tpm/attest.hpp"

#include "core/wire.hpp"
#include "host/tpm/sealed_secret.hpp"
#include "protocol/evidence/root_evidence.hpp"
#include "protocol/evidence/tpm_policy.hpp"

namespace caisson::host::tpm {
namespace {

namespace evidence = protocol::evidence;

constexpr int tries = 3;

static_assert((register_attributes | TPMA_NV_WRITTEN) == evidence::register_nv_attributes);
static_assert(slot_first == evidence::register_index_first);
static_assert(slot_first + (slots_count - 1) * slot_indices == evidence::register_index_last);

Done quote(const Tpm& tpm, ESYS_TR ak, const Digest& extra, Attestation& attestation)
{
    TPML_PCR_SELECTION selection{};
    selection.count = 1;
    selection.pcrSelections[0].hash = TPM2_ALG_SHA256;
    selection.pcrSelections[0].sizeofSelect = 3;
    for (std::size_t index = 0; index < 3; ++index) {
        selection.pcrSelections[0].pcrSelect[index] = static_cast<std::uint8_t>(attestation.pcr_mask >> (8 * index));
    }
    const auto data = sized<TPM2B_DATA>(extra);
    TPMT_SIG_SCHEME scheme{};
    scheme.scheme = TPM2_ALG_NULL;
    Owned<TPM2B_ATTEST> attest;
    Owned<TPMT_SIGNATURE> signature;
    const auto code = Esys_Quote(tpm.esys(), ak, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &data, &scheme,
                                 &selection, out(attest), out(signature));
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("quoting the PCRs", code);
    }
    attestation.quote.assign(attest->attestationData, attest->attestationData + attest->size);
    attestation.quote_signature = marshalled(*signature);
    return {};
}

Done certify(const Tpm& tpm, ESYS_TR ak, Slot slot, const Digest& extra, Attestation& attestation)
{
    const std::string doing = "certifying the register of images";
    auto index = TRY(tpm.object(slot.image_register(), doing));
    const auto data = sized<TPM2B_DATA>(extra);
    TPMT_SIG_SCHEME scheme{};
    scheme.scheme = TPM2_ALG_NULL;
    Owned<TPM2B_ATTEST> attest;
    Owned<TPMT_SIGNATURE> signature;
    const auto code = Esys_NV_Certify(tpm.esys(), ak, index, index, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                      &data, &scheme, sizeof(Digest), 0, out(attest), out(signature));
    Esys_TR_Close(tpm.esys(), &index);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    attestation.certified.assign(attest->attestationData, attest->attestationData + attest->size);
    attestation.certified_signature = marshalled(*signature);
    return {};
}

} // namespace

Outcome<Attestation> attest_state(const Tpm& tpm, ESYS_TR ak, Slot slot, std::uint32_t pcr_mask, const Digest& extra)
{
    Attestation attestation;
    attestation.pcr_mask = pcr_mask;
    attestation.register_index = slot.image_register();
    for (int attempt = 0; attempt < tries; ++attempt) {
        attestation.pcrs = TRY(read_pcrs(tpm, pcr_mask));
        TRY(quote(tpm, ak, extra, attestation));
        const auto quoted = TRY(evidence::read_tpm_attest(attestation.quote, evidence::TPM_ST_ATTEST_QUOTE));
        if (same_bytes(quoted.pcr_digest, evidence::pcr_digest_of(attestation.pcrs))) {
            TRY(certify(tpm, ak, slot, extra, attestation));
            return attestation;
        }
    }
    return fault(Kind::conflict, "quoting the PCRs: they change faster than they can be quoted; try again");
}

} // namespace caisson::host::tpm
