#include "services/gateway/resolver.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace caisson::services::gateway {

struct Resolver::Found {
    explicit Found(int a_bell) noexcept
        : bell(a_bell)
    {
    }
    ~Found() { ::close(bell); }
    Found(const Found&) = delete;
    Found& operator=(const Found&) = delete;

    void add(const std::string& name, host::Outcome<SocketAddress> address)
    {
        {
            const std::scoped_lock lock(mutex);
            addresses.emplace_back(name, std::move(address));
        }
        const std::uint64_t one = 1;
        static_cast<void>(::write(bell, &one, sizeof one) == sizeof one); // full: it rings already
    }

    const int bell;
    std::mutex mutex;
    std::vector<std::pair<std::string, host::Outcome<SocketAddress>>> addresses;
};

Resolver::Resolver(const Loop& loop, LookUp look_up)
    : loop_(loop)
    , look_up_(std::move(look_up))
    , found_(std::make_shared<Found>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)))
{
    loop_.watch(found_->bell, *this, wish_, true, false);
}

Resolver::~Resolver()
{
    loop_.forget(found_->bell, wish_);
}

// A thread cannot be called back from a name server, so it is left alone: it knows nothing of us, and ends by itself.
void Resolver::ask(const Endpoint& endpoint, Answer answer)
{
    const auto name = endpoint.text();
    auto& waiting = waiting_[name];
    waiting.push_back(std::move(answer));
    if (waiting.size() > 1) {
        return;
    }
    try {
        std::thread([found = found_, look_up = look_up_, endpoint, name] {
            found->add(name, look_up(endpoint));
        }).detach();
    } catch (const std::system_error&) {
        found_->add(name, host::fault(Kind::exhausted, name + ": the system gives no thread to look the name up with"));
    }
}

void Resolver::on_ready(bool /*readable*/, bool /*writable*/)
{
    std::uint64_t count = 0;
    static_cast<void>(::read(found_->bell, &count, sizeof count) == sizeof count);
    decltype(found_->addresses) addresses;
    {
        const std::scoped_lock lock(found_->mutex);
        addresses.swap(found_->addresses);
    }
    for (const auto& [name, address] : addresses) {
        const auto answers = std::exchange(waiting_[name], {});
        waiting_.erase(name);
        for (const auto& answer : answers) {
            answer(address);
        }
    }
}

} // namespace caisson::services::gateway
