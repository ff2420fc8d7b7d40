#include "host/store/json_object.hpp"

#include "core/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace caisson::host::store {

using nlohmann::json;

struct JsonObject::Inside {
    json object;
    std::string where;
    std::string remedy;
};

JsonObject::JsonObject(std::unique_ptr<Inside> inside) noexcept
    : inside_(std::move(inside))
{
}
JsonObject::~JsonObject() = default;
JsonObject::JsonObject(JsonObject&&) noexcept = default;
JsonObject& JsonObject::operator=(JsonObject&&) noexcept = default;

Outcome<JsonObject> JsonObject::parse(std::string_view text, std::string where, std::string remedy)
{
    // Twice the same field means somebody else wrote the file, and readers would disagree about it.
    std::vector<std::string> seen;
    bool repeated = false;
    const json::parser_callback_t note_names = [&](int depth, json::parse_event_t event, json& parsed) {
        if (depth == 1 && event == json::parse_event_t::key) {
            auto name = parsed.get<std::string>();
            repeated = repeated || std::find(seen.begin(), seen.end(), name) != seen.end();
            seen.push_back(std::move(name));
        }
        return true;
    };
    json object;
    try {
        object = json::parse(text, note_names);
    } catch (const json::exception& error) {
        const std::string_view what = error.what();
        const auto detail = what.substr(std::min(what.find("] ") + 2, what.size()));
        return fault(Kind::malformed, where + ": not JSON: " + std::string(detail) + "; " + remedy);
    }
    if (!object.is_object()) {
        return fault(Kind::malformed, where + ": must be a JSON object; " + remedy);
    }
    if (repeated) {
        return fault(Kind::malformed, where + ": a field stands there twice; " + remedy);
    }
    return JsonObject(std::make_unique<Inside>(Inside{std::move(object), std::move(where), std::move(remedy)}));
}

Done JsonObject::expect_only(std::span<const std::string_view> fields) const
{
    for (const auto& item : inside_->object.items()) {
        if (std::find(fields.begin(), fields.end(), item.key()) == fields.end()) {
            return fault(Kind::malformed, inside_->where + ": unknown field \"" + item.key() + "\"; " +
                                              inside_->remedy + " (or is it the file of a later version of caisson?)");
        }
    }
    return {};
}

bool JsonObject::has(std::string_view field) const
{
    return inside_->object.contains(field);
}

std::unexpected<Fault> JsonObject::wrong(std::string_view field, std::string_view expected) const
{
    return fault(Kind::malformed, inside_->where + ": field \"" + std::string(field) + "\" must be " +
                                      std::string(expected) + "; " + inside_->remedy);
}

Done JsonObject::expect_number(std::string_view field, std::int64_t value) const
{
    const auto found = inside_->object.find(field);
    if (found == inside_->object.end() || !found->is_number_integer() || *found != value) {
        return wrong(field, std::to_string(value) + " (or is it the file of a later version of caisson?)");
    }
    return {};
}

Outcome<std::string> JsonObject::text(std::string_view field) const
{
    const auto found = inside_->object.find(field);
    if (found == inside_->object.end() || !found->is_string()) {
        return wrong(field, "a text");
    }
    return found->get<std::string>();
}

Outcome<bool> JsonObject::boolean(std::string_view field) const
{
    const auto found = inside_->object.find(field);
    if (found == inside_->object.end() || !found->is_boolean()) {
        return wrong(field, "true or false");
    }
    return found->get<bool>();
}

Outcome<std::vector<std::uint8_t>> JsonObject::hex(std::string_view field, std::size_t bytes_min,
                                                   std::size_t bytes_max) const
{
    const auto expected = bytes_min == bytes_max
                              ? std::to_string(2 * bytes_min) + " hexadecimal digits"
                              : std::to_string(2 * bytes_min) + " to " + std::to_string(2 * bytes_max) +
                                    " hexadecimal digits, two for each byte";
    const auto written = text(field);
    if (!written) {
        return wrong(field, expected);
    }
    std::vector<std::uint8_t> value(bytes_max);
    const auto size = read_hex(value, *written);
    if (!size || *size < bytes_min) {
        return wrong(field, expected);
    }
    value.resize(*size);
    return value;
}

Done JsonObject::read_hex_to(std::string_view field, MutableBytes bytes) const
{
    const auto value = TRY(hex(field, bytes.size(), bytes.size()));
    copy_bytes(bytes, value);
    return {};
}

Done JsonObject::read_z85_to(std::string_view field, MutableBytes bytes) const
{
    const auto written = text(field);
    const auto size = written ? read_z85(bytes, *written) : Result<std::size_t>(std::size_t{0});
    if (!size || *size != bytes.size()) {
        return wrong(field, std::to_string(bytes.size() / 4 * 5) + " letters of Z85");
    }
    return {};
}

} // namespace caisson::host::store
