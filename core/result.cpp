#include "core/result.hpp"

namespace caisson {

const char* kind_name(Kind kind) noexcept
{
    switch (kind) {
    case Kind::truncated: return "truncated";
    case Kind::malformed: return "malformed";
    case Kind::unauthentic: return "unauthentic";
    case Kind::unacceptable: return "unacceptable";
    case Kind::forbidden: return "forbidden";
    case Kind::missing: return "missing";
    case Kind::conflict: return "conflict";
    case Kind::expired: return "expired";
    case Kind::exhausted: return "exhausted";
    case Kind::unavailable: return "unavailable";
    }
    return "unknown";
}

} // namespace caisson
