#include "services/agent/root_prover.hpp"

#include "protocol/evidence/root_evidence.hpp"

#include <algorithm>

namespace caisson::services::agent {
namespace {

namespace evidence = protocol::evidence;
using host::Outcome;
using host::tpm::TpmRoot;

// Opens the TPM for each proof and lets go of it: chambers that start meanwhile need it too.
class TpmProver final : public RootProver {
  public:
    explicit TpmProver(std::filesystem::path home)
        : home_(std::move(home))
    {
    }
    Outcome<host::tpm::EndorsementOffer> offer() override
    {
        auto root = TRY(TpmRoot::open(home_));
        return root.endorsement();
    }
    Outcome<std::vector<std::uint8_t>> activate(Bytes id_object, Bytes encrypted_secret) override
    {
        auto root = TRY(TpmRoot::open(home_));
        return root.activate(id_object, encrypted_secret);
    }
    Outcome<std::vector<std::uint8_t>> evidence(const Digest& extra) override
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

  private:
    std::filesystem::path home_;
};

} // namespace

std::unique_ptr<RootProver> prover_of(const std::filesystem::path& home)
{
    return TpmRoot::is_in(home) ? std::make_unique<TpmProver>(home) : nullptr;
}

Outcome<std::vector<std::uint8_t>> root_evidence_for(RootProver* prover, Bytes witness_evidence)
{
    if (prover == nullptr) {
        return std::vector<std::uint8_t>();
    }
    const auto own = TRY(protocol::verify_evidence(witness_evidence));
    return prover->evidence(evidence::root_evidence_extra(own.chamber, own.witness, own.exporter));
}

} // namespace caisson::services::agent
