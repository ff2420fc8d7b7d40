// SHA-256 of images and programs at each start of a chamber: with the CPU's own instructions where it has them, by
// libsodium where not, whose portable code takes five times as long.
#pragma once

#include "core/bytes.hpp"

#include <sodium.h>

namespace caisson::host::enclave::image {

[[nodiscard]] bool has_sha_instructions() noexcept;

// A message that comes in pieces of any size.
class Sha256 {
  public:
    enum class Way : bool { portable, by_instructions };

    Sha256() noexcept;
    explicit Sha256(Way way) noexcept; // by_instructions requires: has_sha_instructions()

    void absorb(Bytes piece) noexcept;
    [[nodiscard]] Digest finish() noexcept; // once, at the end

    using Words = std::array<std::uint32_t, 8>;
    static constexpr std::size_t block_bytes = 64;

  private:
    void absorb_by_instructions(Bytes piece) noexcept;
    Digest finish_by_instructions() noexcept;

    Way way_;
    crypto_hash_sha256_state portable_;
    Words words_;
    ByteArray<block_bytes> waiting_{}; // less than a block
    std::uint64_t bytes_ = 0;
};

[[nodiscard]] Digest sha256(Bytes message) noexcept;

// Whole blocks, by the CPU's instructions.
void absorb_blocks(Sha256::Words& words, Bytes blocks) noexcept;

} // namespace caisson::host::enclave::image
