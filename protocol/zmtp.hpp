// ZMTP 3.0 and 3.1 (RFC 23, RFC 37): greeting, frames and the NULL mechanism's READY. No I/O, no heap: views and
// buffers of the caller. Spec: docs/spec/zmtp.md.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/wire.hpp"

#include <optional>

namespace caisson::protocol::zmtp {

inline constexpr std::size_t greeting_bytes = 64;
inline constexpr std::size_t mechanism_bytes = 20;
inline constexpr std::size_t frame_head_bytes_max = 9;

enum class Mechanism : std::uint8_t { null, curve };

struct Greeting {
    Mechanism mechanism = Mechanism::null;
    std::uint8_t minor = 1; // of version 3
};

[[nodiscard]] ByteArray<greeting_bytes> write_greeting(const Greeting& greeting) noexcept;

// [ZMTP-1] Fails: malformed (no ZMTP, version 1 or 2, another mechanism).
[[nodiscard]] Result<Greeting> read_greeting(const ByteArray<greeting_bytes>& bytes) noexcept;

inline constexpr std::uint8_t frame_more = 1;
inline constexpr std::uint8_t frame_long = 2;
inline constexpr std::uint8_t frame_command = 4;

struct Frame {
    std::uint8_t flags = 0; // frame_more, frame_command
    Bytes body;
    std::size_t wire_bytes = 0; // head and body
};

// [ZMTP-2] The frame at the front of `buffered`; nothing while it is incomplete. A body over `body_bytes_max` is
// refused by its head, before anybody makes room for it. Fails: malformed (reserved flags, size), exhausted (too
// large).
[[nodiscard]] Result<std::optional<Frame>> read_frame(Bytes buffered, std::size_t body_bytes_max) noexcept;

// Writes the head of a frame; the body follows. Returns its size.
[[nodiscard]] std::size_t write_frame_head(std::span<std::uint8_t, frame_head_bytes_max> head, std::uint8_t flags,
                                           std::size_t body_bytes) noexcept;

// Metadata: one property after the other.
void write_property(Writer& writer, std::string_view name, Bytes value) noexcept;
struct Property {
    std::string_view name;
    Bytes value;
};
// The next property; nothing at the end. Fails: truncated, malformed (an empty name).
[[nodiscard]] Result<std::optional<Property>> read_property(Reader& metadata) noexcept;

inline constexpr std::string_view ready_name = "\x05READY";
inline constexpr std::string_view error_name = "\x05"
                                               "ERROR";

// The metadata of a NULL READY. Fails: malformed (another command), unacceptable (ERROR).
[[nodiscard]] Result<Bytes> read_null_ready(Bytes body) noexcept;

} // namespace caisson::protocol::zmtp
