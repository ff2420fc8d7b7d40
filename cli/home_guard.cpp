#include "cli/home_guard.hpp"

namespace caisson::cli {

std::optional<host::enclave::Guard> guard_of_home(const Globals& globals)
{
    const auto guard = host::enclave::guard_at(globals.home, host::enclave::ChamberKind::curve);
    if (!guard) {
        report(guard.error());
        return std::nullopt;
    }
    return *guard;
}

} // namespace caisson::cli
