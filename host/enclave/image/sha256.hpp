// SHA-256 of images and programs at each start of a chamber: with the CPU's own instructions where it has them, by
// libsodium where not, whose portable code takes five times as long.
#pragma once

#include "core/bytes.hpp"

namespace caisson::host::enclave::image {

[[nodiscard]] Digest sha256(Bytes message) noexcept;

// The two ways of it. `sha256_by_instructions` requires: has_sha_instructions().
[[nodiscard]] bool has_sha_instructions() noexcept;
[[nodiscard]] Digest sha256_by_instructions(Bytes message) noexcept;
[[nodiscard]] Digest sha256_portable(Bytes message) noexcept;

} // namespace caisson::host::enclave::image
