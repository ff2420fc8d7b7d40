#include "core/crypto/aes_cbc.hpp"
#include "core/crypto/aes_gcm.hpp"
#include "core/crypto/sha1.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <vector>

namespace caisson::crypto {
namespace {

using Buffer = std::vector<std::uint8_t>;

Buffer random_bytes(std::size_t size)
{
    Buffer bytes(size + 1);
    RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
    bytes.resize(size);
    return bytes;
}

std::vector<AesKernel> kernels_here()
{
    std::vector<AesKernel> kernels{AesKernel::portable};
    if (__builtin_cpu_supports("aes")) {
        kernels.push_back(AesKernel::aes_ni);
    }
    return kernels;
}

Aes256Key random_key()
{
    Aes256Key key;
    RAND_bytes(key.expose().data(), static_cast<int>(Aes256Key::size));
    return key;
}

// Ciphertext, then tag.
Buffer gcm_by_openssl(const Aes256Key& key, const GcmNonce& nonce, Bytes associated, Bytes plain)
{
    Buffer out(plain.size() + 16);
    auto* context = EVP_CIPHER_CTX_new();
    int size = 0;
    EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nullptr, key.expose().data(), nonce.bytes.data());
    EVP_EncryptUpdate(context, nullptr, &size, associated.data(), static_cast<int>(associated.size()));
    EVP_EncryptUpdate(context, out.data(), &size, plain.data(), static_cast<int>(plain.size()));
    EVP_EncryptFinal_ex(context, out.data() + size, &size);
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, out.data() + plain.size());
    EVP_CIPHER_CTX_free(context);
    return out;
}

TEST(AesGcm, agrees_with_openssl_at_every_size)
{
    for (const auto kernel : kernels_here()) {
        for (std::size_t size = 0; size < 300; size += size < 70 ? 1 : 37) {
            const auto key = random_key();
            GcmNonce nonce;
            RAND_bytes(nonce.bytes.data(), 12);
            const auto associated = random_bytes(size % 45);
            const auto plain = random_bytes(size);
            Buffer sealed(size);
            const Aes cipher(key, kernel);
            const auto tag = gcm_encrypt(cipher, nonce, associated, plain, sealed);
            sealed.insert(sealed.end(), tag.begin(), tag.end());
            ASSERT_EQ(sealed, gcm_by_openssl(key, nonce, associated, plain)) << size;

            Buffer opened(size);
            ASSERT_TRUE(gcm_decrypt(cipher, nonce, associated, Bytes(sealed).first(size), tag, opened));
            EXPECT_EQ(opened, plain);
        }
    }
}

TEST(AesGcm, every_flipped_bit_is_unauthentic_and_writes_nothing)
{
    const Aes cipher(random_key(), AesKernel::portable);
    const GcmNonce nonce;
    const auto associated = random_bytes(5);
    Buffer sealed(9);
    const auto tag = gcm_encrypt(cipher, nonce, associated, random_bytes(9), sealed);
    const auto opens = [&](const Buffer& text, const Buffer& with, const GcmTag& by) {
        Buffer out(9, 0xaa);
        const auto status = gcm_decrypt(cipher, nonce, with, text, by, out);
        EXPECT_TRUE(status || out == Buffer(9, 0xaa));
        return status.has_value();
    };
    ASSERT_TRUE(opens(sealed, associated, tag));
    for (std::size_t bit = 0; bit < 16 * 8; ++bit) {
        const auto flip = [bit](auto bytes) {
            const auto at = (bit / 8) % bytes.size();
            bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1U << (bit % 8)));
            return bytes;
        };
        EXPECT_FALSE(opens(flip(sealed), associated, tag));
        EXPECT_FALSE(opens(sealed, flip(associated), tag));
        EXPECT_FALSE(opens(sealed, associated, flip(tag)));
    }
}

TEST(AesCbc, agrees_with_openssl_at_every_size)
{
    for (const auto kernel : kernels_here()) {
        for (std::size_t size = 0; size < 70; ++size) {
            const auto key = random_key();
            const Aes cipher(key, kernel);
            AesBlock iv;
            RAND_bytes(iv.data(), 16);
            const auto plain = random_bytes(size);
            Buffer ours(cbc_padded_bytes(size));
            cbc_encrypt(cipher, iv, plain, ours);

            Buffer theirs(size + 32);
            auto* context = EVP_CIPHER_CTX_new();
            int first = 0;
            int last = 0;
            EVP_EncryptInit_ex(context, EVP_aes_256_cbc(), nullptr, key.expose().data(), iv.data());
            EVP_EncryptUpdate(context, theirs.data(), &first, plain.data(), static_cast<int>(size));
            EVP_EncryptFinal_ex(context, theirs.data() + first, &last);
            EVP_CIPHER_CTX_free(context);
            theirs.resize(static_cast<std::size_t>(first + last));
            ASSERT_EQ(ours, theirs) << size;

            Buffer opened(ours.size());
            opened.resize(cbc_decrypt(cipher, iv, ours, opened).value_or(SIZE_MAX / 2));
            EXPECT_EQ(opened, plain);
        }
    }
}

TEST(AesCbc, wrong_padding_and_part_blocks_are_malformed)
{
    const Aes cipher(random_key(), AesKernel::portable);
    Buffer out(64);
    for (const std::size_t size : {0U, 1U, 15U, 17U}) {
        EXPECT_EQ(cbc_decrypt(cipher, {}, random_bytes(size), out).error().kind, Kind::malformed);
    }
    for (const std::uint8_t padding : ByteArray<3>{0, 17, 255}) {
        AesBlock block;
        block.fill(padding);
        cipher.encrypt({&block, 1});
        EXPECT_EQ(cbc_decrypt(cipher, {}, block, out).error().kind, Kind::malformed);
    }
    AesBlock uneven;
    uneven.fill(3);
    uneven[14] = 2;
    cipher.encrypt({&uneven, 1});
    EXPECT_EQ(cbc_decrypt(cipher, {}, uneven, out).error().kind, Kind::malformed);
}

TEST(Sha1, agrees_with_openssl_at_every_size_and_in_parts)
{
    for (std::size_t size = 0; size < 200; ++size) {
        const auto message = random_bytes(size);
        Sha1 hash;
        hash.absorb(Bytes(message).first(size / 3));
        hash.absorb(Bytes(message).subspan(size / 3));
        Sha1Digest expected;
        EVP_Digest(message.data(), size, expected.data(), nullptr, EVP_sha1(), nullptr);
        EXPECT_EQ(hash.finish(), expected) << size;
    }
}

TEST(HmacSha1, agrees_with_openssl_for_every_key_size)
{
    for (std::size_t size = 1; size < 100; ++size) {
        const auto key = random_bytes(size);
        const auto message = random_bytes(size * 2);
        Sha1Digest expected;
        unsigned written = 0;
        HMAC(EVP_sha1(), key.data(), static_cast<int>(size), message.data(), message.size(), expected.data(), &written);
        EXPECT_EQ(hmac_sha1(key, message), expected) << size;
    }
}

} // namespace
} // namespace caisson::crypto
