#include "core/crypto/box.hpp"

#include "tests/support/box_kernels.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sodium.h>

#include <cstdlib>
#include <memory>
#include <vector>

namespace caisson::crypto {
namespace {

using Buffer = std::vector<std::uint8_t>;

struct Setting {
    ByteArray<32> key;
    ByteArray<24> nonce;
    BoxSubkey subkey;
    std::uint64_t counter = 0;

    Setting()
    {
        randombytes_buf(key.data(), key.size());
        randombytes_buf(nonce.data(), nonce.size());
        subkey = derive_box_subkey(key, std::span(nonce).first<16>());
        std::memcpy(&counter, nonce.data() + 16, sizeof counter);
        counter = __builtin_bswap64(counter);
    }
    [[nodiscard]] BoxPosition at() const { return {subkey, counter}; }
    [[nodiscard]] Buffer by_sodium(Bytes text) const
    {
        Buffer box(text.size() + box_tag_bytes);
        EXPECT_EQ(crypto_box_easy_afternm(box.data(), text.data(), text.size(), nonce.data(), key.data()), 0);
        return box;
    }
};

Buffer random_text(std::size_t size)
{
    Buffer text(size);
    if (size != 0) {
        randombytes_buf(text.data(), size);
    }
    return text;
}

bool every_size()
{
    static const bool all = std::getenv("CAISSON_EVERY_SIZE") != nullptr;
    return all;
}

// Every size up to where all paths of all kernels have begun, then a few of each length of block; every one where
// CAISSON_EVERY_SIZE is set (the target `check_every_size`).
std::size_t size_step(std::size_t size)
{
    return every_size() || size < 600 ? 1 : 13;
}

// Apart, then in place, `shift` bytes off every alignment.
void expect_sodium_agrees(BoxKernel kernel, std::size_t size, std::size_t shift)
{
    const Setting setting;
    const auto text = random_text(size);
    const auto expected = setting.by_sodium(text);
    Buffer box(shift + size + box_tag_bytes);
    seal_box(kernel, setting.at(), text, box.data() + shift);
    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), box.begin() + static_cast<std::ptrdiff_t>(shift))) << size;
    Buffer opened(size + shift);
    ASSERT_TRUE(open_box(kernel, setting.at(), Bytes(box).subspan(shift), opened.data() + shift)) << size;
    ASSERT_TRUE(std::equal(text.begin(), text.end(), opened.begin() + static_cast<std::ptrdiff_t>(shift))) << size;

    const auto place = MutableBytes(box).subspan(shift + box_tag_bytes);
    std::copy(text.begin(), text.end(), place.begin());
    seal_box(kernel, setting.at(), place, box.data() + shift);
    ASSERT_TRUE(same_bytes(Bytes(box).subspan(shift), expected)) << size;
    ASSERT_TRUE(open_box(kernel, setting.at(), Bytes(box).subspan(shift), place.data())) << size;
    ASSERT_TRUE(same_bytes(place, text)) << size;
}

TEST(Box, every_kernel_gives_the_bytes_of_libsodium_at_every_size)
{
    for (const auto kernel : kernels_here()) {
        for (std::size_t size = 0; size <= 4200; size += size_step(size)) {
            expect_sodium_agrees(kernel, size, size % 67);
        }
    }
}

TEST(Box, every_kernel_gives_the_bytes_of_libsodium_for_long_texts)
{
    for (const auto kernel : kernels_here()) {
        for (int round = 0; round < (every_size() ? 100 : 4); ++round) {
            expect_sodium_agrees(kernel, 4200 + randombytes_uniform((1U << 20U) - 4200), randombytes_uniform(64));
        }
        expect_sodium_agrees(kernel, std::size_t{1} << 20U, 3);
    }
}

