// JsonWriter: builds one JSON text for `--json`. Commas and quotes are its business, nesting is yours.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace caisson::cli {

class JsonWriter {
  public:
    JsonWriter& begin_object();
    JsonWriter& end_object();
    JsonWriter& begin_array();
    JsonWriter& end_array();

    // The name of the next value, inside an object.
    JsonWriter& name(std::string_view text);

    // Octets that are no UTF-8 come out as U+FFFD.
    JsonWriter& text(std::string_view value);
    JsonWriter& number(std::uint64_t value);
    JsonWriter& number_signed(std::int64_t value);
    JsonWriter& boolean(bool value);
    JsonWriter& null();

    [[nodiscard]] const std::string& str() const noexcept { return out_; }

  private:
    void separate();
    void quote(std::string_view value);

    std::string out_;
    bool needs_comma_ = false;
};

} // namespace caisson::cli
