#include "host/fault.hpp"

#include <cerrno>
#include <cstring>

namespace caisson::host {
namespace {

Kind kind_of(int error_number) noexcept
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR: return Kind::missing;
    case EACCES:
    case EPERM: return Kind::forbidden;
    case EEXIST: return Kind::conflict;
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EDQUOT: return Kind::exhausted;
    default: return Kind::unavailable;
    }
}

} // namespace

Fault system_fault(std::string_view doing, int error_number)
{
    return {kind_of(error_number), std::string(doing) + ": " + std::strerror(error_number)};
}

} // namespace caisson::host
