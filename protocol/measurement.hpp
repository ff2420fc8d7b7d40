// What server and witness say to each other under signature: the policy (what to measure), the result (what was found)
// and the evidence (who the witness is). No heap: a chamber writes and reads them. Spec: docs/spec/measurement.md.
//
// Policies and results are longer than a COSE_Sign1 may be here, so the signed head holds the SHA-256 of a list that
// stands beside it: a document is the CBOR array [COSE_Sign1, list], both as byte strings.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "protocol/attestation_result.hpp"
#include "protocol/cbor.hpp"
#include "protocol/cose_sign1.hpp"
#include "protocol/sgx.hpp"

#include <array>
#include <optional>
#include <span>

namespace caisson::protocol {

struct BoxKeyTag;
using BoxKey = Named<32, BoxKeyTag>; // X25519 public key that documents are encrypted to
struct ExporterTag;
using Exporter = Named<32, ExporterTag>; // of the TLS connection that carries the document
struct IterationNonceTag;
using IterationNonce = Named<32, IterationNonceTag>; // made by the server, one for each round of measuring
struct EvidenceNonceTag;
using EvidenceNonce = Named<32, EvidenceNonceTag>;

inline constexpr std::string_view exporter_label = "EXPORTER-caisson-v1";

inline constexpr std::size_t measurements_max = 2048; // of one policy, files of its trees included
inline constexpr std::size_t measured_path_bytes_max = 512;
inline constexpr std::size_t policy_items_max = 256;
inline constexpr std::size_t policy_document_bytes_max = std::size_t{64} << 10U;
inline constexpr std::size_t result_document_bytes_max = std::size_t{256} << 10U;
inline constexpr std::size_t evidence_bytes_max = 1024;
inline constexpr std::size_t box_seal_overhead_bytes = 48; // crypto_box_seal: ephemeral public key and tag

// The policy -------------------------------------------------------------------------------------------------------

enum class PolicyItemKind : std::uint8_t { tree = 0, file = 1, fact = 2 };

// `name` is an absolute path without "." and ".." for trees and files, "cmdline" or "modules" for facts.
struct PolicyItem {
    PolicyItemKind kind = PolicyItemKind::tree;
    std::string_view name;
};

inline constexpr std::string_view fact_cmdline = "cmdline";
inline constexpr std::string_view fact_modules = "modules";

struct MeasurementPolicy {
    Digest policy{}; // its id: SHA-256 of policy and reference values, known to the server alone
    IterationNonce nonce;
    WitnessKey witness; // whom it is for
};

// Signs `head` and `items`. Encrypting it to the witness (crypto_box_seal) is the caller's.
// Fails: exhausted, malformed (an item that a witness would refuse).
[[nodiscard]] Result<std::size_t> write_policy(MutableBytes output, const SigningKey& key,
                                               const MeasurementPolicy& head,
                                               std::span<const PolicyItem> items) noexcept;

// A verified list, item by item. Views into the document.
class PolicyItems {
  public:
    PolicyItems() noexcept
        : reader_({})
    {
    }
    explicit PolicyItems(CborReader reader, std::size_t left) noexcept
        : reader_(reader)
        , left_(left)
    {
    }
    [[nodiscard]] std::size_t left() const noexcept { return left_; }
    // Nothing: the end. Fails: truncated, malformed.
    [[nodiscard]] Result<std::optional<PolicyItem>> next() noexcept;

  private:
    CborReader reader_;
    std::size_t left_ = 0;
};

struct VerifiedPolicy {
    MeasurementPolicy head;
    PolicyItems items; // each was read once: `next` does not fail
};

// Fails: truncated, malformed, unauthentic.
[[nodiscard]] Result<VerifiedPolicy> verify_policy(Bytes document, const VerifyingKey& server) noexcept;

// [MEASURE-6] Absolute, no empty component, no "." or "..", no NUL, at most measured_path_bytes_max.
[[nodiscard]] bool is_measurable_path(std::string_view path) noexcept;

// The result -------------------------------------------------------------------------------------------------------

enum class MeasuredType : std::uint8_t { file = 1, directory = 2, link = 3, other = 4, fact = 5 };

// Why there is no digest. Below: Linux's errno as the host gave it.
inline constexpr std::uint32_t failure_none = 0;
inline constexpr std::uint32_t failure_too_many = 0x10000;  // a tree holds more than a witness measures
inline constexpr std::uint32_t failure_malformed = 0x10001; // the host's listing or text was not what it must be

struct Measurement {
    std::string_view path; // absolute; for a fact its name
    MeasuredType type = MeasuredType::file;
    std::uint32_t mode = 0; // permission bits, 0 for facts
    std::uint64_t size = 0; // of the bytes that the witness saw
    std::uint32_t failure = failure_none;
    Digest digest{}; // SHA-256 of file content, link target or fact; zero for directories, others and failures

