// NaCl boxes, all kernels.
#include "core/crypto/box.hpp"
#include "core/crypto/box_batch.hpp"
#include "core/crypto/box_stream.hpp"
#include "tests/constant_time/row.hpp"
#include "tests/constant_time/secrecy.hpp"

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

template <BoxKernel kernel>
void open_batch()
{
    constexpr std::size_t count = 3;
    constexpr std::size_t box_bytes = 65 + crypto::box_tag_bytes;
    const crypto::BoxSubkey open_key = crypto::derive_box_subkey(ByteArray<32>{1, 2, 3}, ByteArray<16>{});
    ByteArray<count * box_bytes> boxes;
    ByteArray<65> text;
    text.fill(5);
    for (std::size_t index = 0; index < count; ++index) {
        crypto::seal_box(kernel, {open_key, index}, text, boxes.data() + index * box_bytes);
    }
    ByteArray<32> shared{1, 2, 3};
    make_secret(shared);
    const auto key = crypto::derive_box_subkey(shared, ByteArray<16>{});
    ByteArray<count * 65> texts;
    std::array<crypto::BoxJob, count> jobs;
    for (std::size_t index = 0; index < count; ++index) {
        jobs[index] = {&key, index, boxes.data() + index * box_bytes, texts.data() + index * 65, 65};
    }
    std::array<bool, count> opened{};
    crypto::open_boxes(kernel, jobs, opened);
    finish(texts);
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
    {"boxes by batches, AVX2", Needs::avx2, seal_batch<BoxKernel::avx2>},
    {"boxes by batches, AVX-512", Needs::avx512, seal_batch<BoxKernel::avx512>},
    {"opening boxes by batches, AVX-512", Needs::avx512, open_batch<BoxKernel::avx512>},
};

} // namespace

std::span<const Row> box_rows()
{
    return rows;
}

} // namespace caisson::tests::constant_time
