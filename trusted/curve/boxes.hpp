// NaCl boxes with types for their keys: secrets go in, bytes come out.
#pragma once

#include "core/bytes.hpp"
#include "core/crypto/box_batch.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"
#include "protocol/attestation_result.hpp"
#include "protocol/curve.hpp"
#include "trusted/runtime/runtime.hpp"

namespace caisson::trusted::curve {

struct CurveSecretTag;
using CurveSecretKey = Secret<32, CurveSecretTag>; // X25519
struct SharedKeyTag;
using SharedKey = Secret<32, SharedKeyTag>; // of a pair: HSalsa20(X25519)
using CurveKey = protocol::CurveKey;
using protocol::curve::Nonce;

// Which code makes boxes, public keys and shared keys: core/crypto's AVX-512 where `features` (airlock::CpuFeature bits
// that the own XFRM allows) have all it needs, else libsodium's, as before the first call; with AVX2 alone, boxes of
// several messages are core/crypto's. Called before the first request.
void choose_box_kernel(std::uint32_t features) noexcept;

[[nodiscard]] CurveKey public_key_of(const CurveSecretKey& secret) noexcept;

// Where secrets stand and their public keys go; many at once share most of the work.
struct PublicKeyJob {
    const CurveSecretKey* secret = nullptr;
    CurveKey* public_key = nullptr;
};
void make_public_keys(std::span<const PublicKeyJob> jobs) noexcept;

// A new pair from the chamber's own randomness.
[[nodiscard]] CurveKey make_key_pair(Runtime& runtime, CurveSecretKey& secret) noexcept;

// Fails: unauthentic (a point of low order).
[[nodiscard]] Result<SharedKey> shared_key(const CurveKey& theirs, const CurveSecretKey& own) noexcept;

// The same for many, which share most of the work.
struct SharedKeyJob {
    const CurveKey* theirs = nullptr;
    const CurveSecretKey* own = nullptr;
    SharedKey* key = nullptr;
    bool made = false; // no: a point of low order
};
void make_shared_keys(std::span<SharedKeyJob> jobs) noexcept;

// Writes text.size() + 16 bytes. `output` may start 16 bytes before `text`.
void seal_box(std::uint8_t* output, Bytes text, const Nonce& nonce, const SharedKey& key) noexcept;
// Writes box.size() - 16 bytes. Fails: truncated, unauthentic.
[[nodiscard]] Status open_box(std::uint8_t* output, Bytes box, const Nonce& nonce, const SharedKey& key) noexcept;

// For boxes in pieces (core/crypto/box_stream.hpp).
struct StreamPosition {
    crypto::BoxSubkey subkey;
    std::uint64_t counter = 0;
    [[nodiscard]] crypto::BoxPosition view() const noexcept { return {subkey, counter}; }
};
[[nodiscard]] StreamPosition stream_position(const SharedKey& key, const Nonce& nonce) noexcept;
[[nodiscard]] crypto::BoxKernel box_kernel() noexcept;

// The box of one message of a session and direction. HSalsa20 of the key and the prefix is the same for all of them and
// made once: `subkey`.
struct MessageBox {
    const SharedKey& key;
    const crypto::BoxSubkey& subkey;
    std::string_view prefix;
    std::uint64_t counter = 0;
};
[[nodiscard]] crypto::BoxSubkey message_subkey(const SharedKey& key, std::string_view prefix) noexcept;
void seal_message(std::uint8_t* output, Bytes text, const MessageBox& box) noexcept;
// Fails: truncated, unauthentic.
[[nodiscard]] Status open_message(std::uint8_t* output, Bytes sealed, const MessageBox& box) noexcept;

// Many of them side by side, of one session or of several. False, and nothing is done: there is no kernel here that
// does better than one after the other.
[[nodiscard]] bool seal_messages(std::span<const crypto::BoxJob> jobs) noexcept;
// opened[i] as of crypto::open_boxes.
[[nodiscard]] bool open_messages(std::span<const crypto::BoxJob> jobs, std::span<bool> opened) noexcept;

} // namespace caisson::trusted::curve
