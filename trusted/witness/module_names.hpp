// ModuleNames: the names of the loaded kernel modules, read from the text of /proc/modules in any chunks.
// Only the names are stable; sizes, counts and addresses in that text change from boot to boot.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"

#include <array>

namespace caisson::trusted::witness {

inline constexpr std::size_t modules_max = 1024;
inline constexpr std::size_t module_name_bytes_max = 56; // Linux's MODULE_NAME_LEN

class ModuleNames {
  public:
    void clear() noexcept;

    // Fails: exhausted (more than modules_max), malformed (a name too long or empty).
    [[nodiscard]] Status absorb(Bytes text) noexcept;

    // [MEASURE-12] SHA-256 over "present\n" and the sorted names, each with "\n". Nothing may be absorbed after it.
    // Fails: malformed (the text ends within a line).
    [[nodiscard]] Result<Digest> digest() noexcept;

    // [MEASURE-12] Of a kernel without modules: SHA-256 over "absent\n".
    [[nodiscard]] static Digest digest_of_none() noexcept;

  private:
    struct Name {
        std::array<char, module_name_bytes_max> text{};
        std::uint8_t size = 0;
        [[nodiscard]] std::string_view view() const noexcept { return {text.data(), size}; }
    };
    Status end_name() noexcept;

    std::array<Name, modules_max> names_{};
    std::size_t count_ = 0;
    Name current_;
    bool in_name_ = true; // else in the rest of the line
};

} // namespace caisson::trusted::witness
