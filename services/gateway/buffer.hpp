// A queue of octets between a socket and whoever works on them: memory comes when octets do, and goes with them, so
// that an idle connection has none. Not safe for concurrent use.
#pragma once

#include "core/bytes.hpp"

#include <memory>

namespace caisson::services::gateway {

class Buffer {
  public:
    Buffer() = default;
    ~Buffer() { release(); }
    Buffer(Buffer&& other) noexcept { *this = std::move(other); }
    Buffer& operator=(Buffer&& other) noexcept;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    [[nodiscard]] Bytes bytes() const noexcept { return {memory_.get() + begin_, end_ - begin_}; }
    [[nodiscard]] MutableBytes writable() noexcept { return {memory_.get() + begin_, end_ - begin_}; }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }

    // Writable room behind the octets, at least `count`; what `bytes` gave before is void.
    [[nodiscard]] MutableBytes room(std::size_t count);
    // The first `count` octets of the room are octets now. Requires: count <= room.
    void commit(std::size_t count) noexcept { end_ += count; }
    void append(Bytes bytes);
    // Requires: count <= size().
    void consume(std::size_t count) noexcept;
    void clear() noexcept { consume(size()); }

  private:
    void release() noexcept;

    std::unique_ptr<std::uint8_t[]> memory_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

} // namespace caisson::services::gateway
