// Resolver: names become addresses beside the loop, which must not wait for a name server.
#pragma once

#include "services/gateway/loop.hpp"
#include "services/gateway/stream.hpp"

#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace caisson::services::gateway {

// One thread asks; each name that is looked up has a thread of its own meanwhile, never two for one name.
class Resolver final : public Watcher {
  public:
    using Answer = std::function<void(host::Outcome<SocketAddress>)>;
    // May take its time. For tests another one than the system's.
    using LookUp = std::function<host::Outcome<SocketAddress>(const Endpoint&)>;

    explicit Resolver(const Loop& loop, LookUp look_up = resolve);
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    // Answers in a later turn of the loop; for an endpoint that names no name, ask known_address.
    void ask(const Endpoint& endpoint, Answer answer);

    void on_ready(bool readable, bool writable) override;

  private:
    struct Found; // shared with the threads, which may outlive us

    const Loop& loop_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    LookUp look_up_;
    Loop::Wish wish_;
    std::shared_ptr<Found> found_;
    std::map<std::string, std::vector<Answer>> waiting_; // by the endpoint's text
};

} // namespace caisson::services::gateway
