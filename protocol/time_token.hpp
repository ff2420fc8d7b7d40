// The time token: the Verifier's clock over a nonce that a chamber made, so that freshness does not rest on the host.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "protocol/cose_sign1.hpp"

namespace caisson::protocol {

struct TimeNonceTag;
using TimeNonce = Named<32, TimeNonceTag>;

inline constexpr std::size_t time_token_bytes_max = 256;
inline constexpr std::uint64_t token_interval_ms = 250; // how often a chamber is offered a new one

struct TimeToken {
    TimeNonce nonce;
    std::uint64_t time_ms = 0;      // Unix time of the Verifier when it signed
    std::uint64_t hold_ms = 0;      // without a newer token for this long, the chamber refuses by itself
    std::uint64_t messages_max = 0; // how many messages, both ways, this token permits

    friend bool operator==(const TimeToken&, const TimeToken&) = default;
};

// Fails: exhausted.
[[nodiscard]] Result<std::size_t> write_time_token(MutableBytes output, const SigningKey& key,
                                                   const TimeToken& token) noexcept;

// Fails: truncated, malformed, unauthentic.
[[nodiscard]] Result<TimeToken> verify_time_token(Bytes document, const VerifyingKey& key) noexcept;

} // namespace caisson::protocol
