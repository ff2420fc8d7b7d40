#include "services/gateway/buffer.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace caisson::services::gateway {
namespace {

constexpr std::size_t block_bytes = std::size_t{160} << 10U;
constexpr std::size_t spare_blocks_max = 32;

// Blocks of connections that fell idle, for those that wake up; each thread has its own.
std::vector<std::unique_ptr<std::uint8_t[]>>& spare_blocks()
{
    static thread_local std::vector<std::unique_ptr<std::uint8_t[]>> blocks;
    return blocks;
}

std::unique_ptr<std::uint8_t[]> take_memory(std::size_t size)
{
    auto& spare = spare_blocks();
    if (size == block_bytes && !spare.empty()) {
        auto block = std::move(spare.back());
        spare.pop_back();
        return block;
    }
    return std::make_unique_for_overwrite<std::uint8_t[]>(size);
}

} // namespace

Buffer& Buffer::operator=(Buffer&& other) noexcept
{
    if (this != &other) {
        release();
        memory_ = std::move(other.memory_);
        capacity_ = std::exchange(other.capacity_, 0);
        begin_ = std::exchange(other.begin_, 0);
        end_ = std::exchange(other.end_, 0);
    }
    return *this;
}

MutableBytes Buffer::room(std::size_t count)
{
    if (capacity_ - end_ < count) {
        const auto held = size();
        if (begin_ > 0 && capacity_ - held >= count) {
            std::memmove(memory_.get(), memory_.get() + begin_, held);
        } else {
            const auto wanted = std::max({block_bytes, held + count, capacity_ > 0 ? 2 * capacity_ : 0});
            auto larger = take_memory(wanted);
            copy_bytes({larger.get(), wanted}, bytes());
            release();
            memory_ = std::move(larger);
            capacity_ = wanted;
        }
        begin_ = 0;
        end_ = held;
    }
    return {memory_.get() + end_, capacity_ - end_};
}

void Buffer::append(Bytes bytes)
{
    copy_bytes(room(bytes.size()), bytes);
    commit(bytes.size());
}

void Buffer::consume(std::size_t count) noexcept
{
    begin_ += count;
    if (begin_ == end_) {
        release();
    }
}

void Buffer::release() noexcept
{
    auto& spare = spare_blocks();
    if (memory_ != nullptr && capacity_ == block_bytes && spare.size() < spare_blocks_max) {
        spare.push_back(std::move(memory_));
    }
    memory_.reset();
    capacity_ = begin_ = end_ = 0;
}

} // namespace caisson::services::gateway
