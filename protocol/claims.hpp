// The claim keys of our signed documents: CWT (RFC 8392), EAT (RFC 9711), EAR (draft-ietf-rats-ear-04), and our own
// in the range for private use (below -65536).
#pragma once

#include <cstdint>
#include <string_view>

namespace caisson::protocol::claim {

inline constexpr std::uint64_t exp = 4;
inline constexpr std::uint64_t iat = 6;
inline constexpr std::uint64_t eat_nonce = 10;
inline constexpr std::uint64_t ueid = 256;
inline constexpr std::uint64_t eat_profile = 265;
inline constexpr std::uint64_t submods = 266;
inline constexpr std::uint64_t ear_status = 1000;
inline constexpr std::uint64_t ear_trustworthiness_vector = 1001;
inline constexpr std::uint64_t ear_appraisal_policy_id = 1003;
inline constexpr std::uint64_t ear_verifier_id = 1004;

inline constexpr std::int64_t issued_ms = -70001;
inline constexpr std::int64_t expires_ms = -70002;
inline constexpr std::int64_t node_name = -70003;
inline constexpr std::int64_t curve_keys = -70004;
inline constexpr std::int64_t hold_ms = -70005;
inline constexpr std::int64_t messages_max = -70006;
inline constexpr std::int64_t list_serial = -70007;
inline constexpr std::int64_t list_digest = -70008;

inline constexpr std::string_view ear_profile = "tag:ietf.org,2026:rats/ear#04";
inline constexpr std::string_view submodule = "caisson";

// Bounds that keep arithmetic on times far from overflow: the year 9999, and a day.
inline constexpr std::uint64_t time_ms_max = 253'402'300'799'999;
inline constexpr std::uint64_t hold_ms_max = 86'400'000;

} // namespace caisson::protocol::claim
