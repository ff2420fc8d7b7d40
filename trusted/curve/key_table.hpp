// The long-term keys of the chamber: made here or taken in, sealed to go out, named by a handle that is no secret.
#pragma once

#include "airlock/curve/requests.hpp"
#include "protocol/cose_sign1.hpp"
#include "trusted/curve/boxes.hpp"

namespace caisson::trusted::curve {

struct HandleTag;
using Handle = Named<32, HandleTag>; // 32 octets that stand where a secret key stood

struct LongTermKey {
    std::uint32_t id = 0; // 0: the place is free
    bool gated = false;
    bool listed = false;
    protocol::VerifyingKey verifier;    // the attestation server's, pinned with the key
    protocol::VerifyingKey list_signer; // whose access list must name a peer, pinned likewise
    CurveKey public_key;
    Handle handle;
    CurveSecretKey secret;
};

// key_gated, key_listed
[[nodiscard]] std::uint32_t flags_of(const LongTermKey& key) noexcept;

[[nodiscard]] Handle handle_of(const CurveKey& public_key) noexcept;

// Writes the key sealed to this signer. Fails: exhausted.
[[nodiscard]] Result<std::size_t> seal_key(Runtime& runtime, const LongTermKey& key, MutableBytes output) noexcept;

// Into a key without id. Fails: malformed, unauthentic, expired.
[[nodiscard]] Status unseal_key(Runtime& runtime, Bytes sealed, LongTermKey& key) noexcept;

class KeyTable {
  public:
    // A place for `key`; loading the same key again gives its first id. Fails: exhausted.
    [[nodiscard]] Result<LongTermKey*> add(LongTermKey&& key) noexcept;
    // Fails: missing.
    [[nodiscard]] Result<LongTermKey*> find(std::uint32_t id) noexcept;
    [[nodiscard]] LongTermKey* find(const Handle& handle) noexcept;
    [[nodiscard]] LongTermKey* find(const CurveKey& public_key) noexcept;
    void remove(LongTermKey& key) noexcept;

  private:
    std::array<LongTermKey, airlock::curve::keys_max> keys_;
    std::uint32_t next_id_ = 1;
};

} // namespace caisson::trusted::curve
