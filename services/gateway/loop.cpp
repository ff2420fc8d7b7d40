#include "services/gateway/loop.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <span>
#include <utility>

namespace caisson::services::gateway {
namespace {

// A sandbox may know no pause shorter than a millisecond: then it is not made at all, and whoever waits shortly asks
// again and again.
int wait_for_events(int descriptor, std::span<epoll_event> events, std::chrono::microseconds longest)
{
    const auto count = static_cast<int>(events.size());
    const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(longest);
    if (whole == longest) {
        return ::epoll_wait(descriptor, events.data(), count, static_cast<int>(whole.count()));
    }
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
    const timespec time{seconds.count(), std::chrono::nanoseconds(longest - seconds).count()};
    const int ready = ::epoll_pwait2(descriptor, events.data(), count, &time, nullptr);
    return ready < 0 && errno != EINTR ? ::epoll_wait(descriptor, events.data(), count, 0) : ready;
}

} // namespace

host::Outcome<Loop> Loop::open()
{
    const int descriptor = ::epoll_create1(EPOLL_CLOEXEC);
    if (descriptor < 0) {
        return std::unexpected(host::system_fault("gateway: epoll", errno));
    }
    return Loop(descriptor);
}

Loop::~Loop()
{
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

Loop::Loop(Loop&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1))
{
}

void Loop::watch(int descriptor, Watcher& watcher, Wish& known, bool read, bool write) const
{
    const Wish wanted{true, read, write};
    if (wanted == known) {
        return;
    }
    epoll_event event{};
    event.events = (read ? std::uint32_t{EPOLLIN} : 0U) | (write ? std::uint32_t{EPOLLOUT} : 0U);
    event.data.ptr = &watcher;
    if (::epoll_ctl(descriptor_, known.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event) == 0) {
        known = wanted;
    }
}

void Loop::forget(int descriptor, Wish& known) const
{
    if (std::exchange(known, {}).watched) {
        ::epoll_ctl(descriptor_, EPOLL_CTL_DEL, descriptor, nullptr);
    }
}

std::size_t Loop::wait(std::chrono::microseconds longest, std::size_t most) const
{
    std::array<epoll_event, told_max> events;
    const int ready = wait_for_events(descriptor_, std::span(events).first(most), longest);
    const auto count = static_cast<std::size_t>(std::max(ready, 0));
    for (const auto& event : std::span(events).first(count)) {
        static_cast<Watcher*>(event.data.ptr)
            ->on_ready((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0, (event.events & EPOLLOUT) != 0);
    }
    return count;
}

} // namespace caisson::services::gateway
