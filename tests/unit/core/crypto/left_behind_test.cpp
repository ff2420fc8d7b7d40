// Kernels leave nothing behind that a secret decided: each runs twice on one painted stack, with two keys, and with
// texts that these keys make the same ciphertext of. What then differs on the stack or in a vector register, and is no
// tag, was made of a key, a key stream or a text. Linked from the very objects that the images are made of.
#include "core/crypto/box.hpp"
#include "core/crypto/box_batch.hpp"
#include "core/crypto/box_stream.hpp"
#include "core/crypto/x25519.hpp"
#include "tests/support/box_kernels.hpp"
#include "tests/support/painted_stack.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <new>
#include <random>

namespace caisson::crypto {
namespace {

using Buffer = std::vector<std::uint8_t>;
using tests::PaintedStack;
using tests::PublicPair;

// Which of the two runs: they have the same seeds but for the secrets.
enum class Side : std::uint8_t { first, second };

class Randomness {
  public:
    explicit Randomness(std::uint64_t seed)
        : engine_(seed)
    {
    }
    void fill(MutableBytes bytes)
    {
        for (auto& octet : bytes) {
            octet = static_cast<std::uint8_t>(engine_());
        }
    }

  private:
    std::mt19937_64 engine_;
};

void add_public(std::vector<PublicPair>& known, Bytes first, Bytes second)
{
    for (std::size_t at = 0; at + 8 <= first.size(); at += 8) {
        PublicPair pair{};
        std::copy_n(first.begin() + static_cast<std::ptrdiff_t>(at), 8, pair.first.begin());
        std::copy_n(second.begin() + static_cast<std::ptrdiff_t>(at), 8, pair.second.begin());
        known.push_back(pair);
    }
}

// One thing to do: prepare(side) sets its memory, always at the same addresses; work() is what is looked at; after it
// public_octets() is what everybody may know.
class Subject {
  public:
    Subject() = default;
    virtual ~Subject() = default;
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;
    virtual void prepare(Side side) = 0;
    virtual void work() = 0;
    [[nodiscard]] virtual Buffer public_octets() const = 0;
};

struct Found {
    tests::Differences stack;
    tests::Differences registers;
};

Found left_by(Subject& subject)
{
    static PaintedStack stack;
    const auto run = [&](Side side) {
        subject.prepare(side);
        return stack.run([](void* one) { static_cast<Subject*>(one)->work(); }, &subject);
    };
    (void)run(Side::first); // the linker's own work on a first call
    const auto first = run(Side::first);
    const auto first_public = subject.public_octets();
    const auto second = run(Side::second);
    const auto again = run(Side::first);
    EXPECT_TRUE(first.stack == again.stack) << "two runs with one secret differ: nothing could be said";
    subject.prepare(Side::second);
    subject.work();
    std::vector<PublicPair> known;
    add_public(known, first_public, subject.public_octets());
    return {differences(first.stack, second.stack, known), differences(first.registers, second.registers, known)};
}

void expect_nothing_left(Subject& subject, const std::string& what)
{
    const auto found = left_by(subject);
    EXPECT_TRUE(found.stack.count == 0 && found.registers.count == 0)
        << what << ": " << found.stack.count << " octets on the stack, the farthest " << found.stack.farthest
        << " below the caller, of " << found.stack.used << " that were used; " << found.registers.count
        << " in registers";
}

enum class Way : std::uint8_t { seal, open, open_damaged };

// Boxes of any sizes under one key or three; ciphertexts are the same on both sides, texts and tags are not.
class Boxes : public Subject {
  public:
    Boxes(BoxKernel kernel, Way way, const std::vector<std::size_t>& sizes, std::size_t keys_count)
        : kernel_(kernel)
        , way_(way)
        , subkeys_(keys_count)
        , opened_(std::make_unique<bool[]>(sizes.size()))
    {
        Randomness randomness(1);
        for (const auto size : sizes) {
            Buffer box(size + box_tag_bytes);
            randomness.fill(box);
            wanted_.push_back(box);
            boxes_.push_back(box);
            texts_.emplace_back(size);
        }
        for (std::size_t index = 0; index < sizes.size(); ++index) {
            auto& box = boxes_[index];
            auto& text = texts_[index];
            const bool seals = way == Way::seal;
            jobs_.push_back({&subkeys_[index % keys_count], index + 1, seals ? text.data() : box.data(),
                             seals ? box.data() : text.data(), sizes[index]});
        }
    }

