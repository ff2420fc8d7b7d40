// Deterministic CBOR (RFC 8949, section 4.2.1) without a heap: what signed documents and the agent link are made of.
// [TRUST-3] Only definite lengths, the shortest form of every head, and the types below; anything else is malformed.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/wire.hpp"

namespace caisson::protocol {

enum class CborType : std::uint8_t { uint = 0, nint = 1, bytes = 2, text = 3, array = 4, map = 5, tag = 6, simple = 7 };

// Errors are remembered and told by `finish` (exhausted).
class CborWriter {
  public:
    explicit CborWriter(MutableBytes output) noexcept
        : writer_(output)
    {
    }

    void write_uint(std::uint64_t value) noexcept { write_head(CborType::uint, value); }
    void write_int(std::int64_t value) noexcept;
    void write_bytes(Bytes value) noexcept;
    // The caller then writes `size` bytes, or puts them behind by itself.
    void begin_bytes(std::uint64_t size) noexcept { write_head(CborType::bytes, size); }
    void write_text(std::string_view value) noexcept;
    void write_bool(bool value) noexcept;
    void write_null() noexcept;
    void write_tag(std::uint64_t tag) noexcept { write_head(CborType::tag, tag); }
    // The caller then writes `count` items (pairs, in ascending order of the encoded keys, for a map).
    void begin_array(std::uint64_t count) noexcept { write_head(CborType::array, count); }
    void begin_map(std::uint64_t count) noexcept { write_head(CborType::map, count); }
    // An item that is already encoded.
    void write_encoded(Bytes item) noexcept { writer_.write_bytes(item); }

    [[nodiscard]] Bytes written() const noexcept { return writer_.written(); }
    [[nodiscard]] Result<std::size_t> finish() const noexcept { return writer_.finish(); }

  private:
    void write_head(CborType type, std::uint64_t argument) noexcept;

    Writer writer_;
};

// Reads one item after another. Every `read_` fails with truncated or malformed and names nothing of the input.
class CborReader {
  public:
    explicit CborReader(Bytes input) noexcept
        : reader_(input)
    {
    }

    [[nodiscard]] Result<std::uint64_t> read_uint() noexcept;
    [[nodiscard]] Result<std::int64_t> read_int() noexcept;
    [[nodiscard]] Result<Bytes> read_bytes(std::size_t size_max) noexcept;
    template <std::size_t N>
    [[nodiscard]] Result<ByteArray<N>> read_array_of_bytes() noexcept
    {
        const auto bytes = TRY(read_bytes(N));
        if (bytes.size() != N) {
            return fail(Kind::malformed, "CBOR byte string has the wrong size");
        }
        ByteArray<N> out;
        copy_bytes(out, bytes);
        return out;
    }
    // Valid UTF-8 is not checked here; callers that show text must.
    [[nodiscard]] Result<std::string_view> read_text(std::size_t size_max) noexcept;
    [[nodiscard]] Result<bool> read_bool() noexcept;
    [[nodiscard]] Status read_null() noexcept;
    [[nodiscard]] Status expect_tag(std::uint64_t tag) noexcept;
    [[nodiscard]] Result<std::size_t> begin_array(std::size_t count_max) noexcept;
    [[nodiscard]] Result<std::size_t> begin_map(std::size_t count_max) noexcept;
    [[nodiscard]] Status expect_array(std::size_t count) noexcept;
    [[nodiscard]] Status expect_map(std::size_t count) noexcept;
    // Reads an unsigned key and requires that it is exactly `key`.
    [[nodiscard]] Status expect_key(std::uint64_t key) noexcept;
    [[nodiscard]] Status expect_int_key(std::int64_t key) noexcept;

    // What the next item is, without reading it.
    [[nodiscard]] Result<CborType> peek() const noexcept;
    [[nodiscard]] bool next_is_null() const noexcept;
    [[nodiscard]] Bytes rest() const noexcept { return reader_.rest(); }
    [[nodiscard]] Status finish() const noexcept { return reader_.finish(); }

  private:
    struct Head {
        CborType type;
        std::uint64_t argument;
    };
    [[nodiscard]] Result<Head> read_head() noexcept;
    [[nodiscard]] Result<std::uint64_t> expect_type(CborType type) noexcept;

    Reader reader_;
};

} // namespace caisson::protocol
