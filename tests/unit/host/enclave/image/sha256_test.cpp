// Both ways of it against FIPS 180-4's examples and each other.
#include "host/enclave/image/sha256.hpp"

#include "core/text.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace caisson::host::enclave::image {
namespace {

std::string hex_of(const Digest& digest)
{
    std::string text(2 * digest.size(), '\0');
    write_hex(text, digest);
    return text;
}

Bytes bytes_of(std::string_view text)
{
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Digest in_one(Sha256::Way way, Bytes message)
{
    Sha256 hash(way);
    hash.absorb(message);
    return hash.finish();
}

TEST(Sha256, agrees_with_fips_180_4)
{
    const auto two_blocks = bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
    EXPECT_EQ(hex_of(sha256(bytes_of("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex_of(sha256(two_blocks)), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(hex_of(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, by_instructions_is_what_libsodium_computes_for_each_size_and_alignment)
{
    if (!has_sha_instructions()) {
        GTEST_SKIP() << "this CPU has none";
    }
    std::vector<std::uint8_t> octets(400);
    for (std::size_t index = 0; index < octets.size(); ++index) {
        octets[index] = static_cast<std::uint8_t>(index * 167 + 13);
    }
    for (std::size_t size = 0; size <= 300; ++size) {
        const auto message = Bytes(octets).subspan(size % 17, size);
        ASSERT_EQ(in_one(Sha256::Way::by_instructions, message), in_one(Sha256::Way::portable, message)) << size;
    }
}

TEST(Sha256, pieces_of_any_size_are_the_whole)
{
    std::vector<std::uint8_t> octets(300);
    for (std::size_t index = 0; index < octets.size(); ++index) {
        octets[index] = static_cast<std::uint8_t>(index * 91 + 5);
    }
    const auto whole = in_one(Sha256::Way::portable, octets);
    for (std::size_t first = 0; first <= octets.size(); ++first) {
        for (const std::size_t second : {0, 1, 63, 64, 65, 128}) {
            const auto then = std::min(second, octets.size() - first);
            Sha256 hash;
            hash.absorb(Bytes(octets).first(first));
            hash.absorb(Bytes(octets).subspan(first, then));
            hash.absorb(Bytes(octets).subspan(first + then));
            ASSERT_EQ(hash.finish(), whole) << first << " and " << then;
        }
    }
}

} // namespace
} // namespace caisson::host::enclave::image