// The other implementation of half of it: OpenSSL has no Salsa20.
TEST(Box, the_tag_is_openssls_poly1305_of_the_ciphertext)
{
    using Free = decltype([](auto* one) {
        if constexpr (std::is_same_v<decltype(one), EVP_MAC*>) {
            EVP_MAC_free(one);
        } else {
            EVP_MAC_CTX_free(one);
        }
    });
    const std::unique_ptr<EVP_MAC, Free> poly1305(EVP_MAC_fetch(nullptr, "POLY1305", nullptr));
    for (const auto kernel : kernels_here()) {
        for (std::size_t size = 0; size <= 4200; size += size < 300 ? 1 : 97) {
            const Setting setting;
            Buffer box(size + box_tag_bytes);
            seal_box(kernel, setting.at(), random_text(size), box.data());
            ByteArray<32> key;
            crypto_stream_xsalsa20(key.data(), key.size(), setting.nonce.data(), setting.key.data());
            const std::unique_ptr<EVP_MAC_CTX, Free> context(EVP_MAC_CTX_new(poly1305.get()));
            ByteArray<box_tag_bytes> tag{};
            std::size_t tag_bytes = 0;
            ASSERT_EQ(EVP_MAC_init(context.get(), key.data(), key.size(), nullptr), 1);
            ASSERT_EQ(EVP_MAC_update(context.get(), box.data() + box_tag_bytes, size), 1);
            ASSERT_EQ(EVP_MAC_final(context.get(), tag.data(), &tag_bytes, tag.size()), 1);
            ASSERT_TRUE(same_bytes(Bytes(box).first(box_tag_bytes), tag)) << size;
        }
    }
}

// Poly1305's carries are longest where every limb is full.
TEST(Box, ciphertexts_of_ones_carry_as_in_libsodium)
{
    for (const auto kernel : kernels_here()) {
        for (std::size_t size = 0; size <= 1100; ++size) {
            const Setting setting;
            Buffer text(size, 0xff);
            auto mask = setting.by_sodium(Buffer(size, 0));
            for (std::size_t index = 0; index < size; ++index) {
                text[index] = static_cast<std::uint8_t>(text[index] ^ mask[box_tag_bytes + index]);
            }
            Buffer box(size + box_tag_bytes);
            seal_box(kernel, setting.at(), text, box.data());
            ASSERT_EQ(box, setting.by_sodium(text)) << size;
        }
    }
}

TEST(Box, text_and_box_may_overlap_by_any_distance)
{
    for (const auto kernel : kernels_here()) {
        for (const std::size_t size : {1, 15, 65, 224, 225, 993, 2500}) {
            for (std::size_t text_at = 0; text_at <= 80; ++text_at) {
                const Setting setting;
                const auto text = random_text(size);
                Buffer memory(size + 100);
                std::copy(text.begin(), text.end(), memory.begin() + static_cast<std::ptrdiff_t>(text_at));
                seal_box(kernel, setting.at(), Bytes(memory).subspan(text_at, size), memory.data() + 20);
                const auto expected = setting.by_sodium(text);
                ASSERT_TRUE(same_bytes(Bytes(memory).subspan(20, expected.size()), expected)) << size << ' ' << text_at;
                ASSERT_TRUE(open_box(kernel, setting.at(), Bytes(memory).subspan(20, expected.size()),
                                     memory.data() + text_at));
                ASSERT_TRUE(same_bytes(Bytes(memory).subspan(text_at, size), text)) << size << ' ' << text_at;
            }
        }
    }
}

TEST(Box, a_change_of_any_octet_is_refused_and_nothing_is_written)
{
    for (const auto kernel : kernels_here()) {
        for (const std::size_t size : {0, 1, 64, 65, 224, 600, 1100, 2500}) {
            const Setting setting;
            auto box = setting.by_sodium(random_text(size));
            Buffer output(size, 0x5a);
            const auto untouched = output;
            for (std::size_t index = 0; index < box.size(); ++index) {
                const auto flip = static_cast<std::uint8_t>(1U << (index % 8));
                box[index] = static_cast<std::uint8_t>(box[index] ^ flip);
                ASSERT_FALSE(open_box(kernel, setting.at(), box, output.data())) << size << ' ' << index;
                ASSERT_EQ(output, untouched);
                box[index] = static_cast<std::uint8_t>(box[index] ^ flip);
            }
        }
    }
}

TEST(Box, another_counter_or_key_does_not_open_it)
{
    for (const auto kernel : kernels_here()) {
        const Setting setting;
        const Setting other;
        const auto box = setting.by_sodium(random_text(100));
        Buffer output(100);
        EXPECT_FALSE(open_box(kernel, {setting.subkey, setting.counter + 1}, box, output.data()));
        EXPECT_FALSE(open_box(kernel, {other.subkey, setting.counter}, box, output.data()));
        EXPECT_EQ(output, Buffer(100));
    }
}

} // namespace
} // namespace caisson::crypto
