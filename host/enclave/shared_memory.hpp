// Memory files that two processes share, or that one hands to another for good: memfds, sealed.
#pragma once

#include "airlock/ring.hpp"
#include "core/bytes.hpp"
#include "host/fault.hpp"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

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

// A file's content as it was, in a memfd that nobody can change, grow or shrink any more: what is checked of it here
// is what another process gets.
class SealedFile {
  public:
    SealedFile() = default;
    // Fails: as store::load_file, of which it has the limits, and unavailable.
    static Outcome<SealedFile> copy_of(const std::filesystem::path& path, std::size_t bytes_max, Executable executable);
    // The same in two steps: an empty file, whose descriptor another process may be given; then its content, for good.
    static Outcome<SealedFile> create(const std::string& name, Executable executable);
    Done fill_from(const std::filesystem::path& path, std::size_t bytes_max);

    // Read by portions and never mapped: a page that is first touched through a mapping costs more than to copy it.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] Outcome<std::vector<std::uint8_t>> first(std::size_t bytes_max) const;
    [[nodiscard]] Outcome<Digest> digest() const; // SHA-256
    [[nodiscard]] int descriptor() const noexcept { return descriptor_.number(); }

  private:
    Descriptor descriptor_;
    std::size_t size_ = 0;
};

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