    void prepare(Side side) override
    {
        Randomness randomness(side == Side::first ? 2 : 3);
        for (auto& subkey : subkeys_) {
            randomness.fill(subkey.expose());
        }
        for (std::size_t index = 0; index < jobs_.size(); ++index) {
            const auto& job = jobs_[index];
            auto& text = texts_[index];
            auto& box = boxes_[index];
            Buffer zeros(text.size());
            seal_box(BoxKernel::portable, {*job.key, job.counter}, zeros, box.data());
            for (std::size_t at = 0; at < text.size(); ++at) {
                text[at] = static_cast<std::uint8_t>(box[box_tag_bytes + at] ^ wanted_[index][box_tag_bytes + at]);
            }
            seal_box(BoxKernel::portable, {*job.key, job.counter}, text, box.data());
        }
        tags_ = {};
        for (auto& box : boxes_) {
            tags_.insert(tags_.end(), box.begin(), box.begin() + box_tag_bytes);
        }
        if (way_ == Way::open_damaged) {
            for (std::size_t index = 0; index < boxes_.size(); index += 2) {
                boxes_[index][3] = static_cast<std::uint8_t>(boxes_[index][3] ^ 1U);
                tags_.insert(tags_.end(), boxes_[index].begin(), boxes_[index].begin() + box_tag_bytes);
            }
        }
    }
    [[nodiscard]] Buffer public_octets() const override { return tags_; }

  protected:
    BoxKernel kernel_;
    Way way_;
    std::vector<BoxSubkey> subkeys_;
    std::vector<Buffer> wanted_;
    std::vector<Buffer> texts_;
    std::vector<Buffer> boxes_;
    std::vector<BoxJob> jobs_;
    std::unique_ptr<bool[]> opened_;
    Buffer tags_;
};

class Alone : public Boxes {
  public:
    Alone(BoxKernel kernel, Way way, std::size_t size)
        : Boxes(kernel, way, {size}, 1)
    {
    }
    void work() override
    {
        const auto& job = jobs_[0];
        if (way_ == Way::seal) {
            seal_box(kernel_, {*job.key, job.counter}, {job.from, job.size}, job.to);
        } else {
            opened_[0] = open_box(kernel_, {*job.key, job.counter}, {job.from, job.size + box_tag_bytes}, job.to);
        }
    }
};

class Batch : public Boxes {
  public:
    using Boxes::Boxes;
    void work() override
    {
        if (way_ == Way::seal) {
            seal_boxes(kernel_, jobs_);
        } else {
            open_boxes(kernel_, jobs_, {opened_.get(), jobs_.size()});
        }
    }
};

// In two pieces, of which the first ends within a block.
class Pieces : public Boxes {
  public:
    Pieces(BoxKernel kernel, Way way, std::size_t size)
        : Boxes(kernel, way, {size}, 1)
    {
    }
    void work() override
    {
        constexpr std::size_t cut = 45;
        const auto& job = jobs_[0];
        if (way_ == Way::seal) {
            BoxSealer sealer(kernel_, {*job.key, job.counter});
            sealer.update({job.from, cut}, job.to + box_tag_bytes);
            sealer.update({job.from + cut, job.size - cut}, job.to + box_tag_bytes + cut);
            const auto tag = sealer.finish();
            std::copy(tag.begin(), tag.end(), job.to);
        } else {
            BoxOpener opener(kernel_, {*job.key, job.counter});
            opener.update({job.from + box_tag_bytes, cut}, job.to);
            opener.update({job.from + box_tag_bytes + cut, job.size - cut}, job.to + cut);
            BoxTag tag;
            std::copy_n(job.from, tag.size(), tag.begin());
            opened_[0] = opener.finish(tag);
        }
    }
};

class Subkey : public Subject {
  public:
    void prepare(Side side) override { Randomness(side == Side::first ? 2 : 3).fill(key_); }
    void work() override { new (memory_.data()) BoxSubkey(derive_box_subkey(key_, prefix_)); }
    [[nodiscard]] Buffer public_octets() const override { return {}; }

  private:
    ByteArray<32> key_{};
    ByteArray<16> prefix_{};
    alignas(BoxSubkey) ByteArray<sizeof(BoxSubkey)> memory_{}; // where it is made: moving it would use a register
};

enum class Product : std::uint8_t { public_keys, shared_secrets };

class X25519Keys : public Subject {
  public:
    X25519Keys(Product product, std::size_t count)
        : product_(product)
        , secrets_(count)
        , points_(count)
        , out_(count)
    {
        Randomness randomness(1);
        for (std::size_t index = 0; index < count; ++index) {
            randomness.fill(points_[index]);
            jobs_.push_back({secrets_[index].data(), points_[index].data(), out_[index].data()});
        }
    }
    void prepare(Side side) override
    {
        Randomness randomness(side == Side::first ? 2 : 3);
        for (auto& secret : secrets_) {
            randomness.fill(secret);
        }
    }
    void work() override
    {
        if (product_ == Product::public_keys) {
            make_public_keys(jobs_);
        } else {
            make_shared_secrets(jobs_);
        }
    }
    [[nodiscard]] Buffer public_octets() const override
    {
        Buffer octets;
        for (const auto& key : out_) {
            if (product_ == Product::public_keys) {
                octets.insert(octets.end(), key.begin(), key.end());
            }
        }
        return octets;
    }

