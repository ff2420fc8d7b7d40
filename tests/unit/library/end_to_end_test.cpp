// Endpoints with real chambers and a broker between them that drops, repeats, reorders, replays, truncates, changes,
// swaps identities and mixes sessions. Whatever it does: no plaintext, no forgery, nothing taken twice.
#include "library/endpoint.hpp"

#include <gtest/gtest.h>

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <random>

namespace caisson::library {
namespace {

namespace e2e = protocol::e2e;
using e2e::Order;

constexpr std::string_view marker = "nobody on the way reads this";

std::vector<Bytes> views(const Parts& parts)
{
    return {parts.begin(), parts.end()};
}

Buffer octets(std::string_view text)
{
    return {text.begin(), text.end()};
}

// One chamber of its own, with one key.
struct Person {
    std::filesystem::path home;
    std::unique_ptr<Chamber> chamber;
    Buffer sealed;
    std::uint32_t key = 0;
    CurveKey public_key;
    std::unique_ptr<Endpoint> endpoint;
    std::vector<Event> events;

    void start()
    {
        endpoint.reset();
        chamber.reset();
        auto opened = Chamber::open(home);
        ASSERT_TRUE(opened) << opened.error().what;
        chamber = std::move(*opened);
        if (sealed.empty()) {
            const auto made = chamber->ask(Request::create_key_pair, {Number(0), CurveKey{}.bytes}, 512);
            ASSERT_TRUE(made);
            sealed.assign(made->begin() + CurveKey::size, made->end());
        }
        const auto loaded = chamber->import_sealed(sealed);
        ASSERT_TRUE(loaded);
        key = loaded->id;
        public_key = loaded->public_key;
        endpoint = *Endpoint::open(*chamber, key);
        endpoint->settings().retry = std::chrono::milliseconds(2);
    }
    void drain()
    {
        while (auto event = endpoint->next()) {
            events.push_back(std::move(*event));
        }
    }
};

// Who may be on the way of a message, and what he does to it.
class Broker {
  public:
    explicit Broker(std::uint32_t seed)
        : random_(seed)
    {
    }
    bool hostile = true;

    void carry(Parts message, Person& to)
    {
        for (const auto& part : message) {
            EXPECT_EQ(std::search(part.begin(), part.end(), marker.begin(), marker.end()), part.end());
        }
        if (kept_.size() < 400) {
            kept_.push_back(message);
        }
        if (!hostile) {
            deliver(message, to);
            return;
        }
        attack(std::move(message), to);
    }
    void deliver(const Parts& message, Person& to) { to.endpoint->receive(views(message)); }
    // All that ever came by, to everybody.
    void replay_all(Person& to)
    {
        for (const auto& message : kept_) {
            deliver(message, to);
        }
    }

  private:
    std::size_t below(std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_); }
    Buffer& packet_of(Parts& message)
    {
        return message[message.size() - 1 - below(std::min<std::size_t>(message.size(), 2))];
    }

    void attack(Parts message, Person& to)
    {
        switch (below(12)) {
        case 0: return;                                         // drops
        case 1: deliver(message, to); break;                    // and once more below: repeats
        case 2: held_.push_back(std::move(message)); return;    // reorders
        case 3: deliver(kept_[below(kept_.size())], to); break; // replays
        case 4: {                                               // truncates
            auto& packet = packet_of(message);
            packet.resize(below(packet.size() + 1));
            break;
        }
        case 5: { // changes
            auto& packet = packet_of(message);
            if (!packet.empty()) {
                packet[below(packet.size())] ^= static_cast<std::uint8_t>(1U << below(8));
            }
            break;
        }
        case 6: message.insert(message.begin(), octets("somebody else")); break; // swaps identities
        case 7: mix(message); break;
        case 8: message.push_back(Buffer(below(300), static_cast<std::uint8_t>(below(256)))); break;
        default: break;
        }
        deliver(message, to);
        while (!held_.empty() && below(2) == 0) {
            deliver(held_.back(), to);
            held_.pop_back();
        }
    }
    // The head of another session or packet before this body.
    void mix(Parts& message)
    {
        const auto& other = kept_[below(kept_.size())].back();
        auto& packet = message.back();
        const auto size = std::min({other.size(), packet.size(), e2e::head_bytes});
        std::copy_n(other.begin(), size, packet.begin());
    }

