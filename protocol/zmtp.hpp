// ZMTP 3.0 and 3.1 (RFC 23, RFC 37): greeting, frames, the mechanisms NULL and PLAIN (RFC 24), commands. No I/O, no
// heap: views and buffers of the caller. Spec: docs/spec/zmtp.md.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/wire.hpp"

#include <optional>

namespace caisson::protocol::zmtp {

inline constexpr std::size_t greeting_bytes = 64;
inline constexpr std::size_t mechanism_bytes = 20;
inline constexpr std::size_t frame_head_bytes_max = 9;

enum class Mechanism : std::uint8_t { null, plain, curve };

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

struct FrameHead {
    std::uint8_t flags = 0; // frame_more, frame_command
    std::uint64_t body_bytes = 0;
    std::size_t head_bytes = 0;
};
// [ZMTP-2] The head at the front of `buffered`; nothing while it is incomplete. Fails: malformed (reserved flags).
[[nodiscard]] Result<std::optional<FrameHead>> read_frame_head(Bytes buffered) noexcept;

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

inline constexpr std::string_view hello_name = "\x05HELLO";
inline constexpr std::string_view welcome_name = "\x07WELCOME";
inline constexpr std::string_view initiate_name = "\x08INITIATE";

// The metadata of READY. Fails: malformed (another command), unacceptable (ERROR).
[[nodiscard]] Result<Bytes> read_null_ready(Bytes body) noexcept;
// The metadata of `name`. Fails: malformed (another command, or no metadata), unacceptable (ERROR).
[[nodiscard]] Result<Bytes> read_metadata(Bytes body, std::string_view name) noexcept;
// The value of a property, whatever the case of its name; empty when there is none.
[[nodiscard]] Bytes find_property(Bytes metadata, std::string_view name) noexcept;

// [ZMTP-9] Whether only who carries a connection may say this of it: names that begin with X-Caisson-, and those that
// libzmq makes itself (User-Id, Peer-Address, __fd), in whatever case.
[[nodiscard]] bool is_carriers_property(std::string_view name) noexcept;
// Copies the properties that an end may say of itself. Requires: the metadata was read before.
void copy_ends_properties(Writer& writer, Bytes metadata) noexcept;

struct Credentials {
    std::string_view username;
    std::string_view password;
};
// PLAIN's HELLO. Fails: truncated, malformed, exhausted (more than 255 octets).
[[nodiscard]] Result<Credentials> read_plain_hello(Bytes body) noexcept;
[[nodiscard]] Status write_plain_hello(Writer& writer, const Credentials& credentials) noexcept;

// [ZMTP-7] Heartbeats and subscriptions, the commands of an open connection that somebody between the two ends has to
// know; other commands pass.
struct Command {
    enum class Kind : std::uint8_t { other, ping, pong, subscribe, cancel };
    Kind kind = Kind::other;
    std::uint16_t ttl_deciseconds = 0; // ping
    Bytes rest;                        // ping: the context, subscribe and cancel: the topic
};
inline constexpr std::size_t ping_context_bytes_max = 16;
// Fails: malformed (a PING without TTL or with too long a context).
[[nodiscard]] Result<Command> read_command(Bytes body) noexcept;
void write_ping(Writer& writer, std::uint16_t ttl_deciseconds) noexcept;
void write_pong(Writer& writer, Bytes context) noexcept;
inline constexpr std::uint8_t subscribe_octet = 1; // before the topic, in a message of ZMTP 3.0
inline constexpr std::uint8_t cancel_octet = 0;

} // namespace caisson::protocol::zmtp
