// A strict reader of JSON (RFC 8259) for signed collateral: every value knows the exact text it was read from, because
// that is what a signature covers. Bounded in size, depth and number of values; no duplicate names, nothing behind the
// end.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace caisson::protocol::evidence {

inline constexpr std::size_t json_bytes_max = std::size_t{1} << 20U;
inline constexpr std::size_t json_depth_max = 16;
inline constexpr std::size_t json_values_max = 100'000;

class Json {
  public:
    // The text must outlive the value. Fails: malformed, exhausted (a limit).
    [[nodiscard]] static Result<Json> read(std::string_view text);

    // The exact text of this value.
    [[nodiscard]] std::string_view text() const noexcept { return text_; }

    // Each fails: malformed, when the value is of another kind or there is no such member.
    [[nodiscard]] Result<const Json*> member(std::string_view name) const noexcept;
    [[nodiscard]] Result<std::string_view> string() const noexcept;
    [[nodiscard]] Result<std::uint64_t> number() const noexcept; // a whole number, not negative
    [[nodiscard]] Result<const std::vector<Json>*> array() const noexcept;
    [[nodiscard]] bool has(std::string_view name) const noexcept;
    [[nodiscard]] std::size_t member_count() const noexcept { return members_.size(); }

  private:
    enum class Kind : std::uint8_t { object, array, string, number, other };
    friend class JsonReader;

    Kind kind_ = Kind::other;
    std::string_view text_;
    std::string string_;
    std::vector<std::pair<std::string, Json>> members_;
    std::vector<Json> elements_;
};

// Hexadecimal text of exactly target.size() bytes. Fails: malformed.
[[nodiscard]] Status read_hex_into(std::string_view text, MutableBytes target) noexcept;

// "2025-06-06T12:30:41Z" as seconds since 1970. Fails: malformed.
[[nodiscard]] Result<std::int64_t> read_time(std::string_view text) noexcept;

} // namespace caisson::protocol::evidence
