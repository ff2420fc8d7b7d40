#include "protocol/evidence/json.hpp"

#include <algorithm>
#include <charconv>

namespace caisson::protocol::evidence {

class JsonReader {
  public:
    explicit JsonReader(std::string_view text) noexcept
        : text_(text)
    {
    }

    Result<Json> document()
    {
        auto value = TRY(read_value(0));
        skip_space();
        if (at_ != text_.size()) {
            return fail(Kind::malformed, "JSON: something follows the value");
        }
        return value;
    }

  private:
    void skip_space() noexcept
    {
        while (at_ < text_.size() &&
               (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
            ++at_;
        }
    }
    bool take(char wanted) noexcept
    {
        const bool there = at_ < text_.size() && text_[at_] == wanted;
        at_ += there ? 1 : 0;
        return there;
    }

    Result<Json> read_value(std::size_t depth)
    {
        if (depth > json_depth_max || ++values_ > json_values_max) {
            return fail(Kind::exhausted, "JSON: too deep or too many values");
        }
        skip_space();
        Json value;
        const auto start = at_;
        if (take('{')) {
            TRY(read_object(value, depth));
        } else if (take('[')) {
            TRY(read_array(value, depth));
        } else if (take('"')) {
            value.kind_ = Json::Kind::string;
            value.string_ = TRY(read_string());
        } else {
            TRY(read_scalar(value));
        }
        value.text_ = text_.substr(start, at_ - start);
        return value;
    }

    Status read_object(Json& value, std::size_t depth)
    {
        value.kind_ = Json::Kind::object;
        skip_space();
        if (take('}')) {
            return {};
        }
        while (true) {
            skip_space();
            if (!take('"')) {
                return fail(Kind::malformed, "JSON: a name is expected");
            }
            auto name = TRY(read_string());
            skip_space();
            if (!take(':') || value.has(name)) {
                return fail(Kind::malformed, "JSON: a colon is missing, or a name stands twice");
            }
            auto member = TRY(read_value(depth + 1));
            value.members_.emplace_back(std::move(name), std::move(member));
            skip_space();
            if (take('}')) {
                return {};
            }
            if (!take(',')) {
                return fail(Kind::malformed, "JSON: an object does not end");
            }
        }
    }

    Status read_array(Json& value, std::size_t depth)
    {
        value.kind_ = Json::Kind::array;
        skip_space();
        if (take(']')) {
            return {};
        }
        while (true) {
            value.elements_.push_back(TRY(read_value(depth + 1)));
            skip_space();
            if (take(']')) {
                return {};
            }
            if (!take(',')) {
                return fail(Kind::malformed, "JSON: an array does not end");
            }
        }
    }

    // Behind the opening quote. Collateral needs no characters beyond ASCII: an escape of one is refused.
    Result<std::string> read_string()
    {
        constexpr std::string_view escaped = "\"\\/bfnrt";
        constexpr std::string_view meant = "\"\\/\b\f\n\r\t";
        std::string out;
        while (at_ < text_.size()) {
            const char letter = text_[at_++];
            if (letter == '"') {
                return out;
            }
            if (static_cast<unsigned char>(letter) < 0x20) {
                break;
            }
            if (letter != '\\') {
                out.push_back(letter);
                continue;
            }
            const auto which = at_ < text_.size() ? escaped.find(text_[at_++]) : std::string_view::npos;
            if (which == std::string_view::npos) {
                break;
            }
            out.push_back(meant[which]);
        }
        return fail(Kind::malformed, "JSON: a text does not end, or has a character that is not permitted");
    }

    Status read_scalar(Json& value)
    {
        for (const std::string_view word : {"true", "false", "null"}) {
            if (text_.substr(at_).starts_with(word)) {
                at_ += word.size();
                return {};
            }
        }
        const auto start = at_;
        take('-');
        const auto digits = at_;
        while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
            ++at_;
        }
        const auto count = at_ - digits;
        const bool more = at_ < text_.size() && (text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E');
        if (count == 0 || (count > 1 && text_[digits] == '0') || more) {
            return fail(Kind::malformed, "JSON: a value is expected; numbers must be whole");
        }
        value.kind_ = Json::Kind::number;
        value.string_ = std::string(text_.substr(start, at_ - start));
        return {};
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t values_ = 0;
};

Result<Json> Json::read(std::string_view text)
{
    if (text.size() > json_bytes_max) {
        return fail(caisson::Kind::exhausted, "JSON: longer than any collateral");
    }
    return JsonReader(text).document();
}

bool Json::has(std::string_view name) const noexcept
{
    return std::any_of(members_.begin(), members_.end(), [name](const auto& member) { return member.first == name; });
}

Result<const Json*> Json::member(std::string_view name) const noexcept
{
    for (const auto& [key, value] : members_) {
        if (key == name) {
            return &value;
        }
    }
    return fail(caisson::Kind::malformed, "JSON: a member is missing");
}

Result<std::string_view> Json::string() const noexcept
{
    if (kind_ != Kind::string) {
        return fail(caisson::Kind::malformed, "JSON: a text is expected");
    }
    return std::string_view(string_);
}

Result<std::uint64_t> Json::number() const noexcept
{
    std::uint64_t value = 0;
    const auto* end = string_.data() + string_.size();
    if (kind_ != Kind::number || std::from_chars(string_.data(), end, value).ptr != end) {
        return fail(caisson::Kind::malformed, "JSON: a whole number is expected");
    }
    return value;
}

Result<const std::vector<Json>*> Json::array() const noexcept
{
    if (kind_ != Kind::array) {
        return fail(caisson::Kind::malformed, "JSON: an array is expected");
    }
    return &elements_;
}

Status read_hex_into(std::string_view text, MutableBytes target) noexcept
{
    if (text.size() != 2 * target.size()) {
        return fail(Kind::malformed, "hexadecimal text has another length than the field");
    }
    for (std::size_t index = 0; index < target.size(); ++index) {
        const char* begin = text.data() + 2 * index;
        if (std::from_chars(begin, begin + 2, target[index], 16).ptr != begin + 2 || *begin == '-') {
            return fail(Kind::malformed, "hexadecimal text is expected");
        }
    }
    return {};
}

Result<std::int64_t> read_time(std::string_view text) noexcept
{
    constexpr std::string_view form = "dddd-dd-ddTdd:dd:ddZ";
    std::array<std::int64_t, 6> fields{};
    std::size_t field = 0;
    for (std::size_t at = 0; at < form.size(); ++at) {
        const bool digit = at < text.size() && text[at] >= '0' && text[at] <= '9';
        if (text.size() != form.size() || (form[at] == 'd' ? !digit : text[at] != form[at])) {
            return fail(Kind::malformed, "a time must look like 2025-06-06T12:30:41Z");
        }
        if (form[at] == 'd') {
            fields[field] = fields[field] * 10 + (text[at] - '0');
        } else {
            ++field;
        }
    }
    const auto [year, month, day, hour, minute, second] = fields;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59) {
        return fail(Kind::malformed, "there is no such time");
    }
    // Days of the civil calendar, the year beginning in March.
    const auto shifted_year = month <= 2 ? year - 1 : year;
    const auto shifted_month = (month + 9) % 12;
    const auto days = 365 * shifted_year + shifted_year / 4 - shifted_year / 100 + shifted_year / 400 +
                      (153 * shifted_month + 2) / 5 + day - 1;
    constexpr std::int64_t days_to_1970 = 719468;
    return (((days - days_to_1970) * 24 + hour) * 60 + minute) * 60 + second;
}

} // namespace caisson::protocol::evidence
