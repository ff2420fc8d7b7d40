#include "trusted/curve/boxes.hpp"

#include "airlock/entry.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include <vector>

namespace caisson::trusted::curve {
namespace {

using airlock::CpuFeature;

constexpr std::uint32_t bit(CpuFeature feature)
{
    return static_cast<std::uint32_t>(feature);
}

bool is_fast_here()
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi2");
}

// What is chosen here is chosen for the process: libsodium's again afterwards.
class BoxesTest : public testing::Test {
  protected:
    ~BoxesTest() override { choose_box_kernel(0); }

    static void expect_sodium_agrees(std::uint32_t features)
    {
        choose_box_kernel(features);
        for (std::size_t size = 0; size < 1500; size += 1 + size / 16) {
            SharedKey key;
            Nonce nonce;
            randombytes_buf(key.expose().data(), SharedKey::size);
            randombytes_buf(nonce.data(), nonce.size());
            std::vector<std::uint8_t> text(size + 1, 0x61);
            std::vector<std::uint8_t> box(text.size() + crypto_box_MACBYTES);
            std::vector<std::uint8_t> expected(box.size());
            crypto_box_easy_afternm(expected.data(), text.data(), text.size(), nonce.data(), key.expose().data());
            seal_box(box.data(), text, nonce, key);
            ASSERT_EQ(box, expected) << size;
            std::vector<std::uint8_t> opened(text.size());
            ASSERT_TRUE(open_box(opened.data(), box, nonce, key).has_value());
            ASSERT_EQ(opened, text);
            box[size] ^= 1U;
            ASSERT_EQ(open_box(opened.data(), box, nonce, key).error().kind, Kind::unauthentic);
            ASSERT_EQ(open_box(opened.data(), Bytes(box).first(15), nonce, key).error().kind, Kind::truncated);
        }
    }
};

TEST_F(BoxesTest, boxes_are_those_of_libsodium_whatever_the_cpu_is_said_to_have)
{
    expect_sodium_agrees(0);
    expect_sodium_agrees(bit(CpuFeature::avx512));
    expect_sodium_agrees(bit(CpuFeature::avx512_ifma) | bit(CpuFeature::avx512_vbmi2));
    if (is_fast_here()) {
        expect_sodium_agrees(~std::uint32_t{0});
    }
}

TEST_F(BoxesTest, public_and_shared_keys_are_those_of_libsodium_whatever_the_cpu_is_said_to_have)
{
    for (const auto features : {std::uint32_t{0}, is_fast_here() ? ~std::uint32_t{0} : std::uint32_t{0}}) {
        choose_box_kernel(features);
        for (int round = 0; round < 20; ++round) {
            CurveSecretKey own;
            randombytes_buf(own.expose().data(), CurveSecretKey::size);
            CurveKey expected;
            crypto_scalarmult_base(expected.bytes.data(), own.expose().data());
            ASSERT_EQ(public_key_of(own), expected);
            CurveKey theirs;
            randombytes_buf(theirs.bytes.data(), CurveKey::size);
            ByteArray<32> key;
            ASSERT_EQ(crypto_box_beforenm(key.data(), theirs.bytes.data(), own.expose().data()), 0);
            const auto shared = shared_key(theirs, own);
            ASSERT_TRUE(shared.has_value());
            ASSERT_TRUE(same_bytes(shared->expose(), key));
        }
    }
}

TEST_F(BoxesTest, no_key_is_shared_with_a_point_of_low_order)
{
    for (const auto features : {std::uint32_t{0}, is_fast_here() ? ~std::uint32_t{0} : std::uint32_t{0}}) {
        choose_box_kernel(features);
        CurveSecretKey own;
        randombytes_buf(own.expose().data(), CurveSecretKey::size);
        for (const std::uint8_t first : {std::uint8_t{0}, std::uint8_t{1}}) {
            CurveKey low;
            low.bytes[0] = first;
            EXPECT_EQ(shared_key(low, own).error().kind, Kind::unauthentic);
        }
    }
}

TEST_F(BoxesTest, messages_with_a_subkey_made_before_are_boxes_of_the_key_itself)
{
    constexpr std::string_view prefix = "CurveZMQMESSAGEC";
    for (const auto features : {std::uint32_t{0}, is_fast_here() ? ~std::uint32_t{0} : std::uint32_t{0}}) {
        choose_box_kernel(features);
        SharedKey key;
        randombytes_buf(key.expose().data(), SharedKey::size);
        const auto subkey = message_subkey(key, prefix);
        const MessageBox place{key, subkey, prefix, 77};
        const std::vector<std::uint8_t> text(300, 0x61);
        std::vector<std::uint8_t> box(text.size() + crypto_box_MACBYTES);
        std::vector<std::uint8_t> expected(box.size());
        seal_message(box.data(), text, place);
        seal_box(expected.data(), text, protocol::curve::short_nonce(prefix, 77), key);
        EXPECT_EQ(box, expected);
        std::vector<std::uint8_t> opened(text.size());
        EXPECT_TRUE(open_message(opened.data(), box, place).has_value());
        EXPECT_EQ(opened, text);
        box[20] ^= 1U;
        EXPECT_EQ(open_message(opened.data(), box, place).error().kind, Kind::unauthentic);
        EXPECT_EQ(open_message(opened.data(), Bytes(box).first(15), place).error().kind, Kind::truncated);
    }
}

} // namespace
} // namespace caisson::trusted::curve
