#include "core/crypto/box_stream.hpp"

#include "tests/support/box_kernels.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace caisson::crypto {
namespace {

using Buffer = std::vector<std::uint8_t>;

Buffer random_text(std::size_t size)
{
    Buffer text(size);
    if (size != 0) {
        randombytes_buf(text.data(), size);
    }
    return text;
}

// One text, its box by libsodium, and the key of both.
struct Sealed {
    ByteArray<32> key;
    ByteArray<24> nonce;
    BoxSubkey subkey;
    std::uint64_t counter = 0;
    Buffer text;
    Buffer box;

    explicit Sealed(std::size_t size)
        : text(random_text(size))
        , box(size + box_tag_bytes)
    {
        randombytes_buf(key.data(), key.size());
        randombytes_buf(nonce.data(), nonce.size());
        subkey = derive_box_subkey(key, std::span(nonce).first<16>());
        std::memcpy(&counter, nonce.data() + 16, sizeof counter);
        counter = __builtin_bswap64(counter);
        EXPECT_EQ(crypto_box_easy_afternm(box.data(), text.data(), size, nonce.data(), key.data()), 0);
    }
    [[nodiscard]] BoxPosition at() const { return {subkey, counter}; }
    [[nodiscard]] Bytes ciphertext() const { return Bytes(box).subspan(box_tag_bytes); }
    [[nodiscard]] BoxTag tag() const
    {
        BoxTag tag;
        std::copy_n(box.begin(), tag.size(), tag.begin());
        return tag;
    }
};

// The next piece: around every edge of blocks and lanes, or anything.
std::size_t piece_of(std::size_t left)
{
    static constexpr std::array<std::size_t, 12> edges{0, 1, 15, 16, 31, 32, 33, 63, 64, 65, 256, 2048};
    const auto choice = randombytes_uniform(16);
    const auto wanted = choice < edges.size() ? edges[choice] : randombytes_uniform(9000);
    return std::min<std::size_t>(left, wanted);
}

template <typename Stream>
Buffer fed_in_pieces(Stream& stream, Bytes from)
{
    Buffer out(from.size());
    for (std::size_t done = 0; done < from.size();) {
        const auto count = piece_of(from.size() - done);
        stream.update(from.subspan(done, count), out.data() + done);
        done += count;
    }
    return out;
}

void expect_pieces_make_the_box(BoxKernel kernel, const Sealed& sealed)
{
    BoxSealer sealer(kernel, sealed.at());
    const auto ciphertext = fed_in_pieces(sealer, sealed.text);
    ASSERT_TRUE(same_bytes(ciphertext, sealed.ciphertext())) << sealed.text.size();
    ASSERT_EQ(sealer.finish(), sealed.tag()) << sealed.text.size();
    BoxOpener opener(kernel, sealed.at());
    ASSERT_EQ(fed_in_pieces(opener, sealed.ciphertext()), sealed.text);
    ASSERT_TRUE(opener.finish(sealed.tag())) << sealed.text.size();
}

bool every_size() // the target `check_every_size`
{
    static const bool all = std::getenv("CAISSON_EVERY_SIZE") != nullptr;
    return all;
}

TEST(BoxStream, pieces_of_any_size_make_and_open_the_box_of_libsodium)
{
    for (const auto kernel : kernels_here()) {
        for (std::size_t size = 0; size <= 4200; size += every_size() || size < 300 ? 1 : 13) {
            expect_pieces_make_the_box(kernel, Sealed(size));
        }
        for (int round = 0; round < 20; ++round) {
            expect_pieces_make_the_box(kernel, Sealed(randombytes_uniform(every_size() ? 1U << 20U : 200'000)));
        }
    }
}

TEST(BoxStream, a_text_of_a_mebibyte_in_pieces_of_64_kib_is_one_box)
{
    for (const auto kernel : kernels_here()) {
        const Sealed sealed((std::size_t{1} << 20U) + 17);
        BoxSealer sealer(kernel, sealed.at());
        Buffer out(sealed.text.size());
        for (std::size_t done = 0; done < out.size(); done += 65536) {
            const auto count = std::min<std::size_t>(65536, out.size() - done);
            sealer.update(Bytes(sealed.text).subspan(done, count), out.data() + done);
        }
        EXPECT_TRUE(same_bytes(out, sealed.ciphertext()));
        EXPECT_EQ(sealer.finish(), sealed.tag());
    }
}

TEST(BoxStream, a_piece_may_overlap_what_it_becomes)
{
    for (const auto kernel : kernels_here()) {
        for (const std::size_t at : {0, 3, 16, 40, 64}) {
            const Sealed sealed(3000);
            Buffer memory(3100);
            std::copy(sealed.text.begin(), sealed.text.end(), memory.begin() + static_cast<std::ptrdiff_t>(at));
            BoxSealer sealer(kernel, sealed.at());
            sealer.update(Bytes(memory).subspan(at, 3000), memory.data() + 20);
            EXPECT_TRUE(same_bytes(Bytes(memory).subspan(20, 3000), sealed.ciphertext()));
            EXPECT_EQ(sealer.finish(), sealed.tag());
            BoxOpener opener(kernel, sealed.at());
            opener.update(Bytes(memory).subspan(20, 3000), memory.data() + at);
            EXPECT_TRUE(same_bytes(Bytes(memory).subspan(at, 3000), sealed.text));
            EXPECT_TRUE(opener.finish(sealed.tag()));
        }
    }
}

bool opens(BoxKernel kernel, const Sealed& sealed, Bytes ciphertext, const BoxTag& tag)
{
    BoxOpener opener(kernel, sealed.at());
    (void)fed_in_pieces(opener, ciphertext);
    return opener.finish(tag);
}

TEST(BoxStream, a_change_of_any_octet_is_refused)
{
    for (const auto kernel : kernels_here()) {
        const Sealed sealed(700);
        Buffer changed(sealed.ciphertext().begin(), sealed.ciphertext().end());
        for (std::size_t index = 0; index < changed.size(); ++index) {
            changed[index] = static_cast<std::uint8_t>(changed[index] ^ (1U << (index % 8)));
            ASSERT_FALSE(opens(kernel, sealed, changed, sealed.tag())) << index;
            changed[index] = sealed.ciphertext()[index];
        }
        for (std::size_t index = 0; index < box_tag_bytes; ++index) {
            auto tag = sealed.tag();
            tag[index] = static_cast<std::uint8_t>(tag[index] ^ 0x80U);
            ASSERT_FALSE(opens(kernel, sealed, changed, tag)) << index;
        }
    }
}

TEST(BoxStream, an_end_before_or_after_the_right_one_is_refused)
{
    for (const auto kernel : kernels_here()) {
        for (const std::size_t size : {1, 32, 33, 96, 97, 1000}) {
            const Sealed sealed(size);
            Buffer longer(sealed.ciphertext().begin(), sealed.ciphertext().end());
            longer.push_back(0);
            EXPECT_FALSE(opens(kernel, sealed, longer, sealed.tag()));
            EXPECT_FALSE(opens(kernel, sealed, sealed.ciphertext().first(size - 1), sealed.tag()));
            EXPECT_TRUE(opens(kernel, sealed, sealed.ciphertext(), sealed.tag()));
        }
    }
}

TEST(BoxStream, a_box_that_has_ended_takes_no_more)
{
    const Sealed sealed(10);
    BoxSealer sealer(BoxKernel::portable, sealed.at());
    (void)sealer.finish();
    std::uint8_t octet = 0;
    EXPECT_DEATH(sealer.update({&octet, 1}, &octet), "ended_");
}

} // namespace
} // namespace caisson::crypto