    std::mt19937 random_;
    std::vector<Parts> kept_;
    std::vector<Parts> held_;
};

class EndToEndTest : public testing::Test {
  protected:
    void SetUp() override
    {
        ::setenv("CAISSON_IMAGES", CAISSON_TEST_IMAGES, 1);
        folder_ = std::filesystem::path(testing::TempDir()) / ("caisson-e2e-" + std::to_string(::getpid()));
        for (auto* person : {&alice, &bob, &carol}) {
            person->home = folder_ / std::to_string(index_++);
            person->start();
        }
        for (auto* person : {&bob, &carol}) {
            ASSERT_TRUE(person->endpoint->allow(alice.public_key));
        }
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void use_order(Order order)
    {
        for (auto* person : {&alice, &bob, &carol}) {
            person->endpoint->settings().order = order;
            person->endpoint->settings().chunk_bytes = 500;
        }
    }
    // What each has for the others goes its way; the route's first part says to whom, and becomes from whom.
    void turn(Broker& broker)
    {
        for (auto* from : {&alice, &bob, &carol}) {
            while (auto message = from->endpoint->outgoing()) {
                auto& to = message->front() == octets("bob")     ? bob
                           : message->front() == octets("carol") ? carol
                                                                 : alice;
                if (message->front() == octets("all")) {
                    broker.carry(*message, bob);
                    broker.carry(*message, carol);
                    continue;
                }
                message->front() = octets(from == &alice ? "alice" : from == &bob ? "bob" : "carol");
                broker.carry(std::move(*message), to);
            }
        }
        for (auto* person : {&alice, &bob, &carol}) {
            person->drain();
        }
    }
    bool turn_until_open(Broker& broker, const CurveKey& peer)
    {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!alice.endpoint->is_open(peer) && std::chrono::steady_clock::now() < end) {
            turn(broker);
            ::usleep(500);
        }
        return alice.endpoint->is_open(peer);
    }
    static Parts numbered(std::size_t number, std::size_t size)
    {
        Parts parts{octets(std::to_string(number)), octets(marker)};
        parts.emplace_back(size, static_cast<std::uint8_t>(number));
        return parts;
    }
    // Each message of alice that somebody took is one she sent, whole, and comes once.
    static std::size_t expect_true_and_once(const Person& person, const CurveKey& sender, int type)
    {
        std::set<std::size_t> seen;
        for (const auto& event : person.events) {
            if (event.type != type) {
                continue;
            }
            EXPECT_EQ(event.peer, sender);
            EXPECT_EQ(event.parts->size(), 3U);
            const auto number = std::stoul(std::string(event.parts->at(0).begin(), event.parts->at(0).end()));
            EXPECT_TRUE(seen.insert(number).second) << number << " was taken twice";
            EXPECT_EQ(*event.parts, numbered(number, number * 37 % 1500));
        }
        return seen.size();
    }
    void exchange_through(Broker& broker, Order order, std::size_t count);

