#include "services/gateway/metrics.hpp"

namespace caisson::services::gateway {

const char* reason_name(Reason reason) noexcept
{
    switch (reason) {
    case Reason::closed: return "closed";
    case Reason::no_zmtp: return "no_zmtp";
    case Reason::bad_handshake: return "bad_handshake";
    case Reason::untrusted: return "untrusted";
    case Reason::not_listed: return "not_listed";
    case Reason::revoked: return "revoked";
    case Reason::zap_refused: return "zap_refused";
    case Reason::zap_unavailable: return "zap_unavailable";
    case Reason::plain_unavailable: return "plain_unavailable";
    case Reason::plain_user: return "plain_user";
    case Reason::outer_unavailable: return "outer_unavailable";
    case Reason::handshake_time: return "handshake_time";
    case Reason::silent: return "silent";
    case Reason::too_large: return "too_large";
    case Reason::bad_message: return "bad_message";
    case Reason::chamber_lost: return "chamber_lost";
    case Reason::too_many: return "too_many";
    case Reason::epoch: return "epoch";
    case Reason::stopped: return "stopped";
    }
    return "unknown";
}

Traffic& Traffic::operator+=(const Traffic& other) noexcept
{
    messages_in += other.messages_in;
    messages_out += other.messages_out;
    bytes_in += other.bytes_in;
    bytes_out += other.bytes_out;
    return *this;
}

} // namespace caisson::services::gateway
