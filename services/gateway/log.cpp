#include "services/gateway/log.hpp"

#include <cstdio>
#include <ctime>

namespace caisson::services::gateway {
namespace {

// Our own lines hold no control characters; what a peer could have brought in is shown as '?'.
std::string printable(std::string_view text, bool json)
{
    std::string out;
    for (const char letter : text) {
        if (json && (letter == '"' || letter == '\\')) {
            out += '\\';
        }
        const auto octet = static_cast<unsigned char>(letter);
        out += octet < 0x20 || octet >= 0x7f ? '?' : letter;
    }
    return out;
}

} // namespace

void Log::line(const std::string& text, std::initializer_list<Field> fields)
{
    const auto now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char stamp[32];
    std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &parts);
    std::string out;
    if (json_) {
        out = std::string(R"({"time":")") + stamp + R"(","event":")" + printable(text, true) + '"';
        for (const auto& [name, value] : fields) {
            if (!value.empty()) {
                out += ",\"" + std::string(name) + "\":\"" + printable(value, true) + '"';
            }
        }
        out += "}\n";
    } else {
        out = std::string(stamp) + " gateway: " + printable(text, false) + "\n";
    }
    const std::scoped_lock lock(mutex_);
    std::fwrite(out.data(), 1, out.size(), stderr);
}

} // namespace caisson::services::gateway
