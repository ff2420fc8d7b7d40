#include "core/secret.hpp"

#include "core/crypto/constant_time.hpp"

#include <gtest/gtest.h>

#include <new>
#include <type_traits>

namespace caisson {
namespace {

struct TestTag;
using TestSecret = Secret<32, TestTag>;

static_assert(!std::is_copy_constructible_v<TestSecret> && !std::is_copy_assignable_v<TestSecret>);

TEST(Secret, is_wiped_when_it_leaves)
{
    alignas(TestSecret) ByteArray<sizeof(TestSecret)> memory{};
    auto* secret = new (memory.data()) TestSecret;
    std::memset(secret->expose().data(), 0x5a, TestSecret::size);
    EXPECT_EQ(memory[31], 0x5a);
    secret->~TestSecret();
    EXPECT_EQ(memory, ByteArray<sizeof(TestSecret)>{});
}

TEST(Secret, is_wiped_when_it_moves_away)
{
    TestSecret first;
    first.expose()[0] = 7;
    const TestSecret second = std::move(first);
    EXPECT_EQ(second.expose()[0], 7);
    EXPECT_EQ(first.expose()[0], 0); // NOLINT(bugprone-use-after-move): the wipe is the point
}

TEST(ConstantTime, tells_equal_from_different)
{
    const ByteArray<3> left{1, 2, 3};
    const ByteArray<3> right{1, 2, 4};
    EXPECT_TRUE(crypto::equal(left, left));
    EXPECT_FALSE(crypto::equal(left, right));
    EXPECT_FALSE(crypto::equal(left, Bytes(left).first(2)));
}

} // namespace
} // namespace caisson
