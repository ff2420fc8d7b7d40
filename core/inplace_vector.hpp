// Up to N elements at fixed addresses in the object itself, made one after the other. Memory of those that never were
// is not touched: in secret memory, where a page costs much when it is first touched, a table that nobody uses costs
// none.
#pragma once

#include "core/check.hpp"

#include <cstddef>
#include <cstdint>
#include <new>

namespace caisson {

template <typename T, std::size_t N>
class InplaceVector {
  public:
    InplaceVector() noexcept {} // not defaulted: `{}` would write zeros all over it
    ~InplaceVector() { clear(); }
    InplaceVector(const InplaceVector&) = delete;
    InplaceVector& operator=(const InplaceVector&) = delete;

    // One element more, behind the others. Requires: not full().
    T& add() noexcept
    {
        CHECK(!full());
        return *new (storage_ + sizeof(T) * size_++) T{};
    }
    // Ends all of them.
    void clear() noexcept
    {
        for (auto& element : *this) {
            element.~T();
        }
        size_ = 0;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool full() const noexcept { return size_ == N; }
    [[nodiscard]] T& operator[](std::size_t index) noexcept { return begin()[index]; }
    [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return begin()[index]; }
    [[nodiscard]] T* begin() noexcept { return std::launder(reinterpret_cast<T*>(storage_)); }
    [[nodiscard]] T* end() noexcept { return begin() + size_; }
    [[nodiscard]] const T* begin() const noexcept { return std::launder(reinterpret_cast<const T*>(storage_)); }
    [[nodiscard]] const T* end() const noexcept { return begin() + size_; }

  private:
    std::size_t size_ = 0;
    alignas(T) std::uint8_t storage_[N * sizeof(T)];
};

} // namespace caisson
