#include "services/gateway/wanted_peers.hpp"

#include <algorithm>

namespace caisson::services::gateway {
namespace {

constexpr std::size_t waiting_max = 256;

} // namespace

WantedPeers::WantedPeers(host::net::TrustFeeder& feeder)
    : feeder_(feeder)
    , thread_([this] { work(); })
{
}

WantedPeers::~WantedPeers()
{
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void WantedPeers::add(const protocol::CurveKey& key)
{
    const std::scoped_lock lock(mutex_);
    const bool there = std::find(waiting_.begin(), waiting_.end(), key) != waiting_.end();
    if (!there && waiting_.size() < waiting_max) {
        waiting_.push_back(key);
        changed_.notify_one();
    }
}

void WantedPeers::work()
{
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (stopping_) {
            return;
        }
        const auto key = waiting_.front();
        waiting_.pop_front();
        lock.unlock();
        feeder_.add_peer(key);
        lock.lock();
    }
}

} // namespace caisson::services::gateway
