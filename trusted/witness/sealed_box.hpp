// libsodium's sealed box (crypto_box_seal): to a public key, from nobody. libsodium's own draws its ephemeral key from
// the operating system; inside a chamber the caller brings the randomness.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"
#include "protocol/measurement.hpp"

namespace caisson::trusted::witness {

struct BoxSecretKeyTag;
using BoxSecretKey = Secret<32, BoxSecretKeyTag>; // X25519

protocol::BoxKey box_key_of(const BoxSecretKey& secret) noexcept;

// Encrypts box.subspan(box_seal_overhead_bytes) where it stands. `ephemeral` must be fresh for every box.
// Requires: box.size() >= box_seal_overhead_bytes. Fails: unauthentic (the recipient is a weak point).
[[nodiscard]] Status seal_box(MutableBytes box, const protocol::BoxKey& recipient,
                              const BoxSecretKey& ephemeral) noexcept;

// The size of the message. Fails: truncated, unauthentic, exhausted.
[[nodiscard]] Result<std::size_t> open_box(MutableBytes message, Bytes box, const protocol::BoxKey& own,
                                           const BoxSecretKey& secret) noexcept;

} // namespace caisson::trusted::witness
