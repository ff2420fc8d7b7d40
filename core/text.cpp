#include "core/text.hpp"

#include "core/check.hpp"

namespace caisson {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::string_view z85_digits =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
constexpr std::size_t z85_group_digits = 5;
constexpr std::size_t z85_group_bytes = 4;
constexpr std::uint64_t z85_base = 85;

constexpr int hex_value(char digit) noexcept
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

} // namespace

void write_hex(std::span<char> text, Bytes bytes) noexcept
{
    CHECK(text.size() == 2 * bytes.size());
    std::size_t at = 0;
    for (const auto byte : bytes) {
        text[at++] = hex_digits[byte >> 4U];
        text[at++] = hex_digits[byte & 0xfU];
    }
}

Result<std::size_t> read_hex(MutableBytes bytes, std::string_view text) noexcept
{
    if (text.size() % 2 != 0) {
        return fail(Kind::malformed, "hexadecimal text has an odd number of digits");
    }
    if (text.size() / 2 > bytes.size()) {
        return fail(Kind::exhausted, "hexadecimal text is too long");
    }
    for (std::size_t index = 0; index < text.size() / 2; ++index) {
        const int high = hex_value(text[2 * index]);
        const int low = hex_value(text[2 * index + 1]);
        if (high < 0 || low < 0) {
            return fail(Kind::malformed, "not a hexadecimal digit");
        }
        bytes[index] = static_cast<std::uint8_t>((high << 4) | low);
    }
    return text.size() / 2;
}

void write_z85(std::span<char> text, Bytes bytes) noexcept
{
    CHECK(bytes.size() % z85_group_bytes == 0 && text.size() == bytes.size() / z85_group_bytes * z85_group_digits);
    for (std::size_t group = 0; group < bytes.size() / z85_group_bytes; ++group) {
        std::uint64_t value = 0;
        for (std::size_t index = 0; index < z85_group_bytes; ++index) {
            value = (value << 8U) | bytes[group * z85_group_bytes + index];
        }
        for (std::size_t index = z85_group_digits; index-- > 0;) {
            text[group * z85_group_digits + index] = z85_digits[value % z85_base];
            value /= z85_base;
        }
    }
}

Result<std::size_t> read_z85(MutableBytes bytes, std::string_view text) noexcept
{
    if (text.size() % z85_group_digits != 0) {
        return fail(Kind::malformed, "Z85 text comes in groups of five characters");
    }
    const std::size_t groups = text.size() / z85_group_digits;
    if (groups * z85_group_bytes > bytes.size()) {
        return fail(Kind::exhausted, "Z85 text is too long");
    }
    for (std::size_t group = 0; group < groups; ++group) {
        std::uint64_t value = 0;
        for (std::size_t index = 0; index < z85_group_digits; ++index) {
            const auto digit = z85_digits.find(text[group * z85_group_digits + index]);
            if (digit == std::string_view::npos) {
                return fail(Kind::malformed, "not a Z85 character");
            }
            value = value * z85_base + digit;
        }
        if (value > 0xffffffffU) {
            return fail(Kind::malformed, "a Z85 group is above 2^32 - 1");
        }
        for (std::size_t index = z85_group_bytes; index-- > 0;) {
            bytes[group * z85_group_bytes + index] = static_cast<std::uint8_t>(value);
            value >>= 8U;
        }
    }
    return groups * z85_group_bytes;
}

} // namespace caisson
