#include "services/agent/log.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <string>

namespace caisson::services::agent {

void log_line(std::string_view text)
{
    timespec now{};
    std::timespec_get(&now, TIME_UTC);
    std::tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    std::array<char, 32> stamp{};
    std::strftime(stamp.data(), stamp.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    std::string line(text);
    std::ranges::replace_if(
        line, [](char letter) { return static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f; }, '?');
    std::fprintf(stderr, "%s.%03ldZ agent: %s\n", stamp.data(), now.tv_nsec / 1'000'000, line.c_str());
}

} // namespace caisson::services::agent
