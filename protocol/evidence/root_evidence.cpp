#include "protocol/evidence/root_evidence.hpp"

#include "core/wire.hpp"

#include <openssl/sha.h>

#include <algorithm>

namespace caisson::protocol::evidence {
namespace {

constexpr std::size_t fields = 9;
constexpr std::uint32_t pcr_mask_min = 1U << 0U | 1U << 2U | 1U << 4U | 1U << 7U; // what booted

Digest register_after(std::span<const Digest> images)
{
    Digest value{};
    for (const auto& image : images) {
        ByteArray<2 * sizeof(Digest)> both;
        copy_bytes(both, value);
        copy_bytes(MutableBytes(both).subspan(sizeof(Digest)), image);
        SHA256(both.data(), both.size(), value.data());
    }
    return value;
}

void write_digests(CborWriter& writer, std::span<const Digest> digests) noexcept
{
    writer.begin_array(digests.size());
    for (const auto& digest : digests) {
        writer.write_bytes(digest);
    }
}

Result<std::size_t> read_digests(CborReader& reader, std::span<Digest> out) noexcept
{
    const auto count = TRY(reader.begin_array(out.size()));
    for (std::size_t index = 0; index < count; ++index) {
        out[index] = TRY(reader.read_array_of_bytes<sizeof(Digest)>());
    }
    return count;
}

} // namespace

Digest root_evidence_extra(const ChamberIdentity& chamber, const WitnessKey& witness, const Exporter& exporter)
{
    ByteArray<root_evidence_domain.size() + 2 * sizeof(Digest) + 4 + WitnessKey::size + Exporter::size> message{};
    Writer writer(message);
    writer.write_bytes(bytes_of(root_evidence_domain));
    writer.write_bytes(chamber.mrenclave);
    writer.write_bytes(chamber.mrsigner);
    writer.write_be(chamber.product);
    writer.write_be(chamber.svn);
    writer.write_bytes(witness.bytes);
    writer.write_bytes(exporter.bytes);
    Digest extra{};
    SHA256(message.data(), message.size(), extra.data());
    return extra;
}

Result<std::size_t> write_root_evidence(MutableBytes output, const RootEvidence& evidence) noexcept
{
    CborWriter writer(output);
    writer.begin_array(fields);
    writer.write_bytes(evidence.quote.attest);
    writer.write_bytes(evidence.quote.signature);
    writer.write_uint(evidence.pcr_mask);
    write_digests(writer, std::span(evidence.pcrs).first(evidence.pcr_values));
    writer.write_bytes(evidence.certified.attest);
    writer.write_bytes(evidence.certified.signature);
    writer.write_uint(evidence.register_index);
    write_digests(writer, std::span(evidence.images).first(evidence.image_count));
    writer.write_uint(1); // version
    return writer.finish();
}

Result<RootEvidence> read_root_evidence(Bytes bytes) noexcept
{
    CborReader reader(bytes);
    if (TRY(reader.begin_array(fields)) != fields) {
        return fail(Kind::malformed, "root evidence has the wrong number of fields");
    }
    RootEvidence evidence;
    evidence.quote.attest = TRY(reader.read_bytes(tpm_structure_bytes_max));
    evidence.quote.signature = TRY(reader.read_bytes(tpm_structure_bytes_max));
    const auto mask = TRY(reader.read_uint());
    evidence.pcr_values = TRY(read_digests(reader, evidence.pcrs));
    evidence.certified.attest = TRY(reader.read_bytes(tpm_structure_bytes_max));
    evidence.certified.signature = TRY(reader.read_bytes(tpm_structure_bytes_max));
    const auto index = TRY(reader.read_uint());
    evidence.image_count = TRY(read_digests(reader, evidence.images));
    const auto version = TRY(reader.read_uint());
    TRY(reader.finish());
    if (mask >= 1U << pcr_count || index < register_index_first || index > register_index_last || version != 1 ||
        static_cast<std::size_t>(std::popcount(static_cast<std::uint32_t>(mask))) != evidence.pcr_values) {
        return fail(Kind::malformed, "root evidence has a field out of range");
    }
    evidence.pcr_mask = static_cast<std::uint32_t>(mask);
    evidence.register_index = static_cast<std::uint32_t>(index);
    return evidence;
}

Status verify_root_evidence(const RootEvidence& evidence, Bytes ak_public, const ChamberIdentity& chamber,
                            const Digest& extra)
{
    const auto ak = TRY(read_tpm_public(ak_public));
    TRY(expect_attestation_key(ak));
    const auto key = TRY(PublicKey::from_tpm(ak));
    std::array<PcrValue, pcr_count> values{};
    std::size_t count = 0;
    for (std::uint8_t pcr = 0; pcr < pcr_count; ++pcr) {
        if ((evidence.pcr_mask >> pcr & 1U) != 0) {
            values[count] = {TPM_ALG_SHA256, pcr, evidence.pcrs[count]};
            ++count;
        }
    }
    QuoteDemands demands;
    demands.nonce = extra;
    demands.required.banks[0] = {TPM_ALG_SHA256, evidence.pcr_mask | pcr_mask_min};
    demands.required.count = 1;
    demands.values = std::span(values).first(count);
    TRY(verify_tpm_quote(evidence.quote, key, demands));
    const auto name = nv_name({evidence.register_index, register_nv_attributes, sizeof(Digest)});
    const auto content = TRY(verify_nv_certify(evidence.certified, key, extra, name));
    const auto images = std::span(evidence.images).first(evidence.image_count);
    if (!same_bytes(content, register_after(images))) {
        return fail(Kind::unauthentic, "tpm: register: it was extended by other images than the node says");
    }
    if (std::ranges::find(images, chamber.mrenclave) == images.end()) {
        return fail(Kind::unacceptable, "tpm: register: the witness's image is not among those that were started");
    }
    return {};
}

} // namespace caisson::protocol::evidence
