#include "services/gateway/buffer.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace caisson::services::gateway {
namespace {

using Memory = std::unique_ptr<std::uint8_t[]>;

constexpr std::size_t block_bytes = std::size_t{160} << 10U; // the smallest; each next class is twice as large
constexpr std::size_t class_count = 4;
constexpr std::size_t spare_blocks_max = 32; // of the smallest; half as many of each next

// Blocks of connections that fell idle, for those that wake up; each thread has its own.
std::vector<Memory>& spare_blocks(std::size_t size_class)
{
    static thread_local std::array<std::vector<Memory>, class_count> blocks;
    return blocks[size_class];
}

// class_count for what is larger than all of them.
std::size_t class_of(std::size_t size) noexcept
{
    std::size_t size_class = 0;
    while (size_class < class_count && block_bytes << size_class < size) {
        ++size_class;
    }
    return size_class;
}

std::size_t rounded_to_class(std::size_t size) noexcept
{
    const auto size_class = class_of(size);
    return size_class < class_count ? block_bytes << size_class : size;
}

Memory take_memory(std::size_t size)
{
    const auto size_class = class_of(size);
    if (size_class < class_count && !spare_blocks(size_class).empty()) {
        auto block = std::move(spare_blocks(size_class).back());
        spare_blocks(size_class).pop_back();
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
            const auto wanted = rounded_to_class(std::max(held + count, capacity_ > 0 ? 2 * capacity_ : 0));
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
    const auto size_class = class_of(capacity_);
    if (memory_ != nullptr && size_class < class_count &&
        spare_blocks(size_class).size() < spare_blocks_max >> size_class) {
        spare_blocks(size_class).push_back(std::move(memory_));
    }
    memory_.reset();
    capacity_ = begin_ = end_ = 0;
}

} // namespace caisson::services::gateway
