// JsonObject: one JSON object of a file of ours, read strictly; errors say where, which field, and what it must be.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace caisson::host::store {

class JsonObject {
  public:
    // `where` names the file in errors, `remedy` says what to do about them.
    // Fails: malformed (not JSON, no object, a field that stands there twice).
    static Outcome<JsonObject> parse(std::string_view text, std::string where, std::string remedy);
    ~JsonObject();
    JsonObject(JsonObject&&) noexcept;
    JsonObject& operator=(JsonObject&&) noexcept;

    // Fails: malformed (another field).
    [[nodiscard]] Done expect_only(std::span<const std::string_view> fields) const;

    [[nodiscard]] bool has(std::string_view field) const;

    // Each fails: malformed (missing, of another type or size).
    [[nodiscard]] Done expect_number(std::string_view field, std::int64_t value) const;
    [[nodiscard]] Outcome<std::string> text(std::string_view field) const;
    [[nodiscard]] Outcome<bool> boolean(std::string_view field) const;
    [[nodiscard]] Outcome<std::vector<std::uint8_t>> hex(std::string_view field, std::size_t bytes_min,
                                                         std::size_t bytes_max) const;
    [[nodiscard]] Done read_hex_to(std::string_view field, MutableBytes bytes) const;
    [[nodiscard]] Done read_z85_to(std::string_view field, MutableBytes bytes) const;

    [[nodiscard]] std::unexpected<Fault> wrong(std::string_view field, std::string_view expected) const;

  private:
    struct Inside;
    explicit JsonObject(std::unique_ptr<Inside> inside) noexcept;
    std::unique_ptr<Inside> inside_;
};

} // namespace caisson::host::store
