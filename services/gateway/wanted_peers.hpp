// Peers whose nodes' results are wanted: asked for in a thread of its own, so that nobody waits for the agent.
#pragma once

#include "host/net/trust_feeder.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace caisson::services::gateway {

class WantedPeers {
  public:
    // Requires: `feeder` outlives it.
    explicit WantedPeers(host::net::TrustFeeder& feeder);
    ~WantedPeers();
    WantedPeers(const WantedPeers&) = delete;
    WantedPeers& operator=(const WantedPeers&) = delete;

    void add(const protocol::CurveKey& key);

  private:
    void work();

    host::net::TrustFeeder& feeder_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<protocol::CurveKey> waiting_;
    bool stopping_ = false;
    std::thread thread_;
};

} // namespace caisson::services::gateway
