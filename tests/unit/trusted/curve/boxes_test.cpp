#include "trusted/curve/boxes.hpp"

#include "airlock/entry.hpp"
#include "core/crypto/box_stream.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <memory>
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

constexpr std::array<CpuFeature, 4> kernel_features{CpuFeature::avx2, CpuFeature::avx512, CpuFeature::avx512_ifma,
                                                    CpuFeature::avx512_vbmi2};

// Every subset of what kernels are chosen by, as far as this CPU can run what would be chosen; the rest of what a host
// may say is said as well.
std::vector<std::uint32_t> feature_sets()
{
    std::uint32_t all = 0;
    for (const auto feature : kernel_features) {
        all |= bit(feature);
    }
    std::vector<std::uint32_t> sets;
    for (std::uint32_t chosen = 0; chosen < (1U << kernel_features.size()); ++chosen) {
        auto features = ~all;
        for (std::size_t index = 0; index < kernel_features.size(); ++index) {
            features |= ((chosen >> index) & 1U) != 0 ? bit(kernel_features[index]) : 0;
        }
        const bool avx2 = (features & bit(CpuFeature::avx2)) != 0;
        const bool avx512 = (chosen >> 1U) == 7;
        if ((!avx2 || __builtin_cpu_supports("avx2") != 0) && (!avx512 || is_fast_here())) {
            sets.push_back(features);
        }
    }
    return sets;
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
    EXPECT_GE(feature_sets().size(), 7U); // those without AVX2 that do not add up to AVX-512
    for (const auto features : feature_sets()) {
        expect_sodium_agrees(features);
    }
}

TEST_F(BoxesTest, public_and_shared_keys_are_those_of_libsodium_whatever_the_cpu_is_said_to_have)
{
    for (const auto features : feature_sets()) {
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
    for (const auto features : feature_sets()) {
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
    for (const auto features : feature_sets()) {
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

// [CURVE-43]
TEST_F(BoxesTest, many_messages_and_messages_in_pieces_are_boxes_of_the_key_itself)
{
    constexpr std::string_view prefix = "CurveZMQMESSAGES";
    for (const auto features : feature_sets()) {
        choose_box_kernel(features);
        for (const std::size_t count : {1, 2, 3, 20}) {
            SharedKey key;
            randombytes_buf(key.expose().data(), SharedKey::size);
            const auto subkey = message_subkey(key, prefix);
            const std::vector<std::uint8_t> text(700, 0x61);
            std::vector<std::vector<std::uint8_t>> boxes(count, std::vector<std::uint8_t>(text.size() + 16));
            std::vector<crypto::BoxJob> jobs;
            for (std::size_t index = 0; index < count; ++index) {
                jobs.push_back({&subkey, index + 1, text.data(), boxes[index].data(), text.size()});
            }
            const bool together = seal_messages(jobs);
            EXPECT_EQ(together, box_kernel() == crypto::BoxKernel::avx512 ||
                                    (box_kernel() == crypto::BoxKernel::avx2 && count >= 3));
            for (std::size_t index = 0; index < count && !together; ++index) {
                seal_message(boxes[index].data(), text, {key, subkey, prefix, index + 1});
            }
            for (std::size_t index = 0; index < count; ++index) {
                const auto nonce = protocol::curve::short_nonce(prefix, index + 1);
                std::vector<std::uint8_t> expected(boxes[index].size());
                crypto_box_easy_afternm(expected.data(), text.data(), text.size(), nonce.data(), key.expose().data());
                ASSERT_EQ(boxes[index], expected);
                const auto position = stream_position(key, nonce);
                crypto::BoxOpener opener(box_kernel(), position.view());
                std::vector<std::uint8_t> opened(text.size());
                opener.update(Bytes(expected).subspan(16, 100), opened.data());
                opener.update(Bytes(expected).subspan(116), opened.data() + 100);
                crypto::BoxTag tag;
                std::copy_n(expected.begin(), tag.size(), tag.begin());
                ASSERT_TRUE(opener.finish(tag));
                ASSERT_EQ(opened, text);
            }
            boxes[0][30] ^= 1U;
            std::vector<std::uint8_t> texts(count * text.size());
            for (std::size_t index = 0; index < count; ++index) {
                auto* const to = texts.data() + index * text.size();
                jobs[index] = {&subkey, index + 1, boxes[index].data(), to, text.size()};
            }
            const auto opened = std::make_unique<bool[]>(count);
            ASSERT_EQ(open_messages(jobs, {opened.get(), count}), together);
            for (std::size_t index = 0; index < count && together; ++index) {
                ASSERT_EQ(opened[index], index != 0);
                ASSERT_EQ(same_bytes({jobs[index].to, text.size()}, text), index != 0);
            }
        }
    }
}

TEST_F(BoxesTest, pieces_go_through_the_best_kernel_that_the_features_allow)
{
    choose_box_kernel(0);
    EXPECT_EQ(box_kernel(), crypto::BoxKernel::portable);
    choose_box_kernel(bit(CpuFeature::avx512) | bit(CpuFeature::avx512_ifma));
    EXPECT_EQ(box_kernel(), crypto::BoxKernel::portable);
    choose_box_kernel(bit(CpuFeature::avx2));
    EXPECT_EQ(box_kernel(), crypto::BoxKernel::avx2);
    choose_box_kernel(~std::uint32_t{0});
    EXPECT_EQ(box_kernel(), crypto::BoxKernel::avx512);
}

} // namespace
} // namespace caisson::trusted::curve
