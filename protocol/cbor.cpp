#include "protocol/cbor.hpp"

namespace caisson::protocol {
namespace {

constexpr std::uint8_t simple_false = 20;
constexpr std::uint8_t simple_true = 21;
constexpr std::uint8_t simple_null = 22;
constexpr std::uint8_t encoded_null = 0xf6;

// RFC 8949, section 3: the low five bits of the first byte.
constexpr std::uint8_t argument_in_1_byte = 24;
constexpr std::uint8_t argument_in_2_bytes = 25;
constexpr std::uint8_t argument_in_4_bytes = 26;
constexpr std::uint8_t argument_in_8_bytes = 27;

} // namespace

void CborWriter::write_head(CborType type, std::uint64_t argument) noexcept
{
    const auto major = static_cast<std::uint8_t>(static_cast<unsigned>(type) << 5U);
    const auto first = [major](std::uint8_t low) { return static_cast<std::uint8_t>(major | low); };
    if (argument < argument_in_1_byte) {
        writer_.write_le(first(static_cast<std::uint8_t>(argument)));
    } else if (argument <= 0xffU) {
        writer_.write_le(first(argument_in_1_byte));
        writer_.write_be(static_cast<std::uint8_t>(argument));
    } else if (argument <= 0xffffU) {
        writer_.write_le(first(argument_in_2_bytes));
        writer_.write_be(static_cast<std::uint16_t>(argument));
    } else if (argument <= 0xffffffffU) {
        writer_.write_le(first(argument_in_4_bytes));
        writer_.write_be(static_cast<std::uint32_t>(argument));
    } else {
        writer_.write_le(first(argument_in_8_bytes));
        writer_.write_be(argument);
    }
}

void CborWriter::write_int(std::int64_t value) noexcept
{
    if (value >= 0) {
        write_head(CborType::uint, static_cast<std::uint64_t>(value));
    } else {
        write_head(CborType::nint, ~static_cast<std::uint64_t>(value));
    }
}

void CborWriter::write_bytes(Bytes value) noexcept
{
    write_head(CborType::bytes, value.size());
    writer_.write_bytes(value);
}

void CborWriter::write_text(std::string_view value) noexcept
{
    write_head(CborType::text, value.size());
    writer_.write_bytes(bytes_of(value));
}

void CborWriter::write_bool(bool value) noexcept
{
    write_head(CborType::simple, value ? simple_true : simple_false);
}

void CborWriter::write_null() noexcept
{
    write_head(CborType::simple, simple_null);
}

Result<CborReader::Head> CborReader::read_head() noexcept
{
    const auto first = TRY(reader_.read_le<std::uint8_t>());
    const auto type = static_cast<CborType>(first >> 5U);
    const auto low = static_cast<std::uint8_t>(first & 0x1fU);
    if (low < argument_in_1_byte) {
        return Head{type, low};
    }
    if (type == CborType::simple) {
        return fail(Kind::malformed, "CBOR: only false, true and null are allowed here");
    }
    std::uint64_t argument = 0;
    std::uint64_t least = 0; // a smaller argument had a shorter form
    switch (low) {
    case argument_in_1_byte:
        argument = TRY(reader_.read_be<std::uint8_t>());
        least = argument_in_1_byte;
        break;
    case argument_in_2_bytes:
        argument = TRY(reader_.read_be<std::uint16_t>());
        least = 0x100U;
        break;
    case argument_in_4_bytes:
        argument = TRY(reader_.read_be<std::uint32_t>());
        least = 0x10000U;
        break;
    case argument_in_8_bytes:
        argument = TRY(reader_.read_be<std::uint64_t>());
        least = 0x100000000U;
        break;
    default: return fail(Kind::malformed, "CBOR: indefinite and reserved lengths are not allowed");
    }
    if (argument < least) {
        return fail(Kind::malformed, "CBOR: not the shortest form");
    }
    return Head{type, argument};
}

Result<std::uint64_t> CborReader::expect_type(CborType type) noexcept
{
    const auto head = TRY(read_head());
    if (head.type != type) {
        return fail(Kind::malformed, "CBOR: an item has the wrong type");
    }
    return head.argument;
}

Result<std::uint64_t> CborReader::read_uint() noexcept
{
    return expect_type(CborType::uint);
}

Result<std::int64_t> CborReader::read_int() noexcept
{
    const auto head = TRY(read_head());
    if (head.type != CborType::uint && head.type != CborType::nint) {
        return fail(Kind::malformed, "CBOR: an item has the wrong type");
    }
    if (head.argument > static_cast<std::uint64_t>(INT64_MAX)) {
        return fail(Kind::malformed, "CBOR: an integer is out of range");
    }
    const auto value = static_cast<std::int64_t>(head.argument);
    return head.type == CborType::uint ? value : -1 - value;
}

Result<Bytes> CborReader::read_bytes(std::size_t size_max) noexcept
{
    const auto size = TRY(expect_type(CborType::bytes));
    if (size > size_max) {
        return fail(Kind::malformed, "CBOR: a byte string is too long");
    }
    return reader_.read_bytes(size);
}

Result<std::string_view> CborReader::read_text(std::size_t size_max) noexcept
{
    const auto size = TRY(expect_type(CborType::text));
    if (size > size_max) {
        return fail(Kind::malformed, "CBOR: a text is too long");
    }
    return text_of(TRY(reader_.read_bytes(size)));
}

Result<bool> CborReader::read_bool() noexcept
{
    const auto value = TRY(expect_type(CborType::simple));
    if (value != simple_false && value != simple_true) {
        return fail(Kind::malformed, "CBOR: true or false was expected");
    }
    return value == simple_true;
}

Status CborReader::read_null() noexcept
{
    if (TRY(expect_type(CborType::simple)) != simple_null) {
        return fail(Kind::malformed, "CBOR: null was expected");
    }
    return {};
}

Status CborReader::expect_tag(std::uint64_t tag) noexcept
{
    if (TRY(expect_type(CborType::tag)) != tag) {
        return fail(Kind::malformed, "CBOR: another tag was expected");
    }
    return {};
}

Result<std::size_t> CborReader::begin_array(std::size_t count_max) noexcept
{
    const auto count = TRY(expect_type(CborType::array));
    if (count > count_max) {
        return fail(Kind::malformed, "CBOR: an array has too many items");
    }
    return count;
}

Result<std::size_t> CborReader::begin_map(std::size_t count_max) noexcept
{
    const auto count = TRY(expect_type(CborType::map));
    if (count > count_max) {
        return fail(Kind::malformed, "CBOR: a map has too many entries");
    }
    return count;
}

Status CborReader::expect_array(std::size_t count) noexcept
{
    if (TRY(begin_array(count)) != count) {
        return fail(Kind::malformed, "CBOR: an array has too few items");
    }
    return {};
}

Status CborReader::expect_map(std::size_t count) noexcept
{
    if (TRY(begin_map(count)) != count) {
        return fail(Kind::malformed, "CBOR: a map has too few entries");
    }
    return {};
}

Status CborReader::expect_key(std::uint64_t key) noexcept
{
    if (TRY(read_uint()) != key) {
        return fail(Kind::malformed, "CBOR: another key was expected");
    }
    return {};
}

Status CborReader::expect_int_key(std::int64_t key) noexcept
{
    if (TRY(read_int()) != key) {
        return fail(Kind::malformed, "CBOR: another key was expected");
    }
    return {};
}

Result<CborType> CborReader::peek() const noexcept
{
    if (reader_.rest().empty()) {
        return fail(Kind::truncated, "CBOR: an item is missing");
    }
    return static_cast<CborType>(reader_.rest().front() >> 5U);
}

bool CborReader::next_is_null() const noexcept
{
    return !reader_.rest().empty() && reader_.rest().front() == encoded_null;
}

} // namespace caisson::protocol
