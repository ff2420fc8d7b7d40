// A table in the arena: up to N elements at fixed addresses, with memory for as many as there ever were at one time.
// Elements are made when the table grows over them, and end with the table.
#pragma once

#include "trusted/runtime/arena.hpp"

#include <algorithm>
#include <new>
#include <span>

namespace caisson::trusted {

template <typename T, std::size_t N>
class ArenaTable {
  public:
    explicit ArenaTable(Arena& arena) noexcept
        : arena_(arena)
        , reservation_(arena.reserve(N * sizeof(T)))
    {
    }
    ~ArenaTable()
    {
        for (auto& element : all()) {
            element.~T();
        }
    }
    ArenaTable(const ArenaTable&) = delete;
    ArenaTable& operator=(const ArenaTable&) = delete;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] T& operator[](std::size_t index) noexcept { return elements()[index]; }
    [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return elements()[index]; }
    [[nodiscard]] std::span<T> all() noexcept { return {elements(), size_}; }
    [[nodiscard]] T* begin() noexcept { return elements(); }
    [[nodiscard]] T* end() noexcept { return elements() + size_; }

    // One element more, behind the others. Fails: exhausted (N of them are there, or the arena is full), unauthentic.
    [[nodiscard]] Result<T*> add() noexcept
    {
        if (size_ == N) {
            return fail(Kind::exhausted, "a table of the chamber is full");
        }
        if (const auto grown = arena_.grow(reservation_, has_, (size_ + 1) * sizeof(T)); !grown) {
            return std::unexpected(grown.error());
        }
        return new (elements() + size_++) T;
    }

  private:
    static_assert(alignof(T) <= protocol::sgx::page_bytes);

    [[nodiscard]] T* elements() noexcept { return reinterpret_cast<T*>(reservation_.data()); }
    [[nodiscard]] const T* elements() const noexcept { return reinterpret_cast<const T*>(reservation_.data()); }

    Arena& arena_;
    MutableBytes reservation_;
    std::size_t has_ = 0; // bytes of it that are memory
    std::size_t size_ = 0;
};

} // namespace caisson::trusted
