// NaCl boxes, all kernels.
#include "core/crypto/box.hpp"
#include "core/crypto/box_batch.hpp"
#include "core/crypto/box_stream.hpp"
#include "tests/constant_time/row.hpp"
#include "tests/constant_time/secrecy.hpp"

#include <algorithm>

namespace caisson::tests::constant_time {
namespace {

using crypto::BoxKernel;

template <BoxKernel kernel>
void box()
{
    ByteArray<32> shared{1, 2, 3};
    make_secret(shared);
    const auto subkey = crypto::derive_box_subkey(shared, ByteArray<16>{});
    for (const std::size_t size : {std::size_t{0}, std::size_t{65}, std::size_t{1000}}) {
        ByteArray<1000> text;
        text.fill(5);
        make_secret(text);
        ByteArray<1000 + crypto::box_tag_bytes> sealed;
        const auto used = MutableBytes(sealed).first(size + crypto::box_tag_bytes);
        crypto::seal_box(kernel, {subkey, 7}, Bytes(text).first(size), sealed.data());
        finish(used);
        ByteArray<1000> opened;
        expect_verdict();
        auto verdict = crypto::open_box(kernel, {subkey, 7}, used, opened.data());
        make_public_value(verdict);
        if (size != 0) {
            finish(Bytes(opened).first(size));
        }
    }
}

// Nineteen messages of two sessions: a group of one size, and one of several.
template <BoxKernel kernel>
void seal_batch()
{
    constexpr std::size_t count = 19;
    constexpr std::size_t text_bytes = 150;
    constexpr std::size_t box_bytes = text_bytes + crypto::box_tag_bytes;
    ByteArray<32> shared{1, 2, 3};
    make_secret(shared);
    const crypto::BoxSubkey keys[2] = {crypto::derive_box_subkey(shared, ByteArray<16>{}),
                                       crypto::derive_box_subkey(shared, ByteArray<16>{1})};
    ByteArray<text_bytes> text;
    text.fill(5);
    make_secret(text);
    ByteArray<count * box_bytes> boxes;
    std::array<crypto::BoxJob, count> jobs;
    for (std::size_t index = 0; index < count; ++index) {
        const auto size = index < 16 ? 65 : 7 * index;
        jobs[index] = {&keys[index / 17], index + 1, text.data(), boxes.data() + index * box_bytes, size};
    }
    crypto::seal_boxes(kernel, jobs);
    for (const auto& job : jobs) {
        finish({job.to, job.size + crypto::box_tag_bytes});
    }
}

enum class Sizes : std::uint8_t { one, several };

// Of two sessions; with several sizes, and then a box whose tag is wrong. The portable kernel branches once on each
// verdict; a vector kernel goes on with lanes of which the verdict decides, so it needs a tool that is told of
// verdicts.
template <BoxKernel kernel, Sizes sizes>
void open_batch()
{
    constexpr std::size_t count = 19;
    constexpr std::size_t text_bytes = 150;
    constexpr std::size_t box_bytes = text_bytes + crypto::box_tag_bytes;
    ByteArray<32> shared{1, 2, 3};
    const crypto::BoxSubkey known[2] = {crypto::derive_box_subkey(shared, ByteArray<16>{}),
                                        crypto::derive_box_subkey(shared, ByteArray<16>{1})};
    make_secret(shared);
    const crypto::BoxSubkey keys[2] = {crypto::derive_box_subkey(shared, ByteArray<16>{}),
                                       crypto::derive_box_subkey(shared, ByteArray<16>{1})};
    ByteArray<text_bytes> text;
    text.fill(5);
    ByteArray<count * box_bytes> boxes;
    ByteArray<count * text_bytes> texts{};
    std::array<crypto::BoxJob, count> jobs;
    for (std::size_t index = 0; index < count; ++index) {
        const auto size = sizes == Sizes::one ? 65 : 8 * index + 1;
        auto* const box = boxes.data() + index * box_bytes;
        jobs[index] = {&keys[index / 17], index + 1, box, texts.data() + index * text_bytes, size};
        crypto::seal_box(BoxKernel::portable, {known[index / 17], index + 1}, Bytes(text).first(size), box);
    }
    constexpr std::size_t damaged = sizes == Sizes::one ? count : 7;
    if (damaged < count) {
        boxes[damaged * box_bytes] ^= 1U;
    }
    std::array<bool, count> opened{};
    expect_verdict(count);
    crypto::open_boxes(kernel, jobs, opened);
    for (std::size_t index = 0; index < count; ++index) {
        if (index != damaged) {
            finish({jobs[index].to, jobs[index].size});
        }
    }
}

// In two pieces; `opened` is for the caller to wipe where the tag is wrong, so the verdict decides nothing here.
template <BoxKernel kernel>
void open_stream()
{
    ByteArray<32> shared{1, 2, 3};
    const auto known = crypto::derive_box_subkey(shared, ByteArray<16>{});
    make_secret(shared);
    const auto subkey = crypto::derive_box_subkey(shared, ByteArray<16>{});
    ByteArray<3000> text;
    text.fill(5);
    ByteArray<3000 + crypto::box_tag_bytes> box;
    crypto::seal_box(BoxKernel::portable, {known, 7}, text, box.data());
    const auto ciphertext = Bytes(box).subspan(crypto::box_tag_bytes);
    crypto::BoxOpener opener(kernel, {subkey, 7});
    ByteArray<3000> opened;
    opener.update(ciphertext.first(100), opened.data());
    opener.update(ciphertext.subspan(100), opened.data() + 100);
    finish(opened);
    crypto::BoxTag tag;
    std::copy_n(box.begin(), tag.size(), tag.begin());
    auto verdict = opener.finish(tag);
    make_public_value(verdict);
}

template <BoxKernel kernel>
void stream()
{
    ByteArray<32> shared{1, 2, 3};
    make_secret(shared);
    const auto subkey = crypto::derive_box_subkey(shared, ByteArray<16>{});
    ByteArray<3000> text;
    text.fill(5);
    make_secret(text);
    crypto::BoxSealer sealer(kernel, {subkey, 7});
    ByteArray<3000> ciphertext;
    sealer.update(Bytes(text).first(100), ciphertext.data());
    sealer.update(Bytes(text).subspan(100), ciphertext.data() + 100);
    finish(ciphertext);
    const auto tag = sealer.finish();
    finish(tag);
}

constexpr Row rows[] = {
    {"boxes, portable", Needs::any_cpu, box<BoxKernel::portable>},
    {"boxes, AVX2", Needs::avx2, box<BoxKernel::avx2>},
    {"boxes, AVX-512", Needs::avx512, box<BoxKernel::avx512>},
    {"boxes in pieces, portable", Needs::any_cpu, stream<BoxKernel::portable>},
    {"boxes in pieces, AVX2", Needs::avx2, stream<BoxKernel::avx2>},
    {"boxes in pieces, AVX-512", Needs::avx512, stream<BoxKernel::avx512>},
    {"opening boxes in pieces, portable", Needs::any_cpu, open_stream<BoxKernel::portable>},
    {"opening boxes in pieces, AVX2", Needs::avx2, open_stream<BoxKernel::avx2>},
    {"opening boxes in pieces, AVX-512", Needs::avx512, open_stream<BoxKernel::avx512>},
    {"boxes by batches, portable", Needs::any_cpu, seal_batch<BoxKernel::portable>},
    {"boxes by batches, AVX2", Needs::avx2, seal_batch<BoxKernel::avx2>},
    {"boxes by batches, AVX-512", Needs::avx512, seal_batch<BoxKernel::avx512>},
    {"opening boxes by batches, portable", Needs::any_cpu, open_batch<BoxKernel::portable, Sizes::one>},
    {"opening boxes by batches, AVX2", Needs::avx2_told, open_batch<BoxKernel::avx2, Sizes::one>},
    {"opening boxes by batches, AVX-512", Needs::avx512, open_batch<BoxKernel::avx512, Sizes::one>},
    {"opening boxes of several sizes, one damaged, portable", Needs::any_cpu,
     open_batch<BoxKernel::portable, Sizes::several>},
    {"opening boxes of several sizes, one damaged, AVX2", Needs::avx2_told,
     open_batch<BoxKernel::avx2, Sizes::several>},
    {"opening boxes of several sizes, one damaged, AVX-512", Needs::avx512,
     open_batch<BoxKernel::avx512, Sizes::several>},
};

} // namespace

std::span<const Row> box_rows()
{
    return rows;
}

} // namespace caisson::tests::constant_time
