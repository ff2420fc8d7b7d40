// Connections and sockets with the mechanism NULL, in one process; CURVE and libzmq are in tests/system.
#include "library/socket.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>

namespace caisson::library {
namespace {

constexpr int patience_ms = 5000;

std::vector<Bytes> views(const Parts& parts)
{
    return {parts.begin(), parts.end()};
}

Parts parts_of(std::initializer_list<std::string_view> texts)
{
    Parts parts;
    for (const auto text : texts) {
        parts.emplace_back(text.begin(), text.end());
    }
    return parts;
}

// A socket that listens and one that connects; the threadless two take turns.
struct Pair {
    std::unique_ptr<Socket> one;
    std::unique_ptr<Socket> two;

    Pair(int type_one, int type_two)
        : one(*Socket::open(nullptr, type_one))
        , two(*Socket::open(nullptr, type_two))
    {
    }
    void join()
    {
        const auto address = one->bind(*parse_address("tcp://127.0.0.1:0"));
        ASSERT_TRUE(address) << address.error().what;
        ASSERT_TRUE(two->connect(*address));
        for (int turn = 0; turn < 500 && (one->peer_count() == 0 || two->peer_count() == 0); ++turn) {
            one->poll(5);
            two->poll(5);
        }
        ASSERT_EQ(one->peer_count(), 1U);
        ASSERT_EQ(two->peer_count(), 1U);
    }
    static Outcome<Parts> pass(Socket& from, Socket& to, const Parts& parts)
    {
        TRY(from.send(views(parts), patience_ms));
        return to.receive(patience_ms);
    }
};

TEST(SocketTest, pairs_pass_multipart_messages_both_ways)
{
    Pair pair(CAISSON_PAIR, CAISSON_PAIR);
    pair.join();
    const auto message = parts_of({"a", "", std::string(70000, 'x')});
    EXPECT_EQ(*Pair::pass(*pair.one, *pair.two, message), message);
    EXPECT_EQ(*Pair::pass(*pair.two, *pair.one, message), message);
}
// The sender's queue is full again and again, and what of it has gone gives room in front: 24 MiB through 1 MiB.
TEST(SocketTest, a_peer_that_is_always_behind_gets_everything_in_its_order)
{
    Pair pair(CAISSON_PULL, CAISSON_PUSH);
    pair.join();
    constexpr std::uint32_t messages = 600;
    const auto message = [](std::uint32_t number) {
        Buffer text(1 + number * 7919 % 80'000, static_cast<std::uint8_t>(number));
        text[0] = static_cast<std::uint8_t>(number / 256);
        return Parts{std::move(text)};
    };
    std::uint32_t sent = 0;
    for (std::uint32_t received = 0; received < messages; ++received) {
        while (sent < messages && pair.two->send(views(message(sent)), 0)) {
            ++sent;
        }
        pair.two->poll(0); // what was queued goes on
        auto got = pair.one->receive(0);
        for (int turn = 0; turn < patience_ms && !got; ++turn) {
            pair.two->flush();
            got = pair.one->receive(1);
        }
        ASSERT_TRUE(got) << received;
        ASSERT_EQ(*got, message(received)) << received;
    }
}
TEST(SocketTest, a_request_gets_its_reply_and_turns_are_kept)
{
    Pair pair(CAISSON_REP, CAISSON_REQ);
    pair.join();
    EXPECT_EQ(pair.two->receive(0).error().kind, Kind::forbidden);
    EXPECT_EQ(pair.one->send(views(parts_of({"x"})), 0).error().kind, Kind::forbidden);
    EXPECT_EQ(*Pair::pass(*pair.two, *pair.one, parts_of({"question"})), parts_of({"question"}));
    EXPECT_EQ(pair.two->send(views(parts_of({"again"})), 0).error().kind, Kind::forbidden);
    EXPECT_EQ(*Pair::pass(*pair.one, *pair.two, parts_of({"answer"})), parts_of({"answer"}));
}
TEST(SocketTest, a_router_names_its_peers)
{
    Pair pair(CAISSON_ROUTER, CAISSON_DEALER);
    pair.two->settings().identity = {'d'};
    pair.join();
    EXPECT_EQ(*Pair::pass(*pair.two, *pair.one, parts_of({"hello"})), parts_of({"d", "hello"}));
    EXPECT_EQ(*Pair::pass(*pair.one, *pair.two, parts_of({"d", "yes"})), parts_of({"yes"}));
    EXPECT_EQ(pair.one->send(views(parts_of({"nobody", "x"})), 0).error().kind, Kind::missing);
}
TEST(SocketTest, what_is_given_away_comes_as_what_is_copied)
{
    const auto message = parts_of({"a", "", std::string(70000, 'x'), "b"});
    for (const auto& [to, from] : {std::pair(CAISSON_PULL, CAISSON_PUSH), std::pair(CAISSON_DEALER, CAISSON_DEALER),
                                   std::pair(CAISSON_PAIR, CAISSON_PAIR), std::pair(CAISSON_REP, CAISSON_REQ)}) {
        Pair pair(to, from);
        pair.join();
        ASSERT_TRUE(pair.two->queue(message, patience_ms)) << from;
        pair.two->flush();
        EXPECT_EQ(*pair.one->receive(patience_ms), message) << from;
    }
    Pair pair(CAISSON_ROUTER, CAISSON_DEALER);
    pair.two->settings().identity = {'d'};
    pair.join();
    ASSERT_TRUE(pair.one->queue(parts_of({"d", "yes", std::string(700, 'y')}), patience_ms));
    pair.one->flush();
    EXPECT_EQ(*pair.two->receive(patience_ms), parts_of({"yes", std::string(700, 'y')}));
}
TEST(SocketTest, what_is_given_away_is_refused_as_what_is_copied)
{
    Pair pair(CAISSON_ROUTER, CAISSON_DEALER);
    pair.two->settings().identity = {'d'};
    pair.join();
    EXPECT_EQ(pair.one->queue(Parts{}, 0).error().kind, Kind::malformed);
    EXPECT_EQ(pair.one->queue(parts_of({"d"}), 0).error().kind, Kind::malformed);
    EXPECT_EQ(pair.one->queue(parts_of({"nobody", "x"}), 0).error().kind, Kind::missing);
    pair.two->settings().part_bytes_max = 10;
    EXPECT_EQ(pair.two->queue(parts_of({"x", "more than ten"}), 0).error().kind, Kind::exhausted);
    EXPECT_EQ((*Socket::open(nullptr, CAISSON_PULL))->queue(parts_of({"x"}), 0).error().kind, Kind::forbidden);
    EXPECT_EQ((*Socket::open(nullptr, CAISSON_PUSH))->queue(parts_of({"x"}), 0).error().kind, Kind::unavailable);
}
TEST(SocketTest, a_subscriber_gets_what_it_wants_alone)
{
    Pair pair(CAISSON_PUB, CAISSON_SUB);
    ASSERT_TRUE(pair.two->subscribe(bytes_of("a"), true));
    pair.join();
    pair.one->poll(50);
    ASSERT_TRUE(pair.one->send(views(parts_of({"b", "no"})), 0));
    EXPECT_EQ(*Pair::pass(*pair.one, *pair.two, parts_of({"abc", "yes"})), parts_of({"abc", "yes"}));
    ASSERT_TRUE(pair.two->subscribe(bytes_of("a"), false));
    pair.one->poll(50);
    ASSERT_TRUE(pair.one->send(views(parts_of({"abc", "no"})), 0));
    EXPECT_EQ(pair.two->receive(100).error().kind, Kind::unavailable);
}
TEST(SocketTest, a_publisher_that_does_nothing_but_send_is_heard)
{
    auto pub = *Socket::open(nullptr, CAISSON_PUB);
    auto sub = *Socket::open(nullptr, CAISSON_SUB);
    ASSERT_TRUE(sub->subscribe({}, true));
    const auto address = sub->bind(*parse_address("tcp://127.0.0.1:0"));
    ASSERT_TRUE(pub->connect(*address));
    bool heard = false;
    for (int turn = 0; turn < 200 && !heard; ++turn) {
        ASSERT_TRUE(pub->send(views(parts_of({"x"})), 0));
        heard = sub->receive(10).has_value();
    }
    EXPECT_TRUE(heard);
}
TEST(SocketTest, what_a_type_does_not_do_is_forbidden)
{
    Pair pair(CAISSON_PULL, CAISSON_PUSH);
    pair.join();
    EXPECT_EQ(pair.one->send(views(parts_of({"x"})), 0).error().kind, Kind::forbidden);
    EXPECT_EQ(pair.two->receive(0).error().kind, Kind::forbidden);
    EXPECT_EQ(pair.two->subscribe({}, true).error().kind, Kind::forbidden);
    EXPECT_EQ(*Pair::pass(*pair.two, *pair.one, parts_of({"work"})), parts_of({"work"}));
    EXPECT_EQ(Socket::open(nullptr, 11).error().kind, Kind::malformed);
}
TEST(SocketTest, types_that_do_not_fit_do_not_meet)
{
    EXPECT_TRUE(types_fit("REQ", "ROUTER"));
    EXPECT_FALSE(types_fit("REQ", "DEALER"));
    EXPECT_FALSE(types_fit("PUB", ""));
    EXPECT_FALSE(types_fit("PUSH", "SUB"));
    Pair pair(CAISSON_PULL, CAISSON_SUB);
    const auto address = pair.one->bind(*parse_address("tcp://127.0.0.1:0"));
    ASSERT_TRUE(pair.two->connect(*address));
    for (int turn = 0; turn < 10; ++turn) {
        pair.one->poll(5);
        pair.two->poll(5);
    }
    EXPECT_EQ(pair.one->peer_count(), 0U);
}
TEST(SocketTest, a_part_above_the_limit_is_refused_on_both_sides)
{
    Pair pair(CAISSON_PULL, CAISSON_PUSH);
    pair.one->settings().part_bytes_max = 1000;
    pair.join();
    ASSERT_TRUE(pair.two->send(views({Buffer(1001)}), 0));
    EXPECT_EQ(pair.one->receive(200).error().kind, Kind::unavailable);
    pair.two->settings().part_bytes_max = 10;
    EXPECT_EQ(pair.two->send(views({Buffer(11)}), 0).error().kind, Kind::exhausted);
}
TEST(SocketTest, garbage_and_silence_end_a_connection_and_nothing_else)
{
    Pair pair(CAISSON_PULL, CAISSON_PUSH);
    pair.one->settings().handshake = std::chrono::milliseconds(50);
    pair.join();
    const auto listener = ListeningSocket::open(*parse_address("tcp://127.0.0.1:0"));
    for (const std::size_t size : {0U, 11U, 64U, 5000U}) {
        auto other = Socket::open(nullptr, CAISSON_PULL);
        const auto address = (*other)->bind(*parse_address("tcp://127.0.0.1:0"));
        (*other)->settings().handshake = std::chrono::milliseconds(50);
        auto raw = begin_connect(*address);
        ASSERT_TRUE(raw);
        (*other)->poll(20);
        const Buffer garbage(size, 0xff);
        ::send(raw->number(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
        for (int turn = 0; turn < 10; ++turn) {
            (*other)->poll(20);
        }
        std::uint8_t octet = 0;
        ssize_t got = 1;
        for (int turn = 0; turn < 200 && got > 0; ++turn) { // our greeting, then the end
            got = ::recv(raw->number(), &octet, 1, MSG_DONTWAIT);
        }
        EXPECT_EQ(got, 0) << size;
    }
    EXPECT_EQ(*Pair::pass(*pair.two, *pair.one, parts_of({"still"})), parts_of({"still"}));
}
TEST(SocketTest, who_comes_back_is_met_again)
{
    auto push = *Socket::open(nullptr, CAISSON_PUSH);
    auto pull = *Socket::open(nullptr, CAISSON_PULL);
    const auto address = pull->bind(*parse_address("tcp://127.0.0.1:0"));
    ASSERT_TRUE(push->connect(*address));
    for (int turn = 0; turn < 100 && push->peer_count() == 0; ++turn) {
        pull->poll(5);
        push->poll(5);
    }
    pull.reset();
    pull = *Socket::open(nullptr, CAISSON_PULL);
    ASSERT_TRUE(pull->bind(*address));
    for (int turn = 0; turn < 400 && pull->peer_count() == 0; ++turn) {
        pull->poll(5);
        push->poll(5);
    }
    EXPECT_EQ(*Pair::pass(*push, *pull, parts_of({"again"})), parts_of({"again"}));
}

} // namespace
} // namespace caisson::library
