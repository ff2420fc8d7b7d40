// Strangers in any number must not cost a real peer its place.
#include "host/net/fed_peers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace caisson::host::net {
namespace {

using protocol::CurveKey;

CurveKey key_of(std::uint32_t number)
{
    CurveKey key;
    std::memcpy(key.bytes.data(), &number, sizeof number);
    return key;
}

bool asks_for(const std::vector<CurveKey>& keys, const CurveKey& key)
{
    return std::find(keys.begin(), keys.end(), key) != keys.end();
}

constexpr std::uint32_t strangers_begin = 1'000'000;
constexpr std::uint32_t strangers = 10'000;
const CurveKey live = key_of(1);

TEST(FedPeersTest, a_live_peer_is_in_every_request_of_a_flood)
{
    FedPeers peers;
    EXPECT_TRUE(peers.keep(live));
    for (std::uint32_t number = 0; number < strangers; ++number) {
        peers.want(key_of(strangers_begin + number));
        if (number % 50 == 0) {
            const auto keys = peers.next();
            EXPECT_TRUE(asks_for(keys, live));
            EXPECT_LE(keys.size(), FedPeers::strangers_per_request + 1);
        }
    }
}

TEST(FedPeersTest, who_reconnects_in_a_flood_was_asked_for_all_the_time)
{
    FedPeers peers;
    EXPECT_TRUE(peers.keep(live));
    peers.release(live);
    for (std::uint32_t number = 0; number < strangers; ++number) {
        peers.want(key_of(strangers_begin + number));
        if (number % 50 == 0) {
            EXPECT_TRUE(asks_for(peers.next(), live));
        }
    }
}

TEST(FedPeersTest, a_new_peer_gets_in_while_the_flood_leaves_room_to_wait)
{
    FedPeers peers;
    for (std::uint32_t number = 0; number + 1 < FedPeers::waiting_max; ++number) {
        peers.want(key_of(strangers_begin + number));
    }
    peers.want(live);
    bool asked = false;
    for (std::size_t request = 0; request < FedPeers::waiting_max / FedPeers::strangers_per_request; ++request) {
        asked = asks_for(peers.next(), live) || asked;
    }
    EXPECT_TRUE(asked);
}

TEST(FedPeersTest, a_stranger_is_asked_for_once_and_forgotten)
{
    FedPeers peers;
    peers.want(live);
    peers.want(live);
    EXPECT_EQ(peers.next().size(), 1U);
    EXPECT_TRUE(peers.next().empty());
    EXPECT_FALSE(peers.has_waiting());
}

TEST(FedPeersTest, a_key_with_a_result_is_asked_for_until_newer_ones_take_its_place)
{
    FedPeers peers;
    peers.note_result(live);
    EXPECT_TRUE(asks_for(peers.next(), live));
    for (std::uint32_t number = 0; number < FedPeers::recent_max; ++number) {
        peers.note_result(key_of(100 + number));
    }
    EXPECT_FALSE(asks_for(peers.next(), live));
}

TEST(FedPeersTest, every_kept_key_is_asked_for_within_a_round_in_a_flood)
{
    FedPeers peers;
    for (std::uint32_t number = 0; number < FedPeers::kept_max; ++number) {
        EXPECT_TRUE(peers.keep(key_of(number)));
    }
    for (std::uint32_t number = 0; number < FedPeers::recent_max; ++number) {
        peers.note_result(key_of(5000 + number));
    }
    EXPECT_FALSE(peers.keep(key_of(4000)));
    std::set<std::array<std::uint8_t, 32>> asked;
    for (std::size_t request = 0; request < peers.requests_per_round(); ++request) {
        for (std::uint32_t number = 0; number < 100; ++number) {
            peers.want(key_of(strangers_begin + 100 * static_cast<std::uint32_t>(request) + number));
        }
        const auto keys = peers.next();
        EXPECT_LE(keys.size(), protocol::node_link::keys_max);
        for (const auto& key : keys) {
            asked.insert(key.bytes);
        }
    }
    for (std::uint32_t number = 0; number < FedPeers::kept_max; ++number) {
        EXPECT_TRUE(asked.contains(key_of(number).bytes)) << number;
    }
}

TEST(FedPeersTest, a_key_kept_twice_stays_until_it_is_released_twice)
{
    FedPeers peers;
    EXPECT_TRUE(peers.keep(live));
    EXPECT_TRUE(peers.keep(live));
    peers.release(live);
    for (std::uint32_t number = 0; number < 2 * FedPeers::recent_max; ++number) {
        peers.note_result(key_of(100 + number));
    }
    EXPECT_TRUE(asks_for(peers.next(), live));
    peers.release(live);
    peers.release(live);
    for (std::uint32_t number = 0; number < FedPeers::recent_max; ++number) {
        peers.note_result(key_of(200 + number));
    }
    EXPECT_FALSE(asks_for(peers.next(), live));
}

} // namespace
} // namespace caisson::host::net
