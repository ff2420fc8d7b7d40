// The verifier link: what agents and the attestation server say to each other inside mutual TLS 1.3.
// A frame is a u32 big-endian length, then a CBOR array [type, request id, fields...]. No heap; views into the frame.
// Spec: docs/spec/measurement.md, section 4.
#pragma once

#include "protocol/attestation_result.hpp"
#include "protocol/cbor.hpp"
#include "protocol/time_token.hpp"

#include <array>
#include <variant>

namespace caisson::protocol::verifier_link {

inline constexpr std::size_t frame_head_bytes = 4;
inline constexpr std::size_t frame_bytes_max = std::size_t{8} << 20U;
inline constexpr std::size_t token_bytes = 32;
inline constexpr std::size_t document_bytes_max = std::size_t{4} << 20U; // a sealed policy or result
inline constexpr std::size_t csr_bytes_max = 8192;
inline constexpr std::size_t certificate_text_bytes_max = 65536;
inline constexpr std::size_t evidence_field_bytes_max = 8192;
inline constexpr std::size_t root_field_bytes_max = 65536; // a CPU's quote, or root evidence of a TPM and a secret
inline constexpr std::size_t tpm_field_bytes_max = 4096;
inline constexpr std::size_t keys_max = 64;    // of one Time
inline constexpr std::size_t reasons_max = 64; // of one Verdict
inline constexpr std::size_t text_bytes_max = 1024;

// From the agent.

// The only thing that is permitted without a client certificate.
struct Enrol {
    ByteArray<token_bytes> token{};
    std::string_view name;
    Bytes csr; // DER
    Bytes evidence;
    Bytes root; // on SGX a quote; with a TPM root, after RootOffer: RootProof; else empty
};

// With a TPM root, before Enrol: which TPM that is.
struct RootOffer {
    Bytes certificate; // of the EK, DER; empty: the TPM has none
    Bytes ek_public;   // TPMT_PUBLIC
    Bytes ak_public;   // TPMT_PUBLIC
};

struct Hello {
    Bytes evidence; // over this connection's exporter
    Bytes root;     // on SGX a quote; with a TPM root: root evidence over it as well; else empty
};

struct PolicyRequest {};

struct Result {
    Bytes sealed;
};

struct Time {
    TimeNonce nonce;
    std::array<CurveKey, keys_max> keys{}; // whose nodes' Attestation Results are wanted
    std::size_t key_count = 0;
};

// From the server.

struct Enrolled {
    std::string_view certificate; // PEM
};

// A secret that only the TPM of that EK can open, and only while it holds that AK.
struct RootChallenge {
    Bytes id_object;
    Bytes encrypted_secret;
};

struct Welcome {
    std::string_view node;
    std::uint64_t interval_ms = 0;
    std::uint64_t hold_ms = 0;
};

struct Policy {
    Bytes sealed;
};

struct Verdict {
    TrustTier tier = TrustTier::none;
    std::array<std::string_view, reasons_max> reasons{};
    std::size_t reason_count = 0;
    std::uint64_t next_in_ms = 0;
};

struct TimeAnswer {
    Bytes token;
    std::array<Bytes, keys_max> results{};
    std::size_t result_count = 0;
};

struct Refused {
    Kind kind = Kind::unavailable;
    std::string_view text;
};

using Message = std::variant<Enrol, Hello, PolicyRequest, Result, Time, RootOffer, Enrolled, Welcome, Policy, Verdict,
                             TimeAnswer, RootChallenge, Refused>;

struct Frame {
    std::uint64_t request = 0; // an answer repeats the request's id
    Message message;
};

// Length and body. Fails: exhausted.
[[nodiscard]] caisson::Result<std::size_t> write_frame(MutableBytes output, const Frame& frame) noexcept;

// The size of the body that follows. Fails: malformed (0 or over frame_bytes_max).
[[nodiscard]] caisson::Result<std::size_t> read_frame_head(const ByteArray<frame_head_bytes>& head) noexcept;

// The body alone. Fails: truncated, malformed.
[[nodiscard]] caisson::Result<Frame> read_frame_body(Bytes body) noexcept;

} // namespace caisson::protocol::verifier_link
