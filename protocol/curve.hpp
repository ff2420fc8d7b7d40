// CurveZMQ (RFC 26) and its use in ZMTP (RFC 25): the layouts of the six commands and the nonces' prefixes.
#pragma once

#include "core/bytes.hpp"
#include "core/wire.hpp"

namespace caisson::protocol::curve {

inline constexpr std::size_t key_bytes = 32;
inline constexpr std::size_t tag_bytes = 16;
inline constexpr std::size_t short_nonce_bytes = 8; // on the wire; a 16-octet prefix before it
inline constexpr std::size_t long_nonce_bytes = 16; // on the wire; an 8-octet prefix before it
inline constexpr std::size_t nonce_bytes = 24;

// Command names with their length octet.
inline constexpr std::string_view HELLO = "\x05HELLO";
inline constexpr std::string_view WELCOME = "\x07WELCOME";
inline constexpr std::string_view INITIATE = "\x08INITIATE";
inline constexpr std::string_view READY = "\x05READY";
inline constexpr std::string_view MESSAGE = "\x07MESSAGE";
inline constexpr std::string_view ERROR = "\x05"
                                          "ERROR";

inline constexpr std::size_t hello_padding_bytes = 72;
inline constexpr std::size_t hello_zeros_bytes = 64;
inline constexpr std::size_t hello_bytes = 200;
inline constexpr std::size_t cookie_bytes = long_nonce_bytes + 2 * key_bytes + tag_bytes;
inline constexpr std::size_t welcome_bytes = 168;
inline constexpr std::size_t vouch_bytes = long_nonce_bytes + 2 * key_bytes + tag_bytes;
inline constexpr std::size_t initiate_bytes_min = 257;
inline constexpr std::size_t ready_bytes_min = 30;
inline constexpr std::size_t message_bytes_min = 33;
// What MESSAGE adds to a text: name, nonce, tag, flags.
inline constexpr std::size_t message_overhead_bytes = 33;

static_assert(HELLO.size() + 2 + hello_padding_bytes + key_bytes + short_nonce_bytes + hello_zeros_bytes + tag_bytes ==
              hello_bytes);
static_assert(WELCOME.size() + long_nonce_bytes + key_bytes + cookie_bytes + tag_bytes == welcome_bytes);
static_assert(INITIATE.size() + cookie_bytes + short_nonce_bytes + key_bytes + vouch_bytes + tag_bytes ==
              initiate_bytes_min);

// Prefixes of short nonces (16 octets) and long nonces (8 octets).
inline constexpr std::string_view hello_nonce = "CurveZMQHELLO---";
inline constexpr std::string_view initiate_nonce = "CurveZMQINITIATE";
inline constexpr std::string_view ready_nonce = "CurveZMQREADY---";
inline constexpr std::string_view message_to_client_nonce = "CurveZMQMESSAGES";
inline constexpr std::string_view message_to_server_nonce = "CurveZMQMESSAGEC";
inline constexpr std::string_view welcome_nonce = "WELCOME-";
inline constexpr std::string_view cookie_nonce = "COOKIE--";
inline constexpr std::string_view vouch_nonce = "VOUCH---";

using Nonce = ByteArray<nonce_bytes>;

// A short nonce: prefix and big-endian counter.
inline Nonce short_nonce(std::string_view prefix, std::uint64_t counter) noexcept
{
    Nonce nonce{};
    Writer writer(nonce);
    writer.write_bytes(bytes_of(prefix));
    writer.write_be(counter);
    return nonce;
}

// A long nonce: prefix and 16 random octets.
inline Nonce long_nonce(std::string_view prefix, Bytes random) noexcept
{
    Nonce nonce{};
    Writer writer(nonce);
    writer.write_bytes(bytes_of(prefix));
    writer.write_bytes(random);
    return nonce;
}

} // namespace caisson::protocol::curve
