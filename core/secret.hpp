// Secret<N, Tag>: N bytes that are wiped on leaving and on move; no copy, no ==, no printing.
#pragma once

#include "core/bytes.hpp"

namespace caisson {

// Overwrites `bytes` with zeros in a way the compiler may not drop.
inline void wipe(MutableBytes bytes) noexcept
{
    if (!bytes.empty()) {
        std::memset(bytes.data(), 0, bytes.size());
    }
    __asm__ volatile("" : : "r"(bytes.data()) : "memory");
}

// Each role has its own Tag, so that a vault key cannot stand where a CURVE key belongs.
// `expose()` is the one way to the bytes and is called in core/ and trusted/ alone.
template <std::size_t N, typename Tag>
class Secret {
  public:
    static constexpr std::size_t size = N;

    Secret() noexcept
        : bytes_{}
    {
    }
    ~Secret() { clear(); }

    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;

    Secret(Secret&& other) noexcept
        : bytes_(other.bytes_)
    {
        other.clear();
    }
    Secret& operator=(Secret&& other) noexcept
    {
        if (this != &other) {
            bytes_ = other.bytes_;
            other.clear();
        }
        return *this;
    }

    [[nodiscard]] std::span<const std::uint8_t, N> expose() const noexcept { return bytes_; }
    [[nodiscard]] std::span<std::uint8_t, N> expose() noexcept { return bytes_; }
    void clear() noexcept { wipe(bytes_); }

  private:
    ByteArray<N> bytes_;
};

// Bytes of a known role that are no secret: public keys, nonces, ids. Comparable and copyable.
template <std::size_t N, typename Tag>
struct Named {
    static constexpr std::size_t size = N;
    ByteArray<N> bytes{};

    friend bool operator==(const Named&, const Named&) = default;
    friend auto operator<=>(const Named&, const Named&) = default;
};

} // namespace caisson
