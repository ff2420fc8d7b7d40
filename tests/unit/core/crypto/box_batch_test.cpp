#include "core/crypto/box_batch.hpp"

#include "tests/support/box_kernels.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

namespace caisson::crypto {
namespace {

using Buffer = std::vector<std::uint8_t>;

enum class Place : std::uint8_t { apart, in_place };
enum class Keys : std::uint8_t { one, several };

constexpr std::uint8_t untouched = 0xee;

// A call's messages with libsodium's boxes of them. Each has memory of its own, off every alignment, with a margin
// before and behind, so that a read or write beyond it is seen.
class Batch {
  public:
    Batch(const std::vector<std::size_t>& sizes, Keys keys, Place place)
        : place_(place)
        , opened_(std::make_unique<bool[]>(sizes.size()))
    {
        for (auto& key : shared_) {
            randombytes_buf(key.data(), key.size());
            subkeys_.push_back(derive_box_subkey(key, std::span(nonce_).first<16>()));
        }
        for (std::size_t index = 0; index < sizes.size(); ++index) {
            add(sizes[index], keys == Keys::one ? 0 : randombytes_uniform(3), index);
        }
    }

    void seal(BoxKernel kernel)
    {
        std::vector<BoxJob> jobs;
        for (auto& one : messages_) {
            one.box.assign(one.shift + one.expected.size() + 1, untouched);
            const auto* from = one.text.data();
            if (place_ == Place::in_place) {
                std::copy(one.text.begin(), one.text.end(), one.sealed() + box_tag_bytes);
                from = one.sealed() + box_tag_bytes;
            }
            jobs.push_back({&subkeys_[one.key], one.counter, from, one.sealed(), one.text.size()});
        }
        seal_boxes(kernel, jobs);
    }
    void expect_boxes() const
    {
        for (const auto& one : messages_) {
            const auto sealed = Bytes(one.box).subspan(one.shift, one.expected.size());
            ASSERT_TRUE(same_bytes(sealed, one.expected)) << one.text.size();
            ASSERT_TRUE(one.box.back() == untouched && one.margin_is_whole(one.box)) << one.text.size();
        }
    }
    // Turns a bit of the box of message `index`; bit 3 of octet `at`.
    void damage(std::size_t index, std::size_t at)
    {
        auto& octet = messages_[index].sealed()[at];
        octet = static_cast<std::uint8_t>(octet ^ 8U);
        messages_[index].damaged = true;
    }
    void open(BoxKernel kernel)
    {
        std::vector<BoxJob> jobs;
        for (auto& one : messages_) {
            one.opened.assign(one.shift + one.text.size() + 1, untouched);
            auto* to = place_ == Place::in_place ? one.sealed() + box_tag_bytes : one.opened.data() + one.shift;
            jobs.push_back({&subkeys_[one.key], one.counter, one.sealed(), to, one.text.size()});
        }
        before_ = messages_;
        open_boxes(kernel, jobs, {opened_.get(), jobs.size()});
    }
    void expect_texts() const
    {
        for (std::size_t index = 0; index < messages_.size(); ++index) {
            const auto& one = messages_[index];
            ASSERT_EQ(opened_[index], !one.damaged) << one.text.size();
            const auto& memory = place_ == Place::in_place ? one.box : one.opened;
            const auto at = one.shift + (place_ == Place::in_place ? box_tag_bytes : 0);
            if (one.damaged) {
                const auto& old = place_ == Place::in_place ? before_[index].box : before_[index].opened;
                ASSERT_EQ(memory, old) << one.text.size();
            } else {
                ASSERT_TRUE(same_bytes(Bytes(memory).subspan(at, one.text.size()), one.text)) << one.text.size();
                ASSERT_TRUE(memory.back() == untouched && one.margin_is_whole(memory)) << one.text.size();
            }
        }
    }
    [[nodiscard]] std::size_t box_bytes(std::size_t index) const { return messages_[index].expected.size(); }

  private:
    struct Message {
        std::size_t key = 0;
        std::uint64_t counter = 0;
        std::size_t shift = 0; // where in their memory box and opened text begin
        bool damaged = false;
        Buffer text, expected, box, opened;

        [[nodiscard]] std::uint8_t* sealed() { return box.data() + shift; }
        [[nodiscard]] bool margin_is_whole(const Buffer& memory) const
        {
            const auto end = memory.begin() + static_cast<std::ptrdiff_t>(shift);
            return std::all_of(memory.begin(), end, [](std::uint8_t octet) { return octet == untouched; });
        }
    };