  private:
    Product product_;
    std::vector<ByteArray<32>> secrets_;
    std::vector<ByteArray<32>> points_;
    std::vector<ByteArray<32>> out_;
    std::vector<X25519Job> jobs_;
};

// Keeps its secret on the stack, and in a register that nobody else uses.
class Careless : public Subject {
  public:
    void prepare(Side side) override { secret_ = side == Side::first ? 0x0123456789abcdefU : 0xfedcba9876543210U; }
    void work() override
    {
        volatile std::uint64_t copy = secret_;
        __asm__ volatile("movq %0, %%xmm9" : : "r"(copy) : "xmm9");
    }
    [[nodiscard]] Buffer public_octets() const override { return {}; }

  private:
    std::uint64_t secret_ = 0;
};

const char* name_of(BoxKernel kernel)
{
    return kernel == BoxKernel::portable ? "portable" : kernel == BoxKernel::avx2 ? "AVX2" : "AVX-512";
}

const char* name_of(Way way)
{
    return way == Way::seal ? "sealing" : way == Way::open ? "opening" : "opening damaged";
}

constexpr Way ways[] = {Way::seal, Way::open, Way::open_damaged};

std::string text_of(BoxKernel kernel, Way way, std::size_t size)
{
    return std::string(name_of(kernel)) + ", " + name_of(way) + ", " + std::to_string(size);
}

TEST(LeftBehind, the_control_that_does_not_wipe_is_seen)
{
    Careless careless;
    const auto found = left_by(careless);
    EXPECT_GE(found.stack.count, 8U);
    EXPECT_EQ(found.registers.count, 8U);
}

TEST(LeftBehind, one_box_leaves_nothing_of_keys_and_texts)
{
    for (const auto kernel : kernels_here()) {
        for (const auto way : ways) {
            for (const std::size_t size : {0, 1, 31, 32, 65, 200, 224, 225, 600, 1000, 3000, 5000, 20'000}) {
                Alone subject(kernel, way, size);
                expect_nothing_left(subject, text_of(kernel, way, size));
            }
        }
    }
}

TEST(LeftBehind, a_batch_of_boxes_leaves_nothing_of_keys_and_texts)
{
    for (const auto kernel : kernels_here()) {
        for (const auto way : ways) {
            for (const std::size_t count : {1, 2, 8, 16, 19}) {
                for (const std::size_t size : {0, 65, 1024}) {
                    Batch subject(kernel, way, std::vector<std::size_t>(count, size), 1);
                    expect_nothing_left(subject, text_of(kernel, way, size) + " x " + std::to_string(count));
                }
            }
            Batch mixed(kernel, way, {3, 64, 65, 700, 0, 16, 5000, 33, 1, 90, 91, 92, 93, 94, 95, 96, 97, 10, 11, 12},
                        3);
            expect_nothing_left(mixed, text_of(kernel, way, 0) + " of any sizes and sessions");
        }
    }
}

TEST(LeftBehind, a_box_in_pieces_leaves_nothing_of_keys_and_texts)
{
    for (const auto kernel : kernels_here()) {
        for (const auto way : ways) {
            for (const std::size_t size : {45, 64, 100, 600, 5000}) {
                Pieces subject(kernel, way, size);
                expect_nothing_left(subject, text_of(kernel, way, size) + " in pieces");
            }
        }
    }
}

TEST(LeftBehind, the_making_of_a_subkey_leaves_nothing_of_it)
{
    Subkey subject;
    expect_nothing_left(subject, "HSalsa20");
}

TEST(LeftBehind, x25519_leaves_nothing_of_its_secrets)
{
    if (!has_avx512_kernels()) {
        GTEST_SKIP() << "this CPU has no AVX-512 IFMA: libsodium's code is used, and nothing of ours";
    }
    for (const auto product : {Product::public_keys, Product::shared_secrets}) {
        for (const std::size_t count : {1, 11, 64, 70}) {
            X25519Keys subject(product, count);
            expect_nothing_left(subject, (product == Product::public_keys ? "public keys " : "shared secrets ") +
                                             std::to_string(count));
        }
    }
}

} // namespace
} // namespace caisson::crypto
