#include "core/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace caisson {

void check_failed(const char* condition, int line) noexcept
{
    std::fprintf(stderr, "caisson: internal error: CHECK(%s) failed at line %d\n", condition, line);
    std::abort();
}

} // namespace caisson
