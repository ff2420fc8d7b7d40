#include "host/net/fed_peers.hpp"

#include <algorithm>

namespace caisson::host::net {
namespace {

using protocol::CurveKey;

template <typename Keys>
bool holds(const Keys& keys, const CurveKey& key)
{
    return std::find(keys.begin(), keys.end(), key) != keys.end();
}

} // namespace

bool FedPeers::keep(const CurveKey& key)
{
    const auto there = kept_.find(key);
    if (there != kept_.end()) {
        ++there->second;
        return true;
    }
    if (kept_.size() == kept_max) {
        return false;
    }
    kept_.emplace(key, 1);
    recent_.remove(key);
    return true;
}

void FedPeers::release(const CurveKey& key)
{
    const auto there = kept_.find(key);
    if (there == kept_.end() || --there->second > 0) {
        return;
    }
    kept_.erase(there);
    make_recent(key);
}

void FedPeers::want(const CurveKey& key)
{
    if (waiting_.size() < waiting_max && !holds(waiting_, key)) {
        waiting_.push_back(key);
    }
}

void FedPeers::note_result(const CurveKey& key)
{
    if (!kept_.contains(key) && !holds(recent_, key)) {
        make_recent(key);
    }
}

void FedPeers::make_recent(const CurveKey& key)
{
    recent_.remove(key);
    if (recent_.size() == recent_max) {
        recent_.pop_front();
    }
    recent_.push_back(key);
}

std::vector<CurveKey> FedPeers::next()
{
    std::vector<CurveKey> keys;
    while (keys.size() < strangers_per_request && !waiting_.empty()) {
        keys.push_back(waiting_.front());
        waiting_.pop_front();
    }
    const auto add = [&keys](const CurveKey& key) {
        if (!holds(keys, key)) {
            keys.push_back(key);
        }
    };
    std::for_each(recent_.begin(), recent_.end(), add);
    auto turn = kept_.upper_bound(last_asked_);
    for (std::size_t seen = 0; seen < kept_.size() && keys.size() < protocol::node_link::keys_max; ++seen) {
        turn = turn == kept_.end() ? kept_.begin() : turn;
        last_asked_ = turn->first;
        add(turn->first);
        ++turn;
    }
    return keys;
}

std::size_t FedPeers::requests_per_round() const noexcept
{
    return std::max<std::size_t>(1, (kept_.size() + kept_per_request - 1) / kept_per_request);
}

} // namespace caisson::host::net
