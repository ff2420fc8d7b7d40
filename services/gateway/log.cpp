#include "services/gateway/log.hpp"

#include <cstdio>
#include <ctime>

namespace caisson::services::gateway {
namespace {

// Our own lines hold no control characters; what a peer could have brought in is shown as '?'.
std::string printable(const std::string& text, bool json)
{
    std::string out;
    for (const char letter : text) {
        if (json && (letter == '"' || letter == '\\')) {
            out += '\\';
        }
        out += static_cast<unsigned char>(letter) < 0x20 ? '?' : letter;
    }
    return out;
}

} // namespace

void Log::line(const std::string& text)
{
    const auto now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char stamp[32];
    std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &parts);
    const std::scoped_lock lock(mutex_);
    if (json_) {
        std::fprintf(stderr, "{\"time\":\"%s\",\"event\":\"%s\"}\n", stamp, printable(text, true).c_str());
    } else {
        std::fprintf(stderr, "%s gateway: %s\n", stamp, printable(text, false).c_str());
    }
}

} // namespace caisson::services::gateway
