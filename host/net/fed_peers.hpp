// FedPeers: whose Attestation Results the feeder asks for, and in which order, however many strangers knock.
// Kept keys (live sessions, configured peers) are asked for always, recent ones (their node has a result the chamber
// took) while there is room, and strangers once each: a key without a result gives way first.
// Not safe for concurrent use.
#pragma once

#include "protocol/node_link.hpp"

#include <cstddef>
#include <deque>
#include <list>
#include <map>
#include <vector>

namespace caisson::host::net {

class FedPeers {
  public:
    static constexpr std::size_t kept_max = 1024; // airlock::curve::sessions_max
    static constexpr std::size_t recent_max = 16;
    static constexpr std::size_t waiting_max = 256;
    static constexpr std::size_t strangers_per_request = 16;
    static constexpr std::size_t kept_per_request = protocol::node_link::keys_max - recent_max - strangers_per_request;

    // Asks for `key` always, until it was released as often as it was kept. False: kept_max keys are kept already.
    bool keep(const protocol::CurveKey& key);
    // The key becomes a recent one, so that who reconnects finds its result fresh.
    void release(const protocol::CurveKey& key);
    // Asks for `key` once, soon. Dropped while waiting_max others wait.
    void want(const protocol::CurveKey& key);
    // The chamber took a result that names `key`, which was asked for.
    void note_result(const protocol::CurveKey& key);

    // The keys of the next request, at most node_link::keys_max, each once.
    [[nodiscard]] std::vector<protocol::CurveKey> next();
    // How many requests it takes to ask for every kept key; at least 1.
    [[nodiscard]] std::size_t requests_per_round() const noexcept;
    [[nodiscard]] bool has_waiting() const noexcept { return !waiting_.empty(); }

  private:
    void make_recent(const protocol::CurveKey& key);

    struct Before {
        bool operator()(const protocol::CurveKey& a, const protocol::CurveKey& b) const noexcept
        {
            return a.bytes < b.bytes;
        }
    };
    std::map<protocol::CurveKey, std::size_t, Before> kept_; // how often
    protocol::CurveKey last_asked_;                          // the round of kept keys goes on behind it
    std::list<protocol::CurveKey> recent_;                   // the newest is last
    std::deque<protocol::CurveKey> waiting_;                 // the oldest is first
};

} // namespace caisson::host::net
