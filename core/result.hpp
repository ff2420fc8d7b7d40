// Result<T>: a value, or an Error that says what the caller can do and what a person should know.
#pragma once

#include <cstdint>
#include <expected>
#include <utility>

namespace caisson {

// What the caller can do about it. A new kind needs a new reaction.
enum class Kind : std::uint8_t {
    truncated = 1, // more bytes are needed
    malformed,     // not what the format says
    unauthentic,   // a signature, tag or digest does not verify
    unacceptable,  // authentic, but the policy says no
    forbidden,     // this caller may not, or not now
    missing,       // no such thing
    conflict,      // it is there already, or changed meanwhile
    expired,       // too old, or used up
    exhausted,     // a limit or table is full
    unavailable,   // try again later
};

// The kind in one word, as operators and transcripts see it.
const char* kind_name(Kind kind) noexcept;

struct Error {
    Kind kind;
    const char* what; // a literal, for people; only `kind` crosses the airlock
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> fail(Kind kind, const char* what) noexcept
{
    return std::unexpected<Error>(Error{kind, what});
}

namespace detail {

template <typename R>
auto take(R& result) noexcept
{
    if constexpr (!std::is_void_v<typename R::value_type>) {
        return typename R::value_type(std::move(*result));
    }
}

} // namespace detail
} // namespace caisson

// `const auto hello = TRY(read_hello(frame));` passes an error up to the caller. Not inside coroutines.
#define TRY(expression)                                                                                                \
    __extension__({                                                                                                    \
        auto try_result_ = (expression);                                                                               \
        if (!try_result_) [[unlikely]] {                                                                               \
            return std::unexpected(std::move(try_result_).error());                                                    \
        }                                                                                                              \
        ::caisson::detail::take(try_result_);                                                                          \
    })
