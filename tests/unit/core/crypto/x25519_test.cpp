#include "core/crypto/x25519.hpp"

#include "tests/support/box_kernels.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

namespace caisson::crypto {
namespace {

using Key = ByteArray<32>;

class X25519 : public testing::Test {
  protected:
    void SetUp() override
    {
        if (!has_avx512_kernels()) {
            GTEST_SKIP() << "this CPU has no AVX-512 IFMA: libsodium's code is used, and nothing of ours";
        }
    }
};

Key key_of(std::string_view hex)
{
    Key key;
    EXPECT_EQ(sodium_hex2bin(key.data(), key.size(), hex.data(), hex.size(), nullptr, nullptr, nullptr), 0);
    return key;
}

Key random_key()
{
    Key key;
    randombytes_buf(key.data(), key.size());
    return key;
}

std::vector<Key> public_keys_of(const std::vector<Key>& secrets)
{
    std::vector<Key> out(secrets.size());
    std::vector<X25519Job> jobs;
    for (std::size_t index = 0; index < secrets.size(); ++index) {
        jobs.push_back({secrets[index].data(), nullptr, out[index].data()});
    }
    make_public_keys(jobs);
    return out;
}

std::vector<Key> shared_secrets_of(const std::vector<Key>& secrets, const std::vector<Key>& points)
{
    std::vector<Key> out(secrets.size());
    std::vector<X25519Job> jobs;
    for (std::size_t index = 0; index < secrets.size(); ++index) {
        jobs.push_back({secrets[index].data(), points[index].data(), out[index].data()});
    }
    make_shared_secrets(jobs);
    return out;
}

// libsodium's, which refuses a result of zeros.
Key by_sodium(const Key& secret, const Key& point)
{
    Key out{};
    if (crypto_scalarmult(out.data(), secret.data(), point.data()) != 0) {
        return {};
    }
    return out;
}

Key by_openssl(const Key& secret, const Key& point)
{
    using Free = decltype([](auto* key) {
        if constexpr (std::is_same_v<decltype(key), EVP_PKEY*>) {
            EVP_PKEY_free(key);
        } else {
            EVP_PKEY_CTX_free(key);
        }
    });
    const std::unique_ptr<EVP_PKEY, Free> own(
        EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.size()));
    const std::unique_ptr<EVP_PKEY, Free> theirs(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, point.data(), point.size()));
    const std::unique_ptr<EVP_PKEY_CTX, Free> context(EVP_PKEY_CTX_new(own.get(), nullptr));
    Key out{};
    auto size = out.size();
    if (EVP_PKEY_derive_init(context.get()) != 1 || EVP_PKEY_derive_set_peer(context.get(), theirs.get()) != 1 ||
        EVP_PKEY_derive(context.get(), out.data(), &size) != 1) {
        return {};
    }
    return out;
}