    std::filesystem::path folder_;
    int index_ = 0;
    Person alice, bob, carol;
};

// [E2E-8] [E2E-9] [E2E-10] [E2E-31]
void EndToEndTest::exchange_through(Broker& broker, Order order, std::size_t count)
{
    use_order(order);
    ASSERT_TRUE(alice.endpoint->connect(bob.public_key, {octets("bob")}));
    std::size_t sent = 0;
    for (std::size_t number = 0; number < count; ++number) {
        if (!turn_until_open(broker, bob.public_key)) {
            break;
        }
        sent += alice.endpoint->send(bob.public_key, views(numbered(number, number * 37 % 1500))) ? 1U : 0U;
        if (number % 50 == 25) {
            static_cast<void>(alice.endpoint->rekey(bob.public_key)); // the session may just have ended
        }
        turn(broker);
        if (order == Order::strict && number % 5 == 4) { // what was lost has ended it, and nobody told the sender
            static_cast<void>(alice.endpoint->disconnect(bob.public_key));
            ASSERT_TRUE(alice.endpoint->connect(bob.public_key, {octets("bob")}));
        }
    }
    broker.replay_all(bob);
    bob.drain();
    const auto taken = expect_true_and_once(bob, alice.public_key, CAISSON_EVENT_MESSAGE);
    EXPECT_GT(sent, count / 2);
    EXPECT_GT(taken, count / 10);
    EXPECT_TRUE(!broker.hostile || taken < sent);

    // An honest broker afterwards, and all is well again.
    broker.hostile = false;
    bob.events.clear();
    ASSERT_TRUE(turn_until_open(broker, bob.public_key));
    turn(broker);
    if (order == Order::strict) { // what was lost before ends this one; the next is whole
        static_cast<void>(alice.endpoint->disconnect(bob.public_key));
        turn(broker);
        ASSERT_TRUE(alice.endpoint->connect(bob.public_key, {octets("bob")}));
        ASSERT_TRUE(turn_until_open(broker, bob.public_key));
        bob.events.clear();
    }
    ASSERT_TRUE(alice.endpoint->send(bob.public_key, views(numbered(77, 77 * 37 % 1500))));
    turn(broker);
    EXPECT_EQ(expect_true_and_once(bob, alice.public_key, CAISSON_EVENT_MESSAGE), 1U);
}

TEST_F(EndToEndTest, a_chamber_works_on_the_cpu_of_who_asks_it)
{
    for (int time = 0; time < 100; ++time) { // the first ones may find it awake
        ASSERT_TRUE(alice.chamber->ask(Request::export_sealed_private_key, {Number(alice.key)}, 512));
    }
    cpu_set_t cpus;
    ASSERT_EQ(::sched_getaffinity(alice.chamber->enclave().facts().pid, sizeof cpus, &cpus), 0);
    EXPECT_EQ(CPU_COUNT(&cpus), 1);
}
TEST_F(EndToEndTest, sessions_in_a_window_through_a_hostile_broker)
{
    Broker broker(1);
    exchange_through(broker, Order::window, 300);
}
TEST_F(EndToEndTest, sessions_in_strict_order_through_a_hostile_broker)
{
    Broker broker(2);
    exchange_through(broker, Order::strict, 300);
}
TEST_F(EndToEndTest, fan_out_through_a_hostile_broker) // [E2E-16]
{
    Broker broker(3);
    use_order(Order::window);
    const std::array peers{bob.public_key, carol.public_key};
    ASSERT_TRUE(alice.endpoint->connect(peers[0], {octets("bob")}));
    ASSERT_TRUE(alice.endpoint->connect(peers[1], {octets("carol")}));
    std::size_t sent = 0;
    for (std::size_t number = 0; number < 200; ++number) {
        ASSERT_TRUE(turn_until_open(broker, peers[0]) && turn_until_open(broker, peers[1]));
        sent +=
            alice.endpoint->send_many(peers, {octets("all")}, views(numbered(number, number * 37 % 1500))) ? 1U : 0U;
        turn(broker);
    }
    for (auto* person : {&bob, &carol}) {
        broker.replay_all(*person);
        person->drain();
        EXPECT_GT(expect_true_and_once(*person, alice.public_key, CAISSON_EVENT_MESSAGE), sent / 5);
    }
}
TEST_F(EndToEndTest, letters_through_a_hostile_broker_and_across_a_restart) // [E2E-22] [E2E-24] [E2E-32]
{
    Broker broker(4);
    const std::array peers{bob.public_key, carol.public_key};
    const auto folder = folder_ / "letters";
    ASSERT_TRUE(bob.endpoint->keep_letters(folder));
    for (std::size_t number = 0; number < 60; ++number) {
        ASSERT_TRUE(alice.endpoint->send_letter(peers, {octets("all")}, views(numbered(number, number * 37 % 1500))));
        turn(broker);
    }
    EXPECT_GT(expect_true_and_once(bob, alice.public_key, CAISSON_EVENT_LETTER), 20U);
    EXPECT_EQ(expect_true_and_once(carol, alice.public_key, CAISSON_EVENT_LETTER), 0U); // no place for their state
    bob.start();
    ASSERT_TRUE(bob.endpoint->allow(alice.public_key));
    ASSERT_TRUE(bob.endpoint->keep_letters(folder));
    broker.replay_all(bob);
    bob.drain();
    EXPECT_GT(expect_true_and_once(bob, alice.public_key, CAISSON_EVENT_LETTER), 20U); // over both lives
}
TEST_F(EndToEndTest, an_altered_state_of_letters_is_refused_aloud) // [E2E-24] [E2E-32]
{
    Broker broker(5);
    broker.hostile = false;
    const auto folder = folder_ / "letters";
    ASSERT_TRUE(bob.endpoint->keep_letters(folder));
    ASSERT_TRUE(alice.endpoint->send_letter(std::array{bob.public_key}, {octets("bob")}, views(numbered(1, 37))));
    turn(broker);
    EXPECT_EQ(expect_true_and_once(bob, alice.public_key, CAISSON_EVENT_LETTER), 1U);
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::filesystem::resize_file(entry.path(), 40);
    }
    bob.start();
    ASSERT_TRUE(bob.endpoint->allow(alice.public_key));
    EXPECT_FALSE(bob.endpoint->keep_letters(folder));
}
TEST_F(EndToEndTest, a_client_who_is_not_allowed_gets_no_session) // [E2E-15]
{
    Broker broker(6);
    broker.hostile = false;
    ASSERT_TRUE(carol.endpoint->connect(bob.public_key, {octets("bob")}));
    for (int count = 0; count < 20; ++count) {
        turn(broker);
    }
    EXPECT_FALSE(carol.endpoint->is_open(bob.public_key));
    EXPECT_TRUE(std::any_of(bob.events.begin(), bob.events.end(),
                            [](const Event& event) { return event.code == CAISSON_FORBIDDEN; }));
}
TEST_F(EndToEndTest, a_close_is_heard_and_nothing_is_taken_after_it) // [E2E-12]
{
    Broker broker(7);
    broker.hostile = false;
    use_order(Order::window);
    alice.endpoint->settings().retry = std::chrono::seconds(10); // on a slow machine too, one handshake is one session
    ASSERT_TRUE(alice.endpoint->connect(bob.public_key, {octets("bob")}));
    ASSERT_TRUE(turn_until_open(broker, bob.public_key));
    ASSERT_TRUE(alice.endpoint->send(bob.public_key, views(numbered(1, 37))));
    ASSERT_TRUE(alice.endpoint->disconnect(bob.public_key));
    turn(broker);
    EXPECT_EQ(bob.events.back().type, CAISSON_EVENT_CLOSED);
    EXPECT_FALSE(alice.endpoint->is_open(bob.public_key));
    EXPECT_FALSE(bob.endpoint->is_open(alice.public_key));
    EXPECT_EQ(expect_true_and_once(bob, alice.public_key, CAISSON_EVENT_MESSAGE), 1U);
}
TEST_F(EndToEndTest, large_messages_are_cut_and_come_whole) // [E2E-13] [E2E-30]
{
    Broker broker(8);
    broker.hostile = false;
    ASSERT_TRUE(alice.endpoint->connect(bob.public_key, {octets("bob")}));
    ASSERT_TRUE(turn_until_open(broker, bob.public_key));
    const Parts large{Buffer(std::size_t{5} << 20U, 7), {}, Buffer(1, 1)};
    ASSERT_TRUE(alice.endpoint->send(bob.public_key, views(large)));
    turn(broker);
    ASSERT_EQ(bob.events.back().type, CAISSON_EVENT_MESSAGE);
    EXPECT_EQ(*bob.events.back().parts, large);
    const auto letter = alice.endpoint->send_letter(std::array{bob.public_key}, {}, views(large));
    EXPECT_EQ(letter.error().kind, Kind::exhausted);
}

