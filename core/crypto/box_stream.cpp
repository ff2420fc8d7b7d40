#include "core/crypto/box_stream.hpp"

#include "core/check.hpp"
#include "core/crypto/constant_time.hpp"
#include "core/crypto/kernels/forget_call.hpp"

#include <algorithm>

namespace caisson::crypto {
namespace {

constexpr std::size_t stack_bytes_max = 1024; // of what is done here; kernels forget their own

ByteArray<kernels::salsa20_block_bytes> first_block(const BoxPosition& at) noexcept
{
    ByteArray<kernels::salsa20_block_bytes> block;
    kernels::write_key_stream_block(at, 0, block);
    return block;
}

} // namespace

BoxStream::BoxStream(BoxKernel kernel, const BoxPosition& at) noexcept
    : kernel_(kernel)
    , counter_(at.counter)
    , key_stream_(first_block(at))
    , poly_(key_stream_.data())
{
    __builtin_memcpy(key_.expose().data(), at.key.expose().data(), BoxSubkey::size);
    wipe(MutableBytes(key_stream_).first(kernels::box_key_bytes));
    kernels::forget_call<stack_bytes_max>();
}

BoxStream::~BoxStream()
{
    wipe(key_stream_);
    wipe(ciphertext_);
}

void BoxStream::feed_some(Bytes from, std::uint8_t* to, bool opening) noexcept
{
    for (const auto octet : from) {
        const auto other = static_cast<std::uint8_t>(octet ^ key_stream_[used_]);
        ciphertext_[used_] = opening ? octet : other;
        *to++ = other;
        ++used_;
    }
    if (used_ == key_stream_.size()) {
        poly_.absorb(Bytes(ciphertext_).subspan(begin_));
    }
}

void BoxStream::feed(Bytes from, std::uint8_t* to, bool opening) noexcept
{
    feed_all(from, to, opening);
    kernels::forget_call<stack_bytes_max>();
}

void BoxStream::feed_all(Bytes from, std::uint8_t* to, bool opening) noexcept
{
    CHECK(!ended_);
    from = {kernels::movable_source(from, to), from.size()};
    while (!from.empty()) {
        auto count = std::min(from.size(), key_stream_.size() - used_);
        if (count != 0) {
            feed_some(from.first(count), to, opening);
        } else if (const auto blocks = from.size() / key_stream_.size(); blocks != 0) {
            const kernels::BoxRun run{next_block_, from.data(), to, blocks, opening};
            CHECK((next_block_ + blocks) * key_stream_.size() <= box_text_bytes_max);
            switch (kernel_) {
            case BoxKernel::avx512: kernels::run_blocks_avx512(at(), run, poly_, powers_); break;
            case BoxKernel::avx2: kernels::run_blocks_avx2(at(), run, poly_); break;
            case BoxKernel::portable: kernels::run_blocks_portable(at(), run, poly_); break;
            }
            next_block_ += blocks;
            count = blocks * key_stream_.size();
        } else {
            kernels::write_key_stream_block(at(), next_block_++, key_stream_);
            begin_ = used_ = 0;
        }
        from = from.subspan(count);
        to += count;
    }
}

BoxTag BoxStream::end() noexcept
{
    const auto tag = make_tag();
    kernels::forget_call<stack_bytes_max>();
    return tag;
}

BoxTag BoxStream::make_tag() noexcept
{
    CHECK(!ended_);
    ended_ = true;
    if (used_ != key_stream_.size()) {
        poly_.absorb(Bytes(ciphertext_).subspan(begin_, used_ - begin_));
    }
    BoxTag tag;
    poly_.finish(tag.data());
    return tag;
}

bool BoxOpener::finish(const BoxTag& tag) noexcept
{
    const auto own = end();
    return public_verdict(equal(own, tag));
}

} // namespace caisson::crypto
