// The access list in force: whom its signer lets talk to the keys that are pinned to it. It only moves forward: what
// the host brings later may be a newer list, never an older one. Spec: docs/spec/curve.md, the access list.
#pragma once

#include "protocol/access_list.hpp"
#include "trusted/curve/boxes.hpp"

namespace caisson::trusted::curve {

class Access {
  public:
    void pin(const protocol::VerifyingKey& signer) noexcept { signer_ = signer; }
    [[nodiscard]] const protocol::VerifyingKey& signer() const noexcept { return signer_; }

    // Fails: truncated, malformed, unauthentic, conflict (older than the list in force, or another of the same serial).
    [[nodiscard]] Status accept(Bytes document) noexcept;

    // Without a list, nobody.
    [[nodiscard]] bool names(const CurveKey& peer) const noexcept;

    [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }
    [[nodiscard]] std::uint64_t expires_ms() const noexcept { return expires_ms_; } // 0: never
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

  private:
    protocol::VerifyingKey signer_;
    bool known_ = false;
    std::uint64_t serial_ = 0;
    std::uint64_t expires_ms_ = 0;
    std::size_t count_ = 0;
    std::array<CurveKey, protocol::access_keys_max> keys_;
};

} // namespace caisson::trusted::curve
