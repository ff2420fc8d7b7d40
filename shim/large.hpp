// Messages larger than a request, through the door in pieces. Spec: docs/spec/shim.md.
#pragma once

#include "shim/door.hpp"

namespace caisson::shim {

inline constexpr std::size_t request_text_bytes_max = airlock::message_bytes_max + 1; // with libzmq's flags octet

struct LargeKey {
    Bytes handle;
    Bytes nonce;
    bool is_pair; // a secret and a public key, of which no large message is made
};

// Both return the size that one request would have answered. `message` and `ciphertext` may overlap.
// Fails: as Door::ask; missing and forbidden for a pair.
[[nodiscard]] Result<std::size_t> seal_large(Door& door, const LargeKey& key, Bytes message, MutableBytes tag,
                                             MutableBytes ciphertext) noexcept;

// What was written is wiped when the chamber says no.
[[nodiscard]] Result<std::size_t> open_large(Door& door, const LargeKey& key, Bytes tag, Bytes ciphertext,
                                             MutableBytes message) noexcept;

} // namespace caisson::shim
