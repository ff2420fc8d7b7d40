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

} // namespace
} // namespace caisson::trusted::curve
