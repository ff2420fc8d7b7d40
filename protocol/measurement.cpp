#include "protocol/measurement.hpp"

#include "core/check.hpp"
#include "core/wire.hpp"

#include <sodium.h>

namespace caisson::protocol {
namespace {

constexpr std::string_view policy_domain = "caisson policy v1";
constexpr std::string_view result_domain = "caisson measurement result v1";
constexpr std::string_view evidence_domain = "caisson evidence v1";
constexpr std::string_view curve_key_domain = "caisson curve key v1";
constexpr std::string_view cpu_evidence_domain = "caisson cpu evidence v1";

constexpr std::size_t head_payload_bytes_max = 2048;
constexpr std::size_t head_bytes_max = head_payload_bytes_max + cose_overhead_bytes;
// Array head, head of the first byte string, the signed head, head of the second byte string.
constexpr std::size_t list_offset = 1 + 3 + head_bytes_max + 5;

constexpr std::uint32_t permission_bits = 07777;
constexpr std::uint32_t errno_max = 4095;

Digest sha256(Bytes bytes) noexcept
{
    Digest digest;
    crypto_hash_sha256(digest.data(), bytes.data(), bytes.size());
    return digest;
}

MutableBytes list_part(MutableBytes output) noexcept
{
    return output.size() > list_offset ? output.subspan(list_offset) : MutableBytes{};
}

// `list` lies in `output` at list_offset, and moves to the place behind the signed head.
Result<std::size_t> write_document(MutableBytes output, Bytes list, Bytes signed_head) noexcept
{
    ByteArray<list_offset> front;
    CborWriter writer(front);
    writer.begin_array(2);
    writer.write_bytes(signed_head);
    writer.begin_bytes(list.size()); // the bytes are in the output already
    const auto front_size = TRY(writer.finish());
    CHECK(front_size <= list_offset);
    copy_bytes(output.subspan(front_size), list); // moves down; the two may overlap
    copy_bytes(output, writer.written());
    return front_size + list.size();
}

struct Document {
    Bytes payload; // verified
    Bytes list;    // to be compared with the payload's digest
};

// [MEASURE-1]
Result<Document> verify_document(Bytes document, const VerifyingKey& key, std::string_view domain,
                                 std::size_t document_bytes_max) noexcept
{
    if (document.size() > document_bytes_max) {
        return fail(Kind::malformed, "a signed list is too long");
    }
    CborReader reader(document);
    TRY(reader.expect_array(2));
    const auto signed_head = TRY(reader.read_bytes(head_bytes_max));
    const auto list = TRY(reader.read_bytes(document_bytes_max));
    TRY(reader.finish());
    return Document{TRY(verify_cose_sign1(signed_head, key, domain)), list};
}

Status check_list(const Digest& expected, Bytes list) noexcept
{
    if (expected != sha256(list)) {
        return fail(Kind::unauthentic, "a list is not the one that was signed");
    }
    return {};
}

template <typename Enumeration>
Result<Enumeration> read_enumeration(CborReader& reader, Enumeration first, Enumeration last) noexcept
{
    const auto value = TRY(reader.read_uint());
    if (value < static_cast<std::uint64_t>(first) || value > static_cast<std::uint64_t>(last)) {
        return fail(Kind::malformed, "a signed document holds an unknown value");
    }
    return static_cast<Enumeration>(value);
}

Result<std::uint64_t> read_bounded(CborReader& reader, std::uint64_t value_max) noexcept
{
    const auto value = TRY(reader.read_uint());
    if (value > value_max) {
        return fail(Kind::malformed, "a signed document holds a number out of range");
    }
    return value;
}

// Fills `field` from the entry `key` of a map.
Status read_field(CborReader& reader, std::uint64_t key, ByteArray<32>& field) noexcept
{
    TRY(reader.expect_key(key));
    field = TRY(reader.read_array_of_bytes<32>());
    return {};
}

void write_field(CborWriter& writer, std::uint64_t key, const ByteArray<32>& field) noexcept
{
    writer.write_uint(key);
    writer.write_bytes(field);
}

bool is_fact(std::string_view name) noexcept
{
    return name == fact_cmdline || name == fact_modules;
}

bool is_policy_item(const PolicyItem& item) noexcept
{
    return item.kind == PolicyItemKind::fact ? is_fact(item.name) : is_measurable_path(item.name);
}

void write_chamber_identity(CborWriter& writer, const ChamberIdentity& identity) noexcept
{
    writer.begin_array(7);
    writer.write_bytes(identity.mrenclave);
    writer.write_bytes(identity.mrsigner);
    writer.write_uint(identity.product);
    writer.write_uint(identity.svn);
    writer.write_bool(identity.debug);
    writer.write_uint(static_cast<std::uint64_t>(identity.platform));
    writer.write_uint(static_cast<std::uint64_t>(identity.root));
}

Result<ChamberIdentity> read_chamber_identity(CborReader& reader) noexcept
{
    ChamberIdentity identity;
    TRY(reader.expect_array(7));
    identity.mrenclave = TRY(reader.read_array_of_bytes<sizeof(Digest)>());
    identity.mrsigner = TRY(reader.read_array_of_bytes<sizeof(Digest)>());
    identity.product = static_cast<std::uint16_t>(TRY(read_bounded(reader, UINT16_MAX)));
    identity.svn = static_cast<std::uint16_t>(TRY(read_bounded(reader, UINT16_MAX)));
    identity.debug = TRY(reader.read_bool());
    identity.platform = TRY(read_enumeration(reader, sgx::Platform::inproc, sgx::Platform::sgx));
    identity.root = TRY(read_enumeration(reader, sgx::RootKind::file, sgx::RootKind::software_tpm));
    return identity;
}

// [MEASURE-10] A digest is there exactly when something was hashed.
bool has_digest(const Measurement& measurement) noexcept
{
    return measurement.failure == failure_none && measurement.type != MeasuredType::directory &&
           measurement.type != MeasuredType::other;
}

} // namespace

bool is_measurable_path(std::string_view path) noexcept
{
    if (path.size() < 2 || path.size() > measured_path_bytes_max || path.front() != '/') {
        return false;
    }
    auto rest = path.substr(1);
    while (true) {
        const auto end = rest.find('/');
        const auto component = rest.substr(0, end);
        if (component.empty() || component == "." || component == ".." ||
            component.find('\0') != std::string_view::npos) {
            return false;
        }
        if (end == std::string_view::npos) {
            return true;
        }
        rest.remove_prefix(end + 1);
    }
}

// The policy

Result<std::size_t> write_policy(MutableBytes output, const SigningKey& key, const MeasurementPolicy& head,
                                 std::span<const PolicyItem> items) noexcept
{
    if (items.size() > policy_items_max) {
        return fail(Kind::exhausted, "a policy has too many items");
    }
    CborWriter list(list_part(output));
    list.begin_array(items.size());
    for (const auto& item : items) {
        if (!is_policy_item(item)) {
            return fail(Kind::malformed, "a policy item is no measurable path and no known fact");
        }
        list.begin_array(2);
        list.write_uint(static_cast<std::uint64_t>(item.kind));
        list.write_bytes(bytes_of(item.name));
    }
    TRY(list.finish());

    ByteArray<head_payload_bytes_max> payload;
    CborWriter writer(payload);
    writer.begin_map(4);
    write_field(writer, 1, head.policy);
    write_field(writer, 2, head.nonce.bytes);
    write_field(writer, 3, head.witness.bytes);
    write_field(writer, 4, sha256(list.written()));
    const auto payload_size = TRY(writer.finish());
    ByteArray<head_bytes_max> signed_head;
    const auto size = TRY(write_cose_sign1(signed_head, key, policy_domain, Bytes(payload).first(payload_size)));
    const auto document_size = TRY(write_document(output, list.written(), Bytes(signed_head).first(size)));
    if (document_size > policy_document_bytes_max) {
        return fail(Kind::exhausted, "a policy is too long for a witness");
    }
    return document_size;
}

Result<std::optional<PolicyItem>> PolicyItems::next() noexcept
{
    if (left_ == 0) {
        return std::optional<PolicyItem>{};
    }
    PolicyItem item;
    TRY(reader_.expect_array(2));
    item.kind = TRY(read_enumeration(reader_, PolicyItemKind::tree, PolicyItemKind::fact));
    item.name = text_of(TRY(reader_.read_bytes(measured_path_bytes_max)));
    // [MEASURE-6]
    if (!is_policy_item(item)) {
        return fail(Kind::malformed, "a policy item is no measurable path and no known fact");
    }
    --left_;
    if (left_ == 0) {
        TRY(reader_.finish());
    }
    return std::optional<PolicyItem>{item};
}

Result<VerifiedPolicy> verify_policy(Bytes document, const VerifyingKey& server) noexcept
{
    const auto parts = TRY(verify_document(document, server, policy_domain, policy_document_bytes_max));
    VerifiedPolicy policy;
    Digest list_digest;
    CborReader reader(parts.payload);
    TRY(reader.expect_map(4));
    TRY(read_field(reader, 1, policy.head.policy));
    TRY(read_field(reader, 2, policy.head.nonce.bytes));
    TRY(read_field(reader, 3, policy.head.witness.bytes));
    TRY(read_field(reader, 4, list_digest));
    TRY(reader.finish());
    TRY(check_list(list_digest, parts.list));

    CborReader list(parts.list);
    const auto count = TRY(list.begin_array(policy_items_max));
    if (count == 0) {
        TRY(list.finish());
    }
    policy.items = PolicyItems(list, count);
    for (auto items = policy.items; items.left() != 0;) {
        TRY(items.next());
    }
    return policy;
}

// The result

ChamberIdentity identity_of(const sgx::Report& report) noexcept
{
    ChamberIdentity identity;
    identity.mrenclave = report.mrenclave;
    identity.mrsigner = report.mrsigner;
    identity.product = report.isv_prod_id;
    identity.svn = report.isv_svn;
    identity.debug = (report.attributes.flags & sgx::ATTRIBUTES_DEBUG) != 0;
    identity.platform = sgx::Platform::sgx;
    identity.root = sgx::RootKind::cpu;
    constexpr std::size_t platform_index = sgx::emulated_cpusvn_prefix.size();
    constexpr std::size_t root_index = platform_index + 1;
    // [MEASURE-14] What calls itself emulated but says nothing known is taken for the weakest.
    if (same_bytes(Bytes(report.cpusvn).first(sgx::emulated_cpusvn_prefix.size()), sgx::emulated_cpusvn_prefix)) {
        const auto platform = report.cpusvn[platform_index];
        const auto root = report.cpusvn[root_index];
        identity.platform = platform == static_cast<std::uint8_t>(sgx::Platform::process) ? sgx::Platform::process
                                                                                          : sgx::Platform::inproc;
        identity.root = sgx::RootKind::file;
        for (const auto known : {sgx::RootKind::tpm, sgx::RootKind::software_tpm}) {
            identity.root = root == static_cast<std::uint8_t>(known) ? known : identity.root;
        }
    }
    return identity;
}

sgx::ReportData curve_key_report_data(const CurveKey& key) noexcept
{
    ByteArray<curve_key_domain.size() + CurveKey::size> message;
    copy_bytes(message, bytes_of(curve_key_domain));
    copy_bytes(MutableBytes(message).subspan(curve_key_domain.size()), key.bytes);
    sgx::ReportData data{};
    copy_bytes(data, sha256(message));
    return data;
}

sgx::ReportData evidence_report_data(const WitnessEvidence& evidence) noexcept
{
    ByteArray<cpu_evidence_domain.size() + WitnessKey::size + BoxKey::size + sizeof(Digest) + Exporter::size +
              EvidenceNonce::size>
        message;
    Writer writer(message);
    writer.write_bytes(bytes_of(cpu_evidence_domain));
    writer.write_bytes(evidence.witness.bytes);
    writer.write_bytes(evidence.policy_key.bytes);
    writer.write_bytes(evidence.tls_spki_sha256);
    writer.write_bytes(evidence.exporter.bytes);
    writer.write_bytes(evidence.nonce.bytes);
    sgx::ReportData data{};
    copy_bytes(data, sha256(message));
    return data;
}

ResultWriter::ResultWriter(MutableBytes output, std::size_t measurement_count) noexcept
    : output_(output)
    , list_(list_part(output))
{
    list_.begin_array(measurement_count);
}

void ResultWriter::write(const Measurement& measurement) noexcept
{
    list_.begin_array(6);
    list_.write_bytes(bytes_of(measurement.path));
    list_.write_uint(static_cast<std::uint64_t>(measurement.type));
    list_.write_uint(measurement.mode);
    list_.write_uint(measurement.size);
    list_.write_uint(measurement.failure);
    list_.write_bytes(has_digest(measurement) ? Bytes(measurement.digest) : Bytes{});
}

Result<std::size_t> ResultWriter::finish(const SigningKey& key, const MeasurementResult& head) noexcept
{
    CHECK(head.key_count <= curve_claims_max);
    TRY(list_.finish());
    ByteArray<head_payload_bytes_max> payload;
    CborWriter writer(payload);
    writer.begin_map(7);
    write_field(writer, 1, head.policy);
    write_field(writer, 2, head.nonce.bytes);
    write_field(writer, 3, head.exporter.bytes);
    write_field(writer, 4, head.policy_key.bytes);
    writer.write_uint(5);
    write_chamber_identity(writer, head.witness);
    writer.write_uint(6);
    writer.begin_array(head.key_count);
    for (std::size_t index = 0; index < head.key_count; ++index) {
        write_curve_key_claim(writer, head.keys[index]);
    }
    write_field(writer, 7, sha256(list_.written()));
    const auto payload_size = TRY(writer.finish());
    ByteArray<head_bytes_max> signed_head;
    const auto size = TRY(write_cose_sign1(signed_head, key, result_domain, Bytes(payload).first(payload_size)));
    return write_document(output_, list_.written(), Bytes(signed_head).first(size));
}

Result<std::optional<Measurement>> Measurements::next() noexcept
{
    if (left_ == 0) {
        return std::optional<Measurement>{};
    }
    Measurement measurement;
    TRY(reader_.expect_array(6));
    measurement.path = text_of(TRY(reader_.read_bytes(measured_path_bytes_max)));
    measurement.type = TRY(read_enumeration(reader_, MeasuredType::file, MeasuredType::fact));
    measurement.mode = static_cast<std::uint32_t>(TRY(read_bounded(reader_, permission_bits)));
    measurement.size = TRY(reader_.read_uint());
    measurement.failure = static_cast<std::uint32_t>(TRY(read_bounded(reader_, failure_malformed)));
    const auto digest = TRY(reader_.read_bytes(sizeof(Digest)));
    const bool path_fits =
        measurement.type == MeasuredType::fact ? is_fact(measurement.path) : is_measurable_path(measurement.path);
    const bool failure_fits = measurement.failure <= errno_max || measurement.failure >= failure_too_many;
    if (!path_fits || !failure_fits || digest.size() != (has_digest(measurement) ? sizeof(Digest) : 0)) {
        return fail(Kind::malformed, "a measurement contradicts itself");
    }
    copy_bytes(measurement.digest, digest);
    --left_;
    if (left_ == 0) {
        TRY(reader_.finish());
    }
    return std::optional<Measurement>{measurement};
}

namespace {

Result<MeasurementResult> read_result_head(Bytes payload, Digest& list_digest) noexcept
{
    MeasurementResult head;
    CborReader reader(payload);
    TRY(reader.expect_map(7));
    TRY(read_field(reader, 1, head.policy));
    TRY(read_field(reader, 2, head.nonce.bytes));
    TRY(read_field(reader, 3, head.exporter.bytes));
    TRY(read_field(reader, 4, head.policy_key.bytes));
    TRY(reader.expect_key(5));
    head.witness = TRY(read_chamber_identity(reader));
    TRY(reader.expect_key(6));
    head.key_count = TRY(reader.begin_array(curve_claims_max));
    for (std::size_t index = 0; index < head.key_count; ++index) {
        head.keys[index] = TRY(read_curve_key_claim(reader));
    }
    TRY(read_field(reader, 7, list_digest));
    TRY(reader.finish());
    return head;
}

} // namespace

Result<VerifiedResult> verify_result(Bytes document, const WitnessKey& witness) noexcept
{
    const VerifyingKey key{witness.bytes};
    const auto parts = TRY(verify_document(document, key, result_domain, result_document_bytes_max));
    VerifiedResult result;
    Digest list_digest;
    result.head = TRY(read_result_head(parts.payload, list_digest));
    TRY(check_list(list_digest, parts.list));

    CborReader list(parts.list);
    const auto count = TRY(list.begin_array(measurements_max));
    if (count == 0) {
        TRY(list.finish());
    }
    result.measurements = Measurements(list, count);
    for (auto measurements = result.measurements; measurements.left() != 0;) {
        TRY(measurements.next());
    }
    return result;
}

// The evidence

Result<std::size_t> write_evidence(MutableBytes output, const SigningKey& key, const WitnessEvidence& evidence) noexcept
{
    ByteArray<evidence_bytes_max> payload;
    CborWriter writer(payload);
    writer.begin_map(6);
    write_field(writer, 1, evidence.witness.bytes);
    write_field(writer, 2, evidence.policy_key.bytes);
    write_field(writer, 3, evidence.tls_spki_sha256);
    write_field(writer, 4, evidence.exporter.bytes);
    write_field(writer, 5, evidence.nonce.bytes);
    writer.write_uint(6);
    write_chamber_identity(writer, evidence.chamber);
    const auto size = TRY(writer.finish());
    return write_cose_sign1(output, key, evidence_domain, Bytes(payload).first(size));
}

namespace {

Result<WitnessEvidence> read_evidence(Bytes payload) noexcept
{
    WitnessEvidence evidence;
    CborReader reader(payload);
    TRY(reader.expect_map(6));
    TRY(read_field(reader, 1, evidence.witness.bytes));
    TRY(read_field(reader, 2, evidence.policy_key.bytes));
    TRY(read_field(reader, 3, evidence.tls_spki_sha256));
    TRY(read_field(reader, 4, evidence.exporter.bytes));
    TRY(read_field(reader, 5, evidence.nonce.bytes));
    TRY(reader.expect_key(6));
    evidence.chamber = TRY(read_chamber_identity(reader));
    TRY(reader.finish());
    return evidence;
}

} // namespace

Result<WitnessEvidence> verify_evidence(Bytes document) noexcept
{
    // [MEASURE-2] The key to verify with stands in the payload: read it, verify, and only then believe the rest.
    CborReader reader(document);
    TRY(reader.expect_tag(18));
    TRY(reader.expect_array(4));
    TRY(reader.read_bytes(evidence_bytes_max));
    TRY(reader.expect_map(0));
    const auto claimed_payload = TRY(reader.read_bytes(evidence_bytes_max));
    const auto claimed = TRY(read_evidence(claimed_payload));
    const VerifyingKey key{claimed.witness.bytes};
    const auto payload = TRY(verify_cose_sign1(document, key, evidence_domain));
    return read_evidence(payload);
}

} // namespace caisson::protocol
