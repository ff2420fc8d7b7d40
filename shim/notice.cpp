#include "shim/notice.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <string_view>

#include <unistd.h>

namespace caisson::shim {
namespace {

constexpr std::array<std::string_view, 4> lines{
    "caisson: shim: the chamber cannot be reached: it has ended, or more than 15 processes share it; CURVE calls fail "
    "from here on; restart under \"caisson run\"\n",
    "caisson: shim: a secret key was refused: the chamber does not know it; give the program the handle that \"caisson "
    "key show NAME --handle\" prints instead of the secret, or see \"caisson run --allow-raw-keys\"\n",
    "caisson: shim: a message was refused: it is larger than the chamber takes; send it in parts\n",
    "caisson: shim: the chamber refused a message or handshake: its peer is not trusted now, a limit is "
    "reached, or the chamber was started anew; \"caisson status\" says more\n",
};

constinit std::array<std::atomic<bool>, lines.size()> told{};

} // namespace

void notice_once(Notice notice) noexcept
{
    const auto index = static_cast<std::size_t>(notice);
    if (told[index].exchange(true)) {
        return;
    }
    const int before = errno; // the caller's caller may look at it
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, lines[index].data(), lines[index].size());
    errno = before;
}

} // namespace caisson::shim
