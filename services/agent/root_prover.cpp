#include "services/agent/root_prover.hpp"

#include "protocol/evidence/root_evidence.hpp"

#include <algorithm>

namespace caisson::services::agent {

namespace evidence = protocol::evidence;
using host::Outcome;
using host::tpm::TpmRoot;
using Buffer = std::vector<std::uint8_t>;

// Opens the TPM for each proof and lets go of it: chambers that start meanwhile need it too.
Outcome<host::tpm::EndorsementOffer> TpmProver::offer()
{
    auto root = TRY(TpmRoot::open(home_));
    return root.endorsement();
}

Outcome<Buffer> TpmProver::activate(Bytes id_object, Bytes encrypted_secret)
{
    auto root = TRY(TpmRoot::open(home_));
    return root.activate(id_object, encrypted_secret);
}

Outcome<Buffer> TpmProver::evidence(const Digest& extra)
{
    auto root = TRY(TpmRoot::open(home_));
    const auto images = TRY(root.register_images({}));
    const auto attested = TRY(root.attest(extra));
    evidence::RootEvidence shown;
    if (images.size() > shown.images.size()) {
        return host::fault(Kind::exhausted, "TPM root: more than 64 images were started since the TPM was; restart "
                                            "the machine");
    }
    shown.quote = {attested.quote, attested.quote_signature};
    shown.pcr_mask = attested.pcr_mask;
    shown.pcr_values = attested.pcrs.size();
    std::ranges::copy(attested.pcrs, shown.pcrs.begin());
    shown.certified = {attested.certified, attested.certified_signature};
    shown.register_index = attested.register_index;
    shown.image_count = images.size();
    std::ranges::copy(images, shown.images.begin());
    std::vector<std::uint8_t> bytes(evidence::root_evidence_bytes_max);
    bytes.resize(TRY(evidence::write_root_evidence(bytes, shown)));
    return bytes;
}

Outcome<Buffer> TpmProver::proof(host::enclave::WitnessChamber& /*witness*/, const protocol::WitnessEvidence& own)
{
    return evidence(evidence::root_evidence_extra(own.chamber, own.witness, own.exporter));
}

Outcome<Buffer> QuoteProver::proof(host::enclave::WitnessChamber& witness, const protocol::WitnessEvidence& own)
{
    const auto target = TRY(service_.target());
    const auto report = TRY(witness.quote_report(target, own.tls_spki_sha256, own.exporter, own.nonce));
    return service_.quote(report);
}

std::unique_ptr<TpmProver> prover_of(const std::filesystem::path& home)
{
    return TpmRoot::is_in(home) ? std::make_unique<TpmProver>(home) : nullptr;
}

Outcome<Buffer> proof_for(RootProver* prover, host::enclave::WitnessChamber& witness, Bytes witness_evidence)
{
    if (prover == nullptr) {
        return Buffer();
    }
    return prover->proof(witness, TRY(protocol::verify_evidence(witness_evidence)));
}

} // namespace caisson::services::agent
