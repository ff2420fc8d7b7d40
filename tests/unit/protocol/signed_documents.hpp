// What the tests of signed documents share: a key pair from a seed, and the two attacks on every byte.
#pragma once

#include "protocol/cose_sign1.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include <functional>
#include <vector>

namespace caisson::protocol::test {

struct Signer {
    SigningKey secret;
    VerifyingKey key;

    explicit Signer(std::uint8_t seed_byte)
    {
        ByteArray<crypto_sign_SEEDBYTES> seed;
        seed.fill(seed_byte);
        crypto_sign_seed_keypair(key.bytes.data(), secret.expose().data(), seed.data());
    }
};

// No truncation and no flipped bit of `document` may be accepted.
inline void expect_every_change_refused(const std::vector<std::uint8_t>& document,
                                        const std::function<bool(Bytes)>& accepts)
{
    ASSERT_TRUE(accepts(document));
    for (std::size_t size = 0; size < document.size(); ++size) {
        EXPECT_FALSE(accepts(Bytes(document).first(size))) << "truncated to " << size;
    }
    auto longer = document;
    longer.push_back(0);
    EXPECT_FALSE(accepts(longer));
    for (std::size_t bit = 0; bit < document.size() * 8; ++bit) {
        auto flipped = document;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
        EXPECT_FALSE(accepts(flipped)) << "bit " << bit;
    }
}

} // namespace caisson::protocol::test
