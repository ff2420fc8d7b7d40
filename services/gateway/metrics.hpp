// What the gateway counts, for `caisson top` and Prometheus. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace caisson::services::gateway {

// Why a connection ended or never became one. A peer hears the same for each; the operator reads it here.
enum class Reason : std::uint8_t {
    closed,            // the peer went
    no_zmtp,           // its greeting is none, or another mechanism's
    bad_handshake,     // a command that does not open, or is malformed
    untrusted,         // its node is not trusted now
    not_listed,        // its key is in no list that admits it
    revoked,           // its key, or ours, was taken back
    zap_refused,       // the user's handler said no
    zap_unavailable,   // the user's handler says nothing
    plain_unavailable, // the program on the plain side takes no connection, or wants security of its own
    plain_user,        // the program on the plain side is another user's
    outer_unavailable, // a connector's server does not answer, or refuses
    handshake_time,    // not within the handshake's time
    silent,            // no sign of life
    too_large,         // a frame above the limit
    bad_message,       // a MESSAGE that does not open, or frames that are none
    chamber_lost,      // the chamber ended, and every session with it
    too_many,          // connections, handshakes of one source, sessions of the chamber
    epoch,             // this machine may be a copy: sessions begin anew
    stopped,           // the gateway stops, or the listener is gone from the file
};
inline constexpr std::size_t reason_count = static_cast<std::size_t>(Reason::stopped) + 1;

const char* reason_name(Reason reason) noexcept;

struct Traffic {
    std::uint64_t messages_in = 0; // from outside
    std::uint64_t messages_out = 0;
    std::uint64_t bytes_in = 0; // of texts
    std::uint64_t bytes_out = 0;
    Traffic& operator+=(const Traffic& other) noexcept;
};

// Of one listener or connector, since the start.
struct RouteMetrics {
    std::uint64_t accepted = 0;
    std::uint64_t opened = 0;
    std::uint64_t handshaking = 0; // now
    std::uint64_t open = 0;        // now
    std::array<std::uint64_t, reason_count> ended{};
    Traffic traffic; // of links that have ended; the others' is added when asked
};

} // namespace caisson::services::gateway