    friend bool operator==(const Measurement&, const Measurement&) = default;
};

// What a chamber is, as its REPORT says.
struct ChamberIdentity {
    Digest mrenclave{};
    Digest mrsigner{};
    std::uint16_t product = 0;
    std::uint16_t svn = 0;
    bool debug = false;
    sgx::Platform platform = sgx::Platform::inproc;
    sgx::RootKind root = sgx::RootKind::file;

    friend bool operator==(const ChamberIdentity&, const ChamberIdentity&) = default;
};

// [MEASURE-14] Platform and root from the REPORT's CPUSVN.
[[nodiscard]] ChamberIdentity identity_of(const sgx::Report& report) noexcept;

// [MEASURE-13] The report_data that binds a CURVE key: SHA-256("caisson curve key v1" || key), then 32 zeros.
[[nodiscard]] sgx::ReportData curve_key_report_data(const CurveKey& key) noexcept;

struct MeasurementResult {
    Digest policy{};
    IterationNonce nonce;
    Exporter exporter;
    BoxKey policy_key;
    ChamberIdentity witness; // what the witness says it is: worth what its root is worth
    std::array<CurveKeyClaim, curve_claims_max> keys{};
    std::size_t key_count = 0;
};

// Writes the list into the place where it will stay, so that the longest result needs no second buffer: make it over
// the output, `write` each measurement, then `finish` signs and returns the document's size.
class ResultWriter {
  public:
    // Requires: measurement_count measurements will be written.
    ResultWriter(MutableBytes output, std::size_t measurement_count) noexcept;
    void write(const Measurement& measurement) noexcept;
    // Fails: exhausted.
    [[nodiscard]] Result<std::size_t> finish(const SigningKey& key, const MeasurementResult& head) noexcept;

  private:
    MutableBytes output_;
    CborWriter list_;
};

class Measurements {
  public:
    Measurements() noexcept
        : reader_({})
    {
    }
    explicit Measurements(CborReader reader, std::size_t left) noexcept
        : reader_(reader)
        , left_(left)
    {
    }
    [[nodiscard]] std::size_t left() const noexcept { return left_; }
    // Nothing: the end. Fails: truncated, malformed.
    [[nodiscard]] Result<std::optional<Measurement>> next() noexcept;

  private:
    CborReader reader_;
    std::size_t left_ = 0;
};

struct VerifiedResult {
    MeasurementResult head;
    Measurements measurements; // each was read once: `next` does not fail
};

// Authentic and well-formed; whether exporter and nonce are the right ones is for the caller.
// Fails: truncated, malformed, unauthentic.
[[nodiscard]] Result<VerifiedResult> verify_result(Bytes document, const WitnessKey& witness) noexcept;

// The evidence -----------------------------------------------------------------------------------------------------

struct WitnessEvidence {
    WitnessKey witness;
    BoxKey policy_key;        // policies for this start of the witness are encrypted to it
    Digest tls_spki_sha256{}; // of the node's TLS key: SHA-256 of its SubjectPublicKeyInfo
    Exporter exporter;
    EvidenceNonce nonce;
    ChamberIdentity chamber;

    friend bool operator==(const WitnessEvidence&, const WitnessEvidence&) = default;
};

// [MEASURE-19] The report_data with which a CPU's quote vouches for evidence: SHA-256("caisson cpu evidence v1" ||
// witness key || policy key || SPKI digest || exporter || nonce), then 32 zeros. What the chamber is, the quote says
// itself.
[[nodiscard]] sgx::ReportData evidence_report_data(const WitnessEvidence& evidence) noexcept;

// Fails: exhausted.
[[nodiscard]] Result<std::size_t> write_evidence(MutableBytes output, const SigningKey& key,
                                                 const WitnessEvidence& evidence) noexcept;

// Verified with the key that the evidence itself names: proof that its maker holds that key. Whether the key is one
// of ours is for the caller. Fails: truncated, malformed, unauthentic.
[[nodiscard]] Result<WitnessEvidence> verify_evidence(Bytes document) noexcept;

} // namespace caisson::protocol
