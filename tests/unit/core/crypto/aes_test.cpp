#include "core/crypto/aes.hpp"

#include "core/crypto/kernels/aes.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <vector>

namespace caisson::crypto {
namespace {

std::vector<AesKernel> kernels_here()
{
    std::vector<AesKernel> kernels{AesKernel::portable};
    if (__builtin_cpu_supports("aes")) {
        kernels.push_back(AesKernel::aes_ni);
    }
    return kernels;
}

// OpenSSL's AES in ECB mode, without padding: the other implementation.
std::vector<AesBlock> by_openssl(const EVP_CIPHER* cipher, Bytes key, std::vector<AesBlock> blocks, bool encrypt)
{
    auto* context = EVP_CIPHER_CTX_new();
    EVP_CipherInit_ex(context, cipher, nullptr, key.data(), nullptr, encrypt ? 1 : 0);
    EVP_CIPHER_CTX_set_padding(context, 0);
    int size = 0;
    EVP_CipherUpdate(context, blocks.data()->data(), &size, blocks.data()->data(),
                     static_cast<int>(blocks.size() * aes_block_bytes));
    EVP_CIPHER_CTX_free(context);
    return blocks;
}

std::vector<AesBlock> random_blocks(std::size_t count)
{
    std::vector<AesBlock> blocks(count);
    RAND_bytes(blocks.data()->data(), static_cast<int>(count * aes_block_bytes));
    return blocks;
}

template <typename Key>
void expect_openssl_agrees(const EVP_CIPHER* cipher)
{
    for (const auto kernel : kernels_here()) {
        for (std::size_t count = 1; count <= 19; ++count) {
            Key key;
            RAND_bytes(key.expose().data(), static_cast<int>(Key::size));
            const Aes aes(key, kernel);
            const auto plain = random_blocks(count);
            auto blocks = plain;
            aes.encrypt(blocks);
            EXPECT_EQ(blocks, by_openssl(cipher, key.expose(), plain, true)) << count;
            aes.decrypt(blocks);
            EXPECT_EQ(blocks, plain) << count;
        }
    }
}

// FIPS 197, appendix C.1 and C.3.
TEST(Aes, agrees_with_the_examples_of_the_standard)
{
    const AesBlock plain{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                         0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    const AesBlock with_128{0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
                            0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a};
    const AesBlock with_256{0x8e, 0xa2, 0xb7, 0xca, 0x51, 0x67, 0x45, 0xbf,
                            0xea, 0xfc, 0x49, 0x90, 0x4b, 0x49, 0x60, 0x89};
    Aes128Key short_key;
    Aes256Key long_key;
    for (std::uint8_t index = 0; index < 32; ++index) {
        long_key.expose()[index] = index;
        short_key.expose()[index % 16] = static_cast<std::uint8_t>(index % 16);
    }
    for (const auto kernel : kernels_here()) {
        std::array<AesBlock, 1> block{plain};
        Aes(short_key, kernel).encrypt(block);
        EXPECT_EQ(block[0], with_128);
        Aes(short_key, kernel).decrypt(block);
        EXPECT_EQ(block[0], plain);
        Aes(long_key, kernel).encrypt(block);
        EXPECT_EQ(block[0], with_256);
    }
}

TEST(Aes, every_kernel_agrees_with_openssl_at_128_bits)
{
    expect_openssl_agrees<Aes128Key>(EVP_aes_128_ecb());
}

TEST(Aes, every_kernel_agrees_with_openssl_at_256_bits)
{
    expect_openssl_agrees<Aes256Key>(EVP_aes_256_ecb());
}

TEST(Aes, repeated_rounds_are_the_same_in_every_kernel)
{
    Aes256Key key;
    key.expose()[0] = 7;
    auto expected = random_blocks(2);
    const auto plain = expected;
    for (int round = 0; round < 100; ++round) {
        expected = by_openssl(EVP_aes_256_ecb(), key.expose(), expected, true);
    }
    for (const auto kernel : kernels_here()) {
        auto blocks = plain;
        Aes(key, kernel).encrypt_repeatedly(blocks, 100);
        EXPECT_EQ(blocks, expected);
    }
}

} // namespace
} // namespace caisson::crypto