// Many clients in one chamber, and a carrier that brings what they say at once.
struct HandshakesTogether : EndToEndTest {
    std::vector<std::unique_ptr<Endpoint>> clients;

    void connect_clients(std::size_t count)
    {
        bob.endpoint->settings().accepts_all = true;
        for (std::size_t index = 0; index < count; ++index) {
            const auto made = alice.chamber->ask(Request::create_key_pair, {Number(0), CurveKey{}.bytes}, 512);
            ASSERT_TRUE(made);
            const auto loaded = alice.chamber->import_sealed(Bytes(*made).subspan(CurveKey::size));
            ASSERT_TRUE(loaded);
            auto& client = *clients.emplace_back(*Endpoint::open(*alice.chamber, loaded->id));
            client.settings().retry = std::chrono::seconds(60); // on a slow machine too, one handshake each
            ASSERT_TRUE(client.connect(bob.public_key, {Buffer(1, static_cast<std::uint8_t>(index))}));
        }
    }
    // Each with a changed copy before it and another copy behind it.
    static void add_thrice(std::vector<Parts>& to, const Parts& message)
    {
        auto changed = message;
        changed.back().back() ^= 1U;
        to.insert(to.end(), {changed, message, message});
    }
    // What the clients say reaches bob at once, and his answers each of them at once.
    void turn_at_once(bool attacks)
    {
        std::vector<Parts> to_bob;
        for (const auto& client : clients) {
            while (const auto message = client->outgoing()) {
                if (attacks) {
                    add_thrice(to_bob, *message);
                } else {
                    to_bob.push_back(*message);
                    to_bob.push_back(*message);
                }
            }
        }
        bob.endpoint->receive_many(std::move(to_bob));
        std::vector<std::vector<Parts>> back(clients.size());
        while (const auto message = bob.endpoint->outgoing()) {
            add_thrice(back.at(message->at(0).at(0)), *message);
        }
        for (std::size_t index = 0; index < clients.size(); ++index) {
            clients[index]->receive_many(std::move(back[index]));
        }
    }
};
TEST_F(HandshakesTogether, each_opens_once_whatever_stands_between_them) // [E2E-19] [E2E-8] [E2E-6]
{
    connect_clients(12);
    turn_at_once(true);  // HELLO and WELCOME
    turn_at_once(false); // INITIATE, whose cookie a changed copy would use up, and READY
    for (const auto& client : clients) {
        ASSERT_TRUE(client->is_open(bob.public_key));
        ASSERT_TRUE(client->send(bob.public_key, views({octets("hello")})));
    }
    turn_at_once(true);
    bob.drain();
    const auto count = [this](int type) {
        return std::count_if(bob.events.begin(), bob.events.end(),
                             [type](const Event& event) { return event.type == type; });
    };
    EXPECT_EQ(count(CAISSON_EVENT_OPENED), 12);
    EXPECT_EQ(count(CAISSON_EVENT_MESSAGE), 12);
    EXPECT_EQ(count(CAISSON_EVENT_CLOSED), 0);
    EXPECT_GE(count(CAISSON_EVENT_REFUSED), 12 + 12 + 24)
        << "changed HELLOs, second INITIATEs, changed and second texts";
}

} // namespace
} // namespace caisson::library
