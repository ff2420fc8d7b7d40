#include "tests/unit/trusted/witness/witness_world.hpp"

namespace caisson::trusted::witness {
namespace {

BoxSecretKey secret_key(std::uint8_t seed)
{
    BoxSecretKey key;
    key.expose()[0] = seed;
    key.expose()[31] = 0x40;
    return key;
}

Buffer boxed_by_us(std::string_view text, const protocol::BoxKey& recipient)
{
    Buffer box(protocol::box_seal_overhead_bytes + text.size());
    copy_bytes(MutableBytes(box).subspan(protocol::box_seal_overhead_bytes), bytes_of(text));
    EXPECT_TRUE(seal_box(box, recipient, secret_key(9)));
    return box;
}

TEST(SealedBox, libsodium_opens_what_we_seal)
{
    const Server server(3);
    for (const auto& text : {std::string(), std::string("x"), std::string(100'000, 'y')}) {
        EXPECT_EQ(text_of(server.open(boxed_by_us(text, server.box_key))), text);
    }
}

TEST(SealedBox, we_open_what_libsodium_seals)
{
    const auto secret = secret_key(5);
    const auto own = box_key_of(secret);
    const std::string_view text = "under water";
    Buffer box(text.size() + crypto_box_SEALBYTES);
    crypto_box_seal(box.data(), bytes_of(text).data(), text.size(), own.bytes.data());
    Buffer message(text.size());
    const auto size = open_box(message, box, own, secret);
    ASSERT_TRUE(size);
    EXPECT_EQ(text_of(Bytes(message).first(*size)), text);
}

TEST(SealedBox, every_flipped_bit_is_unauthentic)
{
    const auto secret = secret_key(5);
    const auto own = box_key_of(secret);
    auto box = boxed_by_us("text", own);
    Buffer message(16);
    for (std::size_t bit = 0; bit < box.size() * 8; ++bit) {
        const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
        box[bit / 8] ^= mask;
        // X25519 ignores the top bit of a public key, but the nonce is made of all its bits.
        const auto opened = open_box(message, box, own, secret);
        ASSERT_FALSE(opened) << bit;
        EXPECT_EQ(opened.error().kind, Kind::unauthentic);
        box[bit / 8] ^= mask;
    }
    EXPECT_TRUE(open_box(message, box, own, secret));
}

TEST(SealedBox, every_truncation_is_refused)
{
    const auto secret = secret_key(5);
    const auto own = box_key_of(secret);
    const auto box = boxed_by_us("text", own);
    Buffer message(16);
    for (std::size_t size = 0; size < box.size(); ++size) {
        EXPECT_FALSE(open_box(message, Bytes(box).first(size), own, secret)) << size;
    }
}

TEST(SealedBox, a_message_that_does_not_fit_is_exhausted)
{
    const auto secret = secret_key(5);
    const auto own = box_key_of(secret);
    Buffer message(3);
    EXPECT_EQ(open_box(message, boxed_by_us("text", own), own, secret).error().kind, Kind::exhausted);
}

TEST(SealedBox, a_weak_recipient_is_refused_and_the_message_wiped)
{
    Buffer box(protocol::box_seal_overhead_bytes + 4, 'm');
    const auto status = seal_box(box, protocol::BoxKey{}, secret_key(9));
    ASSERT_FALSE(status);
    EXPECT_EQ(box, Buffer(box.size(), 0));
}

} // namespace
} // namespace caisson::trusted::witness
