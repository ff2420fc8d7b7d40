// The Attestation Result: what the Verifier says of one node, as an EAR (draft-ietf-rats-ear) in a signed CWT
// (RFC 8392), small and bounded so that a chamber verifies it without a heap.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "protocol/cose_sign1.hpp"
#include "protocol/sgx.hpp"

#include <array>

namespace caisson::protocol {

// AR4SI tiers (draft-ietf-rats-ar4si): the status of a node and of each claim.
enum class TrustTier : std::uint8_t { none = 0, affirming = 2, warning = 32, contraindicated = 96 };

const char* trust_tier_name(TrustTier tier) noexcept; // "unknown", "trusted", "warning", "contraindicated"

struct WitnessKeyTag;
using WitnessKey = Named<32, WitnessKeyTag>; // Ed25519: a node's identity
struct CurveKeyTag;
using CurveKey = Named<32, CurveKeyTag>; // X25519: a CURVE long-term public key

inline constexpr std::size_t node_name_bytes_max = 64;
inline constexpr std::size_t curve_claims_max = 8;
inline constexpr std::size_t attestation_result_bytes_max = 2048;

// A CURVE key that lives in a chamber of the node, as its witness saw it in a local report.
struct CurveKeyClaim {
    CurveKey key;
    Digest mrenclave{};
    Digest mrsigner{};
    std::uint16_t product = 0;
    std::uint16_t svn = 0;
    bool debug = false;
    sgx::Platform platform = sgx::Platform::inproc;
    sgx::RootKind root = sgx::RootKind::file;

    friend bool operator==(const CurveKeyClaim&, const CurveKeyClaim&) = default;
};

class CborReader;
class CborWriter;

// The claim as signed documents hold it. `read` fails: truncated, malformed.
void write_curve_key_claim(CborWriter& writer, const CurveKeyClaim& claim) noexcept;
[[nodiscard]] Result<CurveKeyClaim> read_curve_key_claim(CborReader& reader) noexcept;

struct AttestationResult {
    WitnessKey node;
    std::array<char, node_name_bytes_max> name{}; // for people; zero-padded, never decides anything
    std::uint64_t issued_ms = 0;                  // Unix time of the Verifier
    std::uint64_t expires_ms = 0;
    TrustTier status = TrustTier::none;
    // AR4SI order: instance-identity, configuration, executables, file-system, hardware, runtime-opaque,
    // storage-opaque, sourced-data.
    std::array<std::int8_t, 8> vector{};
    Digest policy{}; // SHA-256 of the policy and reference values that judged
    std::array<CurveKeyClaim, curve_claims_max> keys{};
    std::size_t key_count = 0;

    [[nodiscard]] std::string_view name_text() const noexcept;
};

// Fails: exhausted.
[[nodiscard]] Result<std::size_t> write_attestation_result(MutableBytes output, const SigningKey& key,
                                                           const AttestationResult& result) noexcept;

// Authentic and well-formed; whether it is fresh is for the caller, who knows the time.
// Fails: truncated, malformed, unauthentic.
[[nodiscard]] Result<AttestationResult> verify_attestation_result(Bytes document, const VerifyingKey& key) noexcept;

} // namespace caisson::protocol
