// AES-128 and AES-256 (FIPS 197): the block cipher under GCM, CBC and the key derivation of KDBX.
// The portable form is bitsliced, four blocks at a time, and touches no table; AES-NI is used when the host's word and
// the image's XFRM allow it. Both give the same bytes in constant time.
#pragma once

#include "core/bytes.hpp"
#include "core/secret.hpp"

#include <span>

namespace caisson::crypto {

inline constexpr std::size_t aes_block_bytes = 16;
using AesBlock = ByteArray<aes_block_bytes>;

struct Aes128KeyTag;
using Aes128Key = Secret<16, Aes128KeyTag>;
struct Aes256KeyTag;
using Aes256Key = Secret<32, Aes256KeyTag>;

enum class AesKernel : std::uint8_t { portable, aes_ni };

// An expanded key; wiped when it leaves.
class Aes {
  public:
    explicit Aes(const Aes128Key& key, AesKernel kernel) noexcept;
    explicit Aes(const Aes256Key& key, AesKernel kernel) noexcept;
    ~Aes();
    Aes(const Aes&) = delete;
    Aes& operator=(const Aes&) = delete;

    // Each block for itself (ECB): the mode is the caller's. In place.
    void encrypt(std::span<AesBlock> blocks) const noexcept;
    void decrypt(std::span<AesBlock> blocks) const noexcept;

    // Encrypts each block `rounds` times: the transformation of KDBX's AES-KDF.
    void encrypt_repeatedly(std::span<AesBlock> blocks, std::uint64_t rounds) const noexcept;

  private:
    static constexpr std::size_t round_keys_max = 15;

    void expand(Bytes key) noexcept;

    AesKernel kernel_;
    std::size_t round_count_;
    std::array<AesBlock, round_keys_max> round_keys_;
};

} // namespace caisson::crypto
