#include "services/attestation/node_root.hpp"

#include "core/crypto/constant_time.hpp"
#include "protocol/evidence/certificate_chain.hpp"
#include "protocol/evidence/root_evidence.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::services::attestation {
namespace {

namespace evidence = protocol::evidence;
using host::Done;
using host::fault;
using host::Outcome;
using host::store::RootRecord;
using protocol::sgx::RootKind;

constexpr const char* tpm_manufacturer_id = "2.23.133.2.1"; // TCG EK Credential Profile, 3.2.9
constexpr const char* tpm_model_id = "2.23.133.2.2";
constexpr std::size_t described_letters_max = 120;

// Of a certificate somebody else made: no letter that could fool a terminal.
std::string cleaned(const std::string& text)
{
    auto clean = text.substr(0, described_letters_max);
    std::ranges::replace_if(
        clean, [](char letter) { return letter < ' ' || letter > '~' || letter == '"' || letter == '\\'; }, '?');
    return clean;
}

Done examine_certificate(const evidence::Certificate& certificate, const evidence::PublicKey& ek,
                         const std::string& authorities, std::uint64_t now_ms, RootRecord& record)
{
    const auto key = TRY(certificate.public_key());
    if (!(key == ek)) {
        return fault(Kind::unauthentic, "the EK certificate is for another key than the EK offered");
    }
    const auto manufacturer = certificate.alternative_attribute(tpm_manufacturer_id);
    const auto model = certificate.alternative_attribute(tpm_model_id);
    record.tpm = cleaned(manufacturer + " " + model + ", certified by " + certificate.issuer());
    record.simulated = model.find("swtpm") != std::string::npos;
    if (!authorities.empty()) {
        const auto trusted = TRY(evidence::CertificateAuthorities::from_pem(authorities, ""));
        record.endorsed = certificate.verify(trusted, static_cast<std::int64_t>(now_ms / 1000)).has_value();
    }
    return {};
}

std::vector<std::uint8_t> joined(std::span<const Digest> digests)
{
    std::vector<std::uint8_t> bytes;
    for (const auto& digest : digests) {
        bytes.insert(bytes.end(), digest.begin(), digest.end());
    }
    return bytes;
}

int strength(RootKind kind) noexcept
{
    return kind == RootKind::tpm || kind == RootKind::cpu ? 2 : kind == RootKind::software_tpm ? 1 : 0;
}

const char* in_words(RootKind kind) noexcept
{
    return kind == RootKind::cpu            ? "the CPU, shown by an SGX quote"
           : kind == RootKind::tpm          ? "a TPM of a known maker"
           : kind == RootKind::software_tpm ? "a TPM, simulated or of an unknown maker"
                                            : "development root, no hardware trust";
}

} // namespace

Outcome<OfferedRoot> challenge_root(const protocol::verifier_link::RootOffer& offer, const std::string& authorities,
                                    std::uint64_t now_ms)
{
    const auto ek = TRY(evidence::read_tpm_public(offer.ek_public));
    const auto ak = TRY(evidence::read_tpm_public(offer.ak_public));
    TRY(evidence::expect_attestation_key(ak));
    const auto ek_key = TRY(evidence::PublicKey::from_tpm(ek));
    OfferedRoot offered;
    offered.record.ak_public.assign(offer.ak_public.begin(), offer.ak_public.end());
    if (!offer.certificate.empty()) {
        const auto certificate = TRY(evidence::Certificate::from_der(offer.certificate));
        TRY(examine_certificate(certificate, ek_key, authorities, now_ms, offered.record));
    }
    const auto ak_name = TRY(evidence::tpm_name(ak.name_hash, offer.ak_public));
    randombytes_buf(offered.secret.data(), offered.secret.size());
    offered.credential = TRY(evidence::make_credential(ek, ak_name, offered.secret));
    return offered;
}

Outcome<RootRecord> admit_root(const OfferedRoot& offered, Bytes proof, const protocol::WitnessEvidence& witness,
                               std::uint64_t now_ms)
{
    if (proof.size() < evidence::credential_secret_bytes) {
        return fault(Kind::truncated, "the proof of a TPM root is too short");
    }
    if (!crypto::equal(proof.first(evidence::credential_secret_bytes), offered.secret)) {
        return fault(Kind::unauthentic, "the TPM did not open its credential: the attestation key is not in the TPM "
                                        "of that endorsement key");
    }
    auto record = offered.record;
    TRY(recheck_root(record, proof.subspan(evidence::credential_secret_bytes), witness, now_ms));
    return record;
}

Done recheck_root(RootRecord& record, Bytes bytes, const protocol::WitnessEvidence& witness, std::uint64_t now_ms)
{
    const auto shown = TRY(evidence::read_root_evidence(bytes));
    const auto extra = evidence::root_evidence_extra(witness.chamber, witness.witness, witness.exporter);
    TRY(evidence::verify_root_evidence(shown, record.ak_public, witness.chamber, extra));
    // Who calls his own TPM simulated is believed.
    record.simulated = record.simulated || witness.chamber.root == RootKind::software_tpm;
    record.checked_ms = now_ms;
    record.pcr_mask = shown.pcr_mask;
    record.pcrs = joined(std::span(shown.pcrs).first(shown.pcr_values));
    record.images = joined(std::span(shown.images).first(shown.image_count));
    return {};
}

RootKind proven_root(const std::optional<RootRecord>& record)
{
    if (!record) {
        return RootKind::file;
    }
    return record->endorsed && !record->simulated ? RootKind::tpm : RootKind::software_tpm;
}

std::optional<host::store::Reason> root_shortfall(RootKind demanded, RootKind proven)
{
    if (strength(proven) >= strength(demanded) && (demanded != RootKind::cpu || proven == demanded)) {
        return std::nullopt;
    }
    return host::store::Reason{"", "its root is weaker than the policy demands", in_words(demanded), in_words(proven)};
}

} // namespace caisson::services::attestation
