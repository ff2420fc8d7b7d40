// What the chambers use of libsodium, with secrets in its hands: Debian's own archive, as it is linked into the images.
#include "tests/constant_time/row.hpp"
#include "tests/constant_time/secrecy.hpp"

#ifndef __clang__

#include <sodium.h>

#include <cstdlib>

namespace caisson::tests::constant_time {
namespace {

// libsodium branches on two things everybody may know: that a tag is wrong, and that a point is of low order.
void start()
{
    if (::sodium_init() < 0) {
        std::abort();
    }
}

void expect_success(int result)
{
    make_public_value(result);
    if (result != 0) {
        std::abort();
    }
}

ByteArray<32> secret_key()
{
    ByteArray<32> key{9, 8, 7, 6};
    make_secret(key);
    return key;
}

void public_key()
{
    start();
    ByteArray<32> result;
    static_cast<void>(::crypto_scalarmult_base(result.data(), secret_key().data()));
    finish(result);
}

void shared_key()
{
    start();
    ByteArray<32> other;
    static_cast<void>(::crypto_scalarmult_base(other.data(), ByteArray<32>{5}.data()));
    ByteArray<32> result;
    expect_verdict();
    expect_success(::crypto_box_beforenm(result.data(), other.data(), secret_key().data()));
    finish(result);
}

void secretbox()
{
    start();
    const ByteArray<24> nonce{};
    ByteArray<100> text{};
    make_secret(text);
    ByteArray<100 + crypto_secretbox_MACBYTES> sealed;
    static_cast<void>(
        ::crypto_secretbox_easy(sealed.data(), text.data(), text.size(), nonce.data(), secret_key().data()));
    finish(sealed);
    ByteArray<text.size()> opened;
    expect_verdict();
    expect_success(
        ::crypto_secretbox_open_easy(opened.data(), sealed.data(), sealed.size(), nonce.data(), secret_key().data()));
    finish(opened);
}

void sealing()
{
    start();
    const ByteArray<crypto_aead_xchacha20poly1305_ietf_NPUBBYTES> nonce{};
    ByteArray<100> text{};
    make_secret(text);
    ByteArray<100 + crypto_aead_xchacha20poly1305_ietf_ABYTES> sealed;
    ::crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data(), nullptr, text.data(), text.size(), nullptr, 0, nullptr,
                                                 nonce.data(), secret_key().data());
    finish(sealed);
    ByteArray<text.size()> opened;
    expect_verdict();
    expect_success(::crypto_aead_xchacha20poly1305_ietf_decrypt(
        opened.data(), nullptr, nullptr, sealed.data(), sealed.size(), nullptr, 0, nonce.data(), secret_key().data()));
    finish(opened);
}

void sign()
{
    start();
    ByteArray<crypto_sign_PUBLICKEYBYTES> shown;
    ByteArray<crypto_sign_SECRETKEYBYTES> key;
    static_cast<void>(::crypto_sign_seed_keypair(shown.data(), key.data(), secret_key().data()));
    finish(shown);
    ByteArray<crypto_sign_BYTES> signature;
    static_cast<void>(::crypto_sign_detached(signature.data(), nullptr, shown.data(), shown.size(), key.data()));
    finish(signature);
}

void hashes()
{
    start();
    ByteArray<32> result;
    const auto key = secret_key();
    static_cast<void>(::crypto_generichash(result.data(), result.size(), nullptr, 0, key.data(), key.size()));
    finish(result);
    static_cast<void>(::crypto_hash_sha256(result.data(), key.data(), key.size()));
    finish(result);
}

constexpr Row rows[] = {
    {"libsodium: crypto_scalarmult_base", Needs::any_cpu, public_key},
    {"libsodium: crypto_box_beforenm", Needs::any_cpu, shared_key},
    {"libsodium: crypto_secretbox, both ways", Needs::any_cpu, secretbox},
    {"libsodium: XChaCha20-Poly1305, both ways", Needs::any_cpu, sealing},
    {"libsodium: Ed25519 keys and signatures", Needs::any_cpu, sign},
    {"libsodium: BLAKE2b and SHA-256", Needs::any_cpu, hashes},
};

} // namespace

std::span<const Row> sodium_rows()
{
    return rows;
}

} // namespace caisson::tests::constant_time

#else

std::span<const caisson::tests::constant_time::Row> caisson::tests::constant_time::sodium_rows()
{
    return {};
}

#endif
