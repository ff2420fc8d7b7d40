// The signed access list: whom the operator, or the attestation server, lets talk to a key. Small and bounded, so that
// a chamber verifies it without a heap. Spec: docs/spec/trust.md, the access list.
#pragma once

#include "protocol/attestation_result.hpp"

#include <span>

namespace caisson::protocol {

inline constexpr std::size_t access_keys_max = 1024;
inline constexpr std::size_t access_list_bytes_max = 320 + access_keys_max * CurveKey::size;

struct AccessList {
    std::uint64_t serial = 0; // a later list has a higher one
    std::uint64_t issued_ms = 0;
    std::uint64_t expires_ms = 0; // 0: never
    Bytes keys;                   // of CurveKey::size each, in ascending order

    [[nodiscard]] std::size_t key_count() const noexcept { return keys.size() / CurveKey::size; }
    [[nodiscard]] CurveKey key(std::size_t index) const noexcept;
};

// The keys of `list` must ascend, each once. Fails: malformed (they do not, or are too many), exhausted.
[[nodiscard]] Result<std::size_t> write_access_list(MutableBytes output, const SigningKey& key,
                                                    const AccessList& list) noexcept;

// Authentic and well-formed; `keys` is a view into `document`. Whether it is the newest one, and not over, is for the
// caller. Fails: truncated, malformed, unauthentic.
[[nodiscard]] Result<AccessList> verify_access_list(Bytes document, const VerifyingKey& key) noexcept;

} // namespace caisson::protocol
