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
    const char* remedy =
        error_number == EMFILE ? "; raise the limit of open files with `ulimit -n` or LimitNOFILE=" : "";
    return {kind_of(error_number), std::string(doing) + ": " + std::strerror(error_number) + remedy};
}

} // namespace caisson::host
