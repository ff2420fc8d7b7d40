// The node link: what programs on a node ask its agent, over the unix socket HOME/agent/agent.sock.
// A frame is a u32 big-endian length, then a CBOR array [type, request id, fields...]. No heap; views into the frame.
// Spec: docs/spec/measurement.md, section 5.
#pragma once

#include "protocol/attestation_result.hpp"
#include "protocol/cbor.hpp"
#include "protocol/sgx.hpp"
#include "protocol/time_token.hpp"

#include <array>
#include <variant>

namespace caisson::protocol::node_link {

inline constexpr std::size_t frame_head_bytes = 4;
inline constexpr std::size_t frame_bytes_max = std::size_t{256} << 10U;
inline constexpr std::size_t keys_max = 64; // of one Time request
inline constexpr std::size_t status_text_bytes_max = 4096;
inline constexpr std::size_t refusal_text_bytes_max = 256;

struct WitnessTarget {};

// A CURVE key of a chamber on this node, and the REPORT over it for the witness.
struct Register {
    CurveKey key;
    Bytes report; // sizeof(sgx::Report)
};

struct Time {
    TimeNonce nonce;
    std::array<CurveKey, keys_max> keys{}; // whose nodes' Attestation Results are wanted
    std::size_t key_count = 0;
};

struct Status {};

struct WitnessTargetAnswer {
    Bytes target_info; // sizeof(sgx::TargetInfo)
};

struct RegisterAnswer {};

// The server's answer as it came: the chamber judges it.
struct TimeAnswer {
    Bytes token;
    std::array<Bytes, keys_max> results{};
    std::size_t result_count = 0;
};

// For people and `caisson status`; nothing is decided by it.
struct StatusAnswer {
    std::string_view node;
    std::string_view server;
    bool connected = false;
    TrustTier tier = TrustTier::none; // the server's last verdict
    std::uint64_t verdict_age_ms = 0; // 0 without a verdict
    std::uint64_t rounds = 0;         // of measuring since the start
    std::uint64_t keys = 0;           // accepted from local reports
    std::string_view text;            // the verdict's reasons, one a line
    std::string_view missing;         // protections that this kernel does not give the witness chamber, one a line
};

struct Refused {
    Kind kind = Kind::unavailable;
    std::string_view text;
};

using Message = std::variant<WitnessTarget, Register, Time, Status, WitnessTargetAnswer, RegisterAnswer, TimeAnswer,
                             StatusAnswer, Refused>;

struct Frame {
    std::uint64_t request = 0; // an answer repeats the request's id
    Message message;
};

// Length and body. Fails: exhausted.
[[nodiscard]] Result<std::size_t> write_frame(MutableBytes output, const Frame& frame) noexcept;

// The size of the body that follows. Fails: malformed (0 or over frame_bytes_max).
[[nodiscard]] Result<std::size_t> read_frame_head(const ByteArray<frame_head_bytes>& head) noexcept;

// The body alone. Fails: truncated, malformed.
[[nodiscard]] Result<Frame> read_frame_body(Bytes body) noexcept;

} // namespace caisson::protocol::node_link
