// SHA-1 (FIPS 180-4) and HMAC-SHA-1 (RFC 2104): for one-time passwords (RFC 4226) and formats that name them,
// never for anything new.
#pragma once

#include "core/bytes.hpp"
#include "core/secret.hpp"

namespace caisson::crypto {

using Sha1Digest = ByteArray<20>;

class Sha1 {
  public:
    Sha1() noexcept;
    ~Sha1();
    Sha1(const Sha1&) = delete;
    Sha1& operator=(const Sha1&) = delete;

    void absorb(Bytes bytes) noexcept;
    [[nodiscard]] Sha1Digest finish() noexcept;

  private:
    static constexpr std::size_t block_bytes = 64;

    void compress() noexcept;

    std::array<std::uint32_t, 5> state_;
    ByteArray<block_bytes> block_{};
    std::uint64_t size_ = 0;
};

[[nodiscard]] Sha1Digest hmac_sha1(Bytes key, Bytes message) noexcept;

} // namespace caisson::crypto
