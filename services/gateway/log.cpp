#include "services/gateway/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
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

// An open file of our own for the same pipe or terminal, so that only we do not wait for it. A file never makes one
// wait; a socket is asked not to, each time.
Log::Log(bool json, int descriptor)
    : json_(json)
    , descriptor_(descriptor)
{
    struct stat facts{};
    if (::fstat(descriptor, &facts) != 0) {
        return;
    }
    if (S_ISREG(facts.st_mode)) {
        way_ = Way::file;
        return;
    }
    if (S_ISSOCK(facts.st_mode)) {
        way_ = Way::socket;
        return;
    }
    const auto path = "/proc/self/fd/" + std::to_string(descriptor);
    const int own = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own >= 0) {
        descriptor_ = own;
        way_ = Way::unblocked;
    }
}

Log::~Log()
{
    if (way_ == Way::unblocked) {
        ::close(descriptor_);
    }
}

std::size_t Log::write(std::string_view text) const noexcept
{
    if (way_ == Way::looked_at) { // not ours to change: looked at first, a pipe has room for a line then
        pollfd room{descriptor_, POLLOUT, 0};
        if (::poll(&room, 1, 0) != 1) {
            return 0;
        }
    }
    const auto written = way_ == Way::socket
                             ? ::send(descriptor_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                             : ::write(descriptor_, text.data(), text.size());
    return written > 0 ? static_cast<std::size_t>(written) : 0;
}

bool Log::give(const std::string& line)
{
    if (!rest_.empty()) {
        rest_.erase(0, write(rest_));
        if (!rest_.empty()) {
            return false;
        }
    }
    const auto written = write(line);
    if (written > 0) {
        rest_ = line.substr(written);
    }
    return written > 0;
}

// [GATE-33]
void Log::line(const std::string& text, std::initializer_list<Field> fields)
{
    const auto wanted = formatted(text, fields);
    const std::scoped_lock lock(mutex_);
    if (dropped_ > 0) {
        const auto count = std::to_string(dropped_);
        if (!give(formatted(count + " lines were dropped here: nobody read the log", {{"dropped", count}}))) {
            ++dropped_;
            return;
        }
        dropped_ = 0;
    }
    dropped_ += give(wanted) ? 0 : 1;
}

std::string Log::formatted(const std::string& text, std::initializer_list<Field> fields) const
{
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto seconds = static_cast<std::time_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
    const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(now).count() % 1000;
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text_of_seconds[32];
    std::strftime(text_of_seconds, sizeof text_of_seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    const auto stamp = text_of_seconds + ("." + std::to_string(1000 + millis).substr(1)) + "Z"; // three digits
    std::string out;
    if (json_) {
        out = R"({"time":")" + stamp + R"(","event":")" + printable(text, true) + '"';
        for (const auto& [name, value] : fields) {
            if (!value.empty()) {
                out += ",\"" + std::string(name) + "\":\"" + printable(value, true) + '"';
            }
        }
        out += "}\n";
    } else {
        out = stamp + " gateway: " + printable(text, false) + "\n";
    }
    return out;
}

} // namespace caisson::services::gateway
