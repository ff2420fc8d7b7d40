// Reader and Writer: fixed-width integers and byte strings at the front of a buffer, never past its end.
// `_le` is little-endian (SGX, our own formats), `_be` is big-endian (ZMTP, CURVE, TPM).
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"

#include <bit>
#include <concepts>

namespace caisson {

class Reader {
  public:
    explicit Reader(Bytes input) noexcept
        : rest_(input)
    {
    }

    [[nodiscard]] Result<Bytes> read_bytes(std::size_t count) noexcept
    {
        if (count > rest_.size()) {
            return fail(Kind::truncated, "fewer bytes than the format needs");
        }
        const auto taken = rest_.first(count);
        rest_ = rest_.subspan(count);
        return taken;
    }

    template <std::size_t N>
    [[nodiscard]] Result<ByteArray<N>> read_array() noexcept
    {
        const auto bytes = TRY(read_bytes(N));
        ByteArray<N> array;
        copy_bytes(array, bytes);
        return array;
    }

    template <std::unsigned_integral T>
    [[nodiscard]] Result<T> read_le() noexcept
    {
        const auto bytes = TRY(read_bytes(sizeof(T)));
        T value;
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }

    template <std::unsigned_integral T>
    [[nodiscard]] Result<T> read_be() noexcept
    {
        const auto value = TRY(read_le<T>());
        return reversed(value);
    }

    [[nodiscard]] Bytes rest() const noexcept { return rest_; }

    // Fails: malformed (bytes remain).
    [[nodiscard]] Status finish() const noexcept
    {
        if (!rest_.empty()) {
            return fail(Kind::malformed, "bytes after the end");
        }
        return {};
    }

  private:
    template <std::unsigned_integral T>
    static constexpr T reversed(T value) noexcept
    {
        static_assert(std::endian::native == std::endian::little);
        T out = 0;
        for (std::size_t index = 0; index < sizeof(T); ++index) {
            out = static_cast<T>((static_cast<std::uint64_t>(out) << 8U) | (value & 0xffU));
            value = static_cast<T>(static_cast<std::uint64_t>(value) >> 8U);
        }
        return out;
    }

    Bytes rest_;
};

// Writes past the end are dropped and remembered; `finish` tells.
class Writer {
  public:
    explicit Writer(MutableBytes output) noexcept
        : output_(output)
    {
    }

    void write_bytes(Bytes bytes) noexcept
    {
        if (bytes.size() > output_.size() - used_) {
            overflow_ = true;
            return;
        }
        copy_bytes(output_.subspan(used_), bytes);
        used_ += bytes.size();
    }

    template <std::unsigned_integral T>
    void write_le(T value) noexcept
    {
        ByteArray<sizeof(T)> bytes;
        std::memcpy(bytes.data(), &value, sizeof value);
        write_bytes(bytes);
    }

    template <std::unsigned_integral T>
    void write_be(T value) noexcept
    {
        ByteArray<sizeof(T)> bytes;
        for (std::size_t index = 0; index < sizeof(T); ++index) {
            bytes[sizeof(T) - 1 - index] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8U * index));
        }
        write_bytes(bytes);
    }

    // The rest of the output, to be filled in place; `advance` then takes it.
    [[nodiscard]] MutableBytes rest() const noexcept { return output_.subspan(used_); }
    void advance(std::size_t count) noexcept
    {
        if (count > output_.size() - used_) {
            overflow_ = true;
            return;
        }
        used_ += count;
    }

    [[nodiscard]] Bytes written() const noexcept { return output_.first(used_); }

    // The number of bytes written. Fails: exhausted (the output was too small).
    [[nodiscard]] Result<std::size_t> finish() const noexcept
    {
        if (overflow_) {
            return fail(Kind::exhausted, "the output buffer is too small");
        }
        return used_;
    }

  private:
    MutableBytes output_;
    std::size_t used_ = 0;
    bool overflow_ = false;
};

} // namespace caisson
