// COSE_Sign1 (RFC 9052, section 4.2) with Ed25519 (EdDSA), tagged 18, nothing in the unprotected header:
// the one signature form of the fabric. No heap, bounded, deterministic.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"

namespace caisson::protocol {

struct SigningKeyTag;
using SigningKey = Secret<64, SigningKeyTag>; // seed, then public key (libsodium's form)
struct VerifyingKeyTag;
using VerifyingKey = Named<32, VerifyingKeyTag>;

// [TRUST-4]
inline constexpr std::size_t cose_payload_bytes_max = 4096;
inline constexpr std::size_t cose_overhead_bytes = 96;

// `domain` is the external_aad: a document signed for one purpose never verifies for another.
// Fails: exhausted (output or payload size).
[[nodiscard]] Result<std::size_t> write_cose_sign1(MutableBytes output, const SigningKey& key, std::string_view domain,
                                                   Bytes payload) noexcept;

// Returns the payload, a view into `document`. Fails: truncated, malformed, unauthentic.
[[nodiscard]] Result<Bytes> verify_cose_sign1(Bytes document, const VerifyingKey& key,
                                              std::string_view domain) noexcept;

} // namespace caisson::protocol
