// Waits for many descriptors at once (epoll), each with somebody to tell. One thread.
#pragma once

#include "host/fault.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace caisson::services::gateway {

class Watcher {
  public:
    virtual void on_ready(bool readable, bool writable) = 0;

  protected:
    Watcher() = default;
    ~Watcher() = default;
    Watcher(const Watcher&) = default;
    Watcher& operator=(const Watcher&) = default;
};

class Loop {
  public:
    static host::Outcome<Loop> open();
    ~Loop();
    Loop(Loop&& other) noexcept;
    Loop& operator=(Loop&&) = delete;
    Loop(const Loop&) = delete;

    // A wish that stands at a descriptor until it is replaced or the descriptor is closed. `known` is what stood there
    // before, and is set to what stands there now: nothing is asked of the kernel twice.
    struct Wish {
        bool watched = false;
        bool read = false;
        bool write = false;
        friend bool operator==(const Wish&, const Wish&) = default;
    };
    void watch(int descriptor, Watcher& watcher, Wish& known, bool read, bool write) const;

    // Takes the wish back, of a descriptor that stays open.
    void forget(int descriptor, Wish& known) const;

    static constexpr std::size_t told_max = 512; // at once

    // Tells watchers that are ready, each once and `most` at most; the others are before them the next time. Gives how
    // many were told. A watcher must stay alive until this returns. Requires: 0 < most <= told_max.
    std::size_t wait(std::chrono::microseconds longest, std::size_t most = told_max) const;

    // Readable while somebody here is ready, so that one loop can be watched by another.
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

  private:
    explicit Loop(int descriptor) noexcept
        : descriptor_(descriptor)
    {
    }
    int descriptor_;
};

} // namespace caisson::services::gateway
