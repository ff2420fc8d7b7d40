// SIGSTRUCT as the CPU checks it at EINIT: RSA-3072 with exponent 3, verified through q1 and q2 without a division.
// No OpenSSL: the loader uses it.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "protocol/sgx.hpp"

namespace caisson::host::enclave::image {

// The bytes that are signed: the first 128 and those from 900 to 1028.
inline constexpr std::size_t signed_part_bytes = 128;
inline constexpr std::size_t second_part_offset = 900;

// Fails: malformed (size).
[[nodiscard]] Result<protocol::sgx::Sigstruct> read_sigstruct(Bytes bytes) noexcept;

// SHA-256 of the modulus.
[[nodiscard]] Digest mrsigner_of(const protocol::sgx::Sigstruct& sigstruct) noexcept;

// Fails: malformed (header, exponent), unauthentic (signature, q1, q2).
[[nodiscard]] Status verify_sigstruct(const protocol::sgx::Sigstruct& sigstruct) noexcept;

// EINIT's comparison of what was built with what was signed. Fails: unauthentic.
[[nodiscard]] Status verify_enclave(const protocol::sgx::Sigstruct& sigstruct, const Digest& mrenclave,
                                    const protocol::sgx::Attributes& attributes) noexcept;

} // namespace caisson::host::enclave::image
