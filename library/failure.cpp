#include "library/failure.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace caisson::library {
namespace {

constexpr std::size_t text_bytes_max = 512;

std::array<char, text_bytes_max>& kept_text() noexcept
{
    // Aligned: where thread-local storage has no alignment, mold 1.10 may begin RELRO on a page that is not there.
    alignas(std::max_align_t) thread_local std::array<char, text_bytes_max> text{};
    return text;
}

} // namespace

int code_of(Kind kind) noexcept
{
    return -static_cast<int>(kind);
}

static_assert(-static_cast<int>(Kind::truncated) == CAISSON_TRUNCATED &&
              -static_cast<int>(Kind::unavailable) == CAISSON_UNAVAILABLE &&
              -static_cast<int>(Kind::conflict) == CAISSON_CONFLICT);

int failed(Kind kind, const char* what) noexcept
{
    auto& text = kept_text();
    const auto size = std::min(std::strlen(what), text.size() - 1);
    std::memcpy(text.data(), what, size);
    text[size] = '\0';
    return code_of(kind);
}

} // namespace caisson::library

extern "C" {

const char* caisson_error_text(void)
{
    return caisson::library::kept_text().data();
}

const char* caisson_code_name(int code)
{
    if (code == CAISSON_OK) {
        return "ok";
    }
    const bool known = code >= CAISSON_UNAVAILABLE && code <= CAISSON_TRUNCATED;
    return known ? caisson::kind_name(static_cast<caisson::Kind>(-code)) : "unknown";
}

const char* caisson_version(void)
{
    return CAISSON_VERSION;
}
}
