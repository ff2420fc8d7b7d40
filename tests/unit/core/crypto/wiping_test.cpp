// States that hold secrets leave nothing behind: their memory is looked at after their destructors.
#include "core/crypto/aes.hpp"
#include "core/crypto/kernels/poly1305.hpp"
#include "core/crypto/sha1.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <new>

namespace caisson::crypto {
namespace {

// How many words of an object's memory are there after its end as they were before it.
struct Remains {
    std::size_t before = 0; // words that were not zero
    std::size_t after = 0;  // of them, unchanged
};

template <typename T, typename Use, typename... Arguments>
Remains remains_of(Use use, const Arguments&... arguments)
{
    constexpr std::size_t words = sizeof(T) / sizeof(std::uint32_t);
    alignas(T) static ByteArray<sizeof(T)> memory;
    std::array<std::uint32_t, words> before{};
    std::array<std::uint32_t, words> after{};
    memory.fill(0);
    auto* const object = new (memory.data()) T(arguments...);
    use(*object);
    std::memcpy(before.data(), memory.data(), sizeof before);
    object->~T();
    const auto* looked_at = memory.data(); // as somebody would who knows nothing of lifetimes
    __asm__ volatile("" : "+r"(looked_at) : : "memory");
    std::memcpy(after.data(), looked_at, sizeof after);
    Remains remains;
    for (std::size_t word = 0; word < words; ++word) {
        remains.before += before[word] != 0 ? 1 : 0;
        remains.after += before[word] != 0 && after[word] == before[word] ? 1 : 0;
    }
    return remains;
}

template <typename Key>
Key key_of(std::uint8_t seed)
{
    Key key;
    for (auto& byte : key.expose()) {
        byte = seed = static_cast<std::uint8_t>(seed * 5 + 3);
    }
    return key;
}

TEST(Wiping, the_control_that_does_not_wipe_is_seen)
{
    struct Careless {
        explicit Careless(const std::uint32_t& secret) { words.fill(secret); }
        ~Careless() {} // NOLINT(modernize-use-equals-default)
        std::array<std::uint32_t, 8> words{};
    };
    const auto remains = remains_of<Careless>([](Careless& /*object*/) {}, 0xdeadbeefU);
    EXPECT_EQ(remains.before, 8U);
    EXPECT_EQ(remains.after, 8U);
}

TEST(Wiping, an_expanded_aes_key_is_gone)
{
    // What may stay: how many rounds, and which kernel.
    const auto use = [](Aes& /*aes*/) {};
    const auto small = remains_of<Aes>(use, key_of<Aes128Key>(1), AesKernel::portable);
    EXPECT_GT(small.before, 40U);
    EXPECT_LE(small.after, 2U);
    const auto large = remains_of<Aes>(use, key_of<Aes256Key>(1), AesKernel::portable);
    EXPECT_GT(large.before, 56U);
    EXPECT_LE(large.after, 2U);
}

TEST(Wiping, what_sha1_absorbed_is_gone)
{
    const auto secret = key_of<Aes256Key>(7);
    const auto remains = remains_of<Sha1>([&](Sha1& sha1) { sha1.absorb(secret.expose()); });
    EXPECT_GE(remains.before, 13U); // five of state, eight of the block
    EXPECT_LE(remains.after, 1U);   // the length
}

TEST(Wiping, a_one_time_key_of_poly1305_is_gone)
{
    const auto key = key_of<Aes256Key>(9);
    const auto remains = remains_of<kernels::Poly1305>([](kernels::Poly1305& /*poly*/) {}, key.expose().data());
    EXPECT_GE(remains.before, 8U);
    EXPECT_EQ(remains.after, 0U);
}

} // namespace
} // namespace caisson::crypto
