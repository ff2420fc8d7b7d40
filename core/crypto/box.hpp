// A message in NaCl's box under a key that both sides share: XSalsa20-Poly1305, the tag, then the ciphertext.
// The first 16 octets of a CURVE nonce stay the same within a session and direction, so HSalsa20 of them is computed
// apart; the last 8 are a counter or random. All kernels give the bytes of crypto_box_easy_afternm in constant time.
#pragma once

#include "core/bytes.hpp"
#include "core/secret.hpp"

#include <span>

namespace caisson::crypto {

inline constexpr std::size_t box_tag_bytes = 16;

struct BoxSubkeyTag;
using BoxSubkey = Secret<32, BoxSubkeyTag>; // HSalsa20(shared key, first 16 octets of the nonce)

[[nodiscard]] BoxSubkey derive_box_subkey(std::span<const std::uint8_t, 32> shared_key,
                                          std::span<const std::uint8_t, 16> nonce_prefix) noexcept;

// Which key stream: `counter` is the last 8 octets of the nonce, read big-endian as CurveZMQ counts.
struct BoxPosition {
    const BoxSubkey& key;
    std::uint64_t counter = 0;
};

// avx512 needs AVX-512 F, BW, DQ, VL, IFMA and VBMI2; either needs an XFRM that lets it be used.
enum class BoxKernel : std::uint8_t { portable, avx2, avx512 };

// The number of a block has 32 bits here: a text ends long before it would need more.
inline constexpr std::uint64_t box_text_bytes_max = std::uint64_t{1} << 37U;

// Writes text.size() + box_tag_bytes bytes. `output` and `text` may overlap. Requires: text.size() <=
// box_text_bytes_max, here and everywhere.
void seal_box(BoxKernel kernel, const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept;

// Writes box.size() - box_tag_bytes bytes, and none of them before the tag is right; false if it is not.
// `output` and `box` may overlap. Requires: box.size() >= box_tag_bytes.
[[nodiscard]] bool open_box(BoxKernel kernel, const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept;

} // namespace caisson::crypto