// RFC 7748, sections 5.2 and 6.1.
TEST_F(X25519, the_vectors_of_rfc_7748_come_out_in_every_lane)
{
    const std::vector<std::array<std::string_view, 3>> vectors{
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
        {"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
         "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
         "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
    };
    for (std::size_t lane = 0; lane < 9; ++lane) {
        std::vector<Key> secrets;
        std::vector<Key> points;
        std::vector<Key> expected;
        for (std::size_t index = 0; index < 9; ++index) {
            const auto& vector = vectors[(index + lane) % vectors.size()];
            secrets.push_back(key_of(vector[0]));
            points.push_back(key_of(vector[1]));
            expected.push_back(key_of(vector[2]));
        }
        EXPECT_EQ(shared_secrets_of(secrets, points), expected);
    }
    const auto alice = key_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    EXPECT_EQ(public_keys_of({alice})[0], key_of("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
}

// RFC 7748, section 5.2: k and u fed back, once, or a thousand times in the long run of check_every_size.
TEST_F(X25519, fed_with_its_own_results_it_ends_where_rfc_7748_says)
{
    const bool all = std::getenv("CAISSON_EVERY_SIZE") != nullptr;
    auto k = key_of("0900000000000000000000000000000000000000000000000000000000000000");
    auto u = k;
    for (int round = 0; round < (all ? 1000 : 1); ++round) {
        const auto next = shared_secrets_of({k}, {u})[0];
        u = k;
        k = next;
    }
    EXPECT_EQ(k, key_of(all ? "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"
                            : "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
}

TEST_F(X25519, any_number_of_public_keys_is_as_libsodium_and_openssl_make_them)
{
    for (std::size_t count = 1; count <= 70; count += count < 20 ? 1 : 9) {
        std::vector<Key> secrets;
        std::vector<Key> expected(count);
        for (std::size_t index = 0; index < count; ++index) {
            secrets.push_back(random_key());
            // Long runs of ones and zeros, where carries go furthest.
            if (index % 3 == 1) {
                std::fill(secrets[index].begin() + randombytes_uniform(16), secrets[index].end(),
                          index % 2 == 0 ? 0 : 0xff);
            }
            crypto_scalarmult_base(expected[index].data(), secrets[index].data());
            EXPECT_EQ(expected[index], by_openssl(secrets[index], Key{9}));
        }
        EXPECT_EQ(public_keys_of(secrets), expected) << count;
    }
}

TEST_F(X25519, any_number_of_shared_secrets_is_as_libsodium_and_openssl_make_them)
{
    for (std::size_t count = 1; count <= 70; count += count < 20 ? 1 : 9) {
        std::vector<Key> secrets;
        std::vector<Key> points;
        std::vector<Key> expected;
        for (std::size_t index = 0; index < count; ++index) {
            secrets.push_back(random_key());
            points.push_back(random_key());
            if (index % 4 == 1) { // around p, and beyond it
                points[index].fill(0xff);
                points[index][0] = static_cast<std::uint8_t>(0xda + index);
            }
            expected.push_back(by_sodium(secrets[index], points[index]));
            EXPECT_EQ(expected[index], by_openssl(secrets[index], points[index]));
        }
        EXPECT_EQ(shared_secrets_of(secrets, points), expected) << count;
    }
}

// Zeros and ones everywhere as secrets (clamped they are scalars like any other), and all points that have two names:
// p to 2^255 - 1, each with the highest bit, which RFC 7748 ignores, and without.
TEST_F(X25519, odd_secrets_and_points_above_p_are_taken_as_by_libsodium_and_openssl)
{
    std::vector<Key> odd_secrets(4);
    odd_secrets[1].fill(0xff);
    odd_secrets[2][0] = 7; // clamped it is the first one
    odd_secrets[3][31] = 0x80;
    std::vector<Key> secrets;
    std::vector<Key> points;
    std::vector<Key> expected;
    for (const auto& secret : odd_secrets) {
        for (std::uint8_t above = 0; above < 19; ++above) {
            for (const auto highest : {std::uint8_t{0x7f}, std::uint8_t{0xff}}) {
                Key point;
                point.fill(0xff);
                point[0] = static_cast<std::uint8_t>(0xed + above);
                point[31] = highest;
                secrets.push_back(secret);
                points.push_back(point);
                expected.push_back(by_sodium(secret, point));
                ASSERT_EQ(expected.back(), by_openssl(secret, point));
            }
        }
    }
    EXPECT_EQ(shared_secrets_of(secrets, points), expected);
    for (std::size_t index = 0; index < secrets.size(); ++index) { // alone in their lane
        ASSERT_EQ(shared_secrets_of({secrets[index]}, {points[index]})[0], expected[index]) << index;
    }
    for (const auto& secret : odd_secrets) {
        Key public_key;
        crypto_scalarmult_base(public_key.data(), secret.data());
        EXPECT_EQ(public_keys_of({secret})[0], public_key);
        EXPECT_EQ(public_keys_of(std::vector<Key>(9, secret)), std::vector<Key>(9, public_key));
    }
}

TEST_F(X25519, keys_may_lie_at_any_address)
{
    constexpr std::size_t count = 17;
    for (std::size_t shift = 0; shift < 8; ++shift) {
        std::vector<std::uint8_t> secrets(count * 33 + 8);
        std::vector<std::uint8_t> points(count * 33 + 8);
        std::vector<std::uint8_t> out(count * 33 + 8, 0xee);
        randombytes_buf(secrets.data(), secrets.size());
        randombytes_buf(points.data(), points.size());
        std::vector<X25519Job> jobs;
        for (std::size_t index = 0; index < count; ++index) {
            const auto at = shift + 33 * index;
            jobs.push_back({secrets.data() + at, points.data() + at, out.data() + at});
        }
        for (const bool shared : {false, true}) {
            shared ? make_shared_secrets(jobs) : make_public_keys(jobs);
            for (const auto& job : jobs) {
                Key expected{};
                const auto result = shared ? crypto_scalarmult(expected.data(), job.secret, job.point)
                                           : crypto_scalarmult_base(expected.data(), job.secret);
                ASSERT_EQ(result, 0);
                ASSERT_TRUE(same_bytes({job.out, expected.size()}, expected));
                ASSERT_EQ(job.out[expected.size()], 0xee);
            }
        }
    }
}

// The points of low order and their twins above p: the seven of libsodium's list, all of which give zero.
TEST_F(X25519, a_point_of_low_order_gives_zeros_and_harms_no_other_lane)
{
    const std::vector<Key> low{
        key_of("0000000000000000000000000000000000000000000000000000000000000000"),
        key_of("0100000000000000000000000000000000000000000000000000000000000000"),
        key_of("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        key_of("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        key_of("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        key_of("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        key_of("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    };
    for (std::size_t at = 0; at < 24; ++at) {
        std::vector<Key> secrets;
        std::vector<Key> points;
        std::vector<Key> expected;
        for (std::size_t index = 0; index < 24; ++index) {
            secrets.push_back(random_key());
            points.push_back(index == at || index == (at * 5 + 3) % 24 ? low[at % low.size()] : random_key());
            expected.push_back(by_sodium(secrets[index], points[index]));
        }
        EXPECT_EQ(expected[at], Key{});
        EXPECT_EQ(shared_secrets_of(secrets, points), expected) << at;
    }
}

} // namespace
} // namespace caisson::crypto
