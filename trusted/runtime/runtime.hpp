// What a chamber may ask of the place it runs in: randomness, its own ticks, sealing, reports. Nothing else exists.
//
// The same chamber code runs on every platform: in an image the runtime stands on ENCLU and RDRAND, in `inproc`
// on plain functions of the host. Not safe for concurrent use: a chamber has one thread.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "protocol/sgx.hpp"

namespace caisson::trusted {

enum class SealPolicy : std::uint16_t {
    mrenclave = protocol::sgx::KEYPOLICY_MRENCLAVE, // this very image
    mrsigner = protocol::sgx::KEYPOLICY_MRSIGNER,   // [SEAL-3] this signer and product, this SVN or a later one
};

// [SEAL-5] Does a blob open that the root's rollback counter says is of an older copy? Refused for what an attacker
// gains by putting back (a key that was removed); opened for what never changes, and for what its owner keeps up to
// date.
enum class OlderCopy : std::uint8_t { refused, opens };

// A sealed blob: version, policy, SVN, rollback counter, key id, nonce, then XChaCha20-Poly1305 of the secret with all
// of them and the context as associated data.
inline constexpr std::size_t seal_overhead_bytes = 128;
inline constexpr std::size_t seal_context_bytes_max = 256;

class Runtime {
  public:
    // Fills `bytes` from the one source of randomness inside.
    virtual void random(MutableBytes bytes) noexcept = 0;

    // A counter that rises at a steady rate while nobody interferes (RDTSC).
    [[nodiscard]] virtual std::uint64_t ticks() noexcept = 0;

    // Seals `secret` for this image or signer. `context` names what it is ("curve key v1") and must be given again
    // to unseal. Returns the size written: secret.size() + seal_overhead_bytes at most.
    // Fails: exhausted (output too small).
    [[nodiscard]] virtual Result<std::size_t> seal(SealPolicy policy, Bytes context, Bytes secret,
                                                   MutableBytes output) noexcept = 0;

    // Fails: malformed, unauthentic (altered, another machine, image, signer, context or root),
    // expired (sealed by a later SVN), unacceptable (an older copy than the rollback counter permits), exhausted.
    [[nodiscard]] virtual Result<std::size_t> unseal(Bytes context, Bytes blob, MutableBytes output,
                                                     OlderCopy older) noexcept = 0;

    // EREPORT for `target` over `data`.
    [[nodiscard]] virtual protocol::sgx::Report report(const protocol::sgx::TargetInfo& target,
                                                       const protocol::sgx::ReportData& data) noexcept = 0;

    // Is the report made on this machine and platform, for this chamber? Fails: unauthentic.
    [[nodiscard]] virtual Status verify_report(const protocol::sgx::Report& report) noexcept = 0;

    // The TARGETINFO with which others address reports to this chamber.
    [[nodiscard]] virtual protocol::sgx::TargetInfo own_target() noexcept = 0;

  protected:
    ~Runtime() = default;
};

} // namespace caisson::trusted