    void add(std::size_t size, std::size_t key, std::size_t index)
    {
        Message one;
        one.key = key;
        one.shift = randombytes_uniform(67);
        // Both halves of the counter move, as they do at its four thousand millionth message.
        one.counter = 0xfffffff0U + index;
        one.text.resize(size);
        randombytes_buf(one.text.data(), size);
        one.expected.resize(size + box_tag_bytes);
        auto nonce = nonce_;
        const auto counter = __builtin_bswap64(one.counter);
        std::memcpy(nonce.data() + 16, &counter, sizeof counter);
        EXPECT_EQ(
            crypto_box_easy_afternm(one.expected.data(), one.text.data(), size, nonce.data(), shared_[key].data()), 0);
        messages_.push_back(std::move(one));
    }

    ByteArray<24> nonce_{'C', 'u', 'r', 'v', 'e', 'Z', 'M', 'Q', 'M', 'E', 'S', 'S', 'A', 'G', 'E', 'C'};
    std::array<ByteArray<32>, 3> shared_{};
    std::vector<BoxSubkey> subkeys_;
    std::vector<Message> messages_;
    std::vector<Message> before_;
    Place place_;
    std::unique_ptr<bool[]> opened_;
};

void expect_batch_is_right(BoxKernel kernel, const std::vector<std::size_t>& sizes, Keys keys, Place place)
{
    Batch batch(sizes, keys, place);
    batch.seal(kernel);
    batch.expect_boxes();
    // None, one in four, or all of them.
    const auto hits = randombytes_uniform(3);
    for (std::size_t index = 0; index < sizes.size(); ++index) {
        if (hits == 2 || (hits == 1 && randombytes_uniform(4) == 0)) {
            batch.damage(index, randombytes_uniform(static_cast<std::uint32_t>(batch.box_bytes(index))));
        }
    }
    batch.open(kernel);
    batch.expect_texts();
}

std::size_t size_step(std::size_t size)
{
    static const bool all = std::getenv("CAISSON_EVERY_SIZE") != nullptr;
    return all ? 1 : size < 200 ? 3 : 61;
}

TEST(BoxBatch, messages_of_one_size_are_sealed_and_opened_as_by_libsodium)
{
    for (const auto kernel : kernels_here()) {
        for (std::size_t size = 0; size <= 4200; size += size_step(size)) {
            for (const auto keys : {Keys::one, Keys::several}) {
                const auto count = 1 + randombytes_uniform(20);
                const auto place = randombytes_uniform(2) == 0 ? Place::apart : Place::in_place;
                expect_batch_is_right(kernel, std::vector<std::size_t>(count, size), keys, place);
            }
        }
    }
}

TEST(BoxBatch, any_number_of_messages_of_65_octets_is_right)
{
    for (const auto kernel : kernels_here()) {
        for (std::size_t count = 1; count <= 70; ++count) {
            expect_batch_is_right(kernel, std::vector<std::size_t>(count, 65), Keys::one, Place::apart);
            expect_batch_is_right(kernel, std::vector<std::size_t>(count, 65), Keys::several, Place::in_place);
        }
    }
}

TEST(BoxBatch, messages_of_any_sizes_and_sessions_go_in_one_call)
{
    for (const auto kernel : kernels_here()) {
        for (const std::uint32_t limit : {20U, 70U, 300U, 6000U}) {
            for (int round = 0; round < 12; ++round) {
                std::vector<std::size_t> sizes(1 + randombytes_uniform(40));
                for (auto& size : sizes) {
                    size = randombytes_uniform(limit);
                }
                expect_batch_is_right(kernel, sizes, Keys::several, round % 2 == 0 ? Place::apart : Place::in_place);
            }
        }
    }
}

TEST(BoxBatch, a_mebibyte_goes_beside_short_messages)
{
    for (const auto kernel : kernels_here()) {
        for (const auto place : {Place::apart, Place::in_place}) {
            const std::size_t random = randombytes_uniform(1U << 20U);
            expect_batch_is_right(kernel, {65, random, 4096, 1, 4097, 65, std::size_t{1} << 20U, 0}, Keys::several,
                                  place);
        }
    }
}

TEST(BoxBatch, only_the_changed_box_of_sixteen_is_refused_wherever_the_change_is)
{
    for (const auto kernel : kernels_here()) {
        for (const std::size_t size : {0, 1, 65, 200}) {
            for (std::size_t at = 0; at < size + box_tag_bytes; ++at) {
                Batch batch(std::vector<std::size_t>(16, size), Keys::several, Place::apart);
                batch.seal(kernel);
                batch.damage(at % 16, at);
                batch.open(kernel);
                batch.expect_texts();
            }
        }
    }
}

} // namespace
} // namespace caisson::crypto
