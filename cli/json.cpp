#include "cli/json.hpp"

#include <array>

namespace caisson::cli {
namespace {

// The length of the well-formed UTF-8 sequence at the start of `text`, or 0.
std::size_t utf8_length(std::string_view text) noexcept
{
    const auto octet = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    const auto first = octet(0);
    if (first < 0x80) {
        return 1;
    }
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length) {
        return 0;
    }
    for (std::size_t index = 1; index < length; ++index) {
        if ((octet(index) & 0xc0U) != 0x80U) {
            return 0;
        }
    }
    const bool overlong = (first == 0xe0 && octet(1) < 0xa0) || (first == 0xf0 && octet(1) < 0x90);
    const bool outside = (first == 0xed && octet(1) > 0x9f) || (first == 0xf4 && octet(1) > 0x8f);
    return overlong || outside ? 0 : length;
}

} // namespace

void JsonWriter::separate()
{
    if (needs_comma_) {
        out_ += ',';
    }
    needs_comma_ = true;
}

void JsonWriter::quote(std::string_view value)
{
    constexpr std::string_view digits = "0123456789abcdef";
    out_ += '"';
    while (!value.empty()) {
        const auto length = utf8_length(value);
        const auto first = static_cast<unsigned char>(value.front());
        if (length == 0) {
            out_ += "\\ufffd";
        } else if (first == '"' || first == '\\') {
            out_ += '\\';
            out_ += value.front();
        } else if (first < 0x20 || first == 0x7f) {
            out_ += "\\u00";
            out_ += digits[first >> 4U];
            out_ += digits[first & 0xfU];
        } else {
            out_ += value.substr(0, length);
        }
        value.remove_prefix(length == 0 ? 1 : length);
    }
    out_ += '"';
}

JsonWriter& JsonWriter::begin_object()
{
    separate();
    out_ += '{';
    needs_comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::end_object()
{
    out_ += '}';
    needs_comma_ = true;
    return *this;
}

JsonWriter& JsonWriter::begin_array()
{
    separate();
    out_ += '[';
    needs_comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::end_array()
{
    out_ += ']';
    needs_comma_ = true;
    return *this;
}

JsonWriter& JsonWriter::name(std::string_view text)
{
    separate();
    quote(text);
    out_ += ':';
    needs_comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::text(std::string_view value)
{
    separate();
    quote(value);
    return *this;
}

JsonWriter& JsonWriter::number(std::uint64_t value)
{
    separate();
    out_ += std::to_string(value);
    return *this;
}

JsonWriter& JsonWriter::number_signed(std::int64_t value)
{
    separate();
    out_ += std::to_string(value);
    return *this;
}

JsonWriter& JsonWriter::boolean(bool value)
{
    separate();
    out_ += value ? "true" : "false";
    return *this;
}

JsonWriter& JsonWriter::null()
{
    separate();
    out_ += "null";
    return *this;
}

} // namespace caisson::cli
