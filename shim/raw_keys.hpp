// Boxes under raw keys, which are in the program's memory anyway: for users of libsodium in the same program that have
// nothing to do with CURVE, when "caisson run --allow-raw-keys" lets them. Spec: docs/spec/shim.md.
//
// libsodium is linked into the shim for this, and none of its names leaves it.
#pragma once

#include "core/bytes.hpp"

namespace caisson::shim {

// What the program's environment said when it began.
[[nodiscard]] bool raw_keys_allowed() noexcept;
void read_whether_raw_keys_are_allowed() noexcept;

enum class NonceUse : std::uint8_t { long_term, other_curve, none };
// Which step of CURVE the nonce names: one of a long-term key (HELLO, WELCOME, vouch), another, or none.
[[nodiscard]] NonceUse nonce_use(const unsigned char* nonce) noexcept;

// As libsodium's functions: 0 is success.
int raw_public_key(unsigned char* public_key, const unsigned char* secret) noexcept;
int raw_shared_key(unsigned char* shared, const unsigned char* public_key, const unsigned char* secret) noexcept;

struct RawKeys {
    const unsigned char* key;        // secret, or shared when
    const unsigned char* public_key; // this is null
};
int raw_seal(unsigned char* tag, unsigned char* ciphertext, Bytes message, const unsigned char* nonce,
             const RawKeys& keys) noexcept;
int raw_open(unsigned char* message, const unsigned char* tag, Bytes ciphertext, const unsigned char* nonce,
             const RawKeys& keys) noexcept;

} // namespace caisson::shim
