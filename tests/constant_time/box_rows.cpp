// NaCl boxes, all kernels.
#include "core/crypto/box.hpp"
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

constexpr Row rows[] = {
    {"boxes, portable", Needs::any_cpu, box<BoxKernel::portable>},
    {"boxes, AVX-512", Needs::avx512, box<BoxKernel::avx512>},
};

} // namespace

std::span<const Row> box_rows()
{
    return rows;
}

} // namespace caisson::tests::constant_time
