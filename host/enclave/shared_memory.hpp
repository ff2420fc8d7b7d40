// Memory files that two processes share, or that one hands to another for good: memfds, sealed.
#pragma once

#include "airlock/ring.hpp"
#include "core/bytes.hpp"
#include "host/fault.hpp"

#include <filesystem>
#include <utility>

namespace caisson::host::enclave {

// A descriptor that closes itself.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int number) noexcept
        : number_(number)
    {
    }
    ~Descriptor() { reset(); }
    Descriptor(Descriptor&& other) noexcept
        : number_(std::exchange(other.number_, -1))
    {
    }
    Descriptor& operator=(Descriptor&& other) noexcept
    {
        if (this != &other) {
            reset();
            number_ = std::exchange(other.number_, -1);
        }
        return *this;
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    [[nodiscard]] int number() const noexcept { return number_; }
    void reset() noexcept;

  private:
    int number_ = -1;
};

enum class Executable : bool { no, yes };

// A memfd with these bytes that nobody can change, grow or shrink any more.
[[nodiscard]] Outcome<Descriptor> sealed_copy(const char* name, Bytes bytes, Executable executable);

// The ring's memory: zeroed but for its magic, sealed against changes of its size, mapped here.
class RingMemory {
  public:
    static Outcome<RingMemory> create(std::uint32_t spin_budget_ticks);
    ~RingMemory();
    RingMemory(RingMemory&& other) noexcept;
    RingMemory& operator=(RingMemory&&) = delete;
    RingMemory(const RingMemory&) = delete;

    [[nodiscard]] airlock::Ring& ring() const noexcept { return *ring_; }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_.number(); }

  private:
    RingMemory() = default;
    Descriptor descriptor_;
    airlock::Ring* ring_ = nullptr;
};

} // namespace caisson::host::enclave
