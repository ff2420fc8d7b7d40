// What toml++ takes for granted while it parses, and a text can break ("[+" in 3.3.0), is an exception here and not the
// end of the process. Include it before toml++.
#pragma once

#include <stdexcept>

namespace caisson::host::store {

struct TomlConfusion final : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr void toml_expects(bool holds)
{
    if (!holds) {
        throw TomlConfusion("not TOML");
    }
}

} // namespace caisson::host::store

#undef NDEBUG // with it toml++ would not even look
#define TOML_ASSERT(condition) ::caisson::host::store::toml_expects(static_cast<bool>(condition)) // NOLINT
