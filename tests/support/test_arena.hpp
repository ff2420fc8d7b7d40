// An arena for tests: plain memory, page by page, with a limit; and, for fuzzers, a way back to an earlier state.
#pragma once

#include "airlock/arena.hpp"
#include "trusted/runtime/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace caisson::tests {

class TestArena {
  public:
    TestArena()
    {
        if (memory_ == MAP_FAILED) {
            std::abort();
        }
    }
    ~TestArena() { ::munmap(memory_, airlock::arena_bytes); }
    TestArena(const TestArena&) = delete;
    TestArena& operator=(const TestArena&) = delete;

    [[nodiscard]] trusted::Arena& arena() noexcept { return arena_; }
    void limit(std::size_t pages) noexcept { pages_max_ = pages; }
    [[nodiscard]] std::size_t pages() const noexcept { return pages_.size(); }

    [[nodiscard]] bool holds(Bytes octets) const noexcept
    {
        return std::any_of(pages_.begin(), pages_.end(), [octets](const std::uint8_t* page) {
            return std::search(page, page + page_bytes, octets.begin(), octets.end()) != page + page_bytes;
        });
    }

    // For another chamber in the place of the first, which must be gone.
    void clear()
    {
        pages_.clear();
        arena_ = trusted::Arena({static_cast<std::uint8_t*>(memory_), airlock::arena_bytes}, accept, this);
    }

    void keep()
    {
        kept_.clear();
        for (const auto* page : pages_) {
            kept_.emplace_back(page, page + page_bytes);
        }
        kept_arena_ = arena_;
    }
    // What was kept is there again; what came later is gone.
    void go_back()
    {
        pages_.resize(kept_.size());
        for (std::size_t index = 0; index < kept_.size(); ++index) {
            std::memcpy(pages_[index], kept_[index].data(), page_bytes);
        }
        arena_ = kept_arena_;
    }

  private:
    static constexpr auto page_bytes = protocol::sgx::page_bytes;

    static bool accept(void* self, std::uint8_t* page) noexcept
    {
        auto& test = *static_cast<TestArena*>(self);
        if (test.pages_.size() >= test.pages_max_) {
            return false;
        }
        std::memset(page, 0, page_bytes);
        test.pages_.push_back(page);
        return true;
    }

    void* memory_ = ::mmap(nullptr, airlock::arena_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    trusted::Arena arena_{{static_cast<std::uint8_t*>(memory_), airlock::arena_bytes}, accept, this};
    trusted::Arena kept_arena_;
    std::vector<std::uint8_t*> pages_;
    std::vector<std::vector<std::uint8_t>> kept_;
    std::size_t pages_max_ = airlock::arena_bytes / page_bytes;
};

} // namespace caisson::tests
