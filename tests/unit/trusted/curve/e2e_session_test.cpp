#include "tests/unit/trusted/curve/e2e_world.hpp"

#include <algorithm>

namespace caisson::trusted::curve::test {
namespace {

struct E2eSessionTest : ::testing::Test, E2eWorld {};

// A MESSAGE's counter and epoch stand behind the head.
constexpr std::size_t epoch_at = e2e::head_bytes;
constexpr std::size_t counter_at = epoch_at + 4;

TEST_F(E2eSessionTest, a_client_and_a_server_talk_both_ways_in_both_orders)
{
    for (const auto order : {Order::strict, Order::window}) {
        complete(order);
        EXPECT_TRUE(opens(packet("hello"), "hello"));
        const auto back = ask(Request::e2e_produce_message, join(server_session, u32(3), bytes_of("yes")));
        const auto there = ask(Request::e2e_process_message, join(client_session, back.bytes));
        ASSERT_TRUE(there.ok());
        EXPECT_EQ(Buffer(there.bytes.begin() + 12, there.bytes.end()), join(bytes_of("yes")));
        EXPECT_EQ(Buffer(there.bytes.begin(), there.bytes.begin() + 4), join(u32(3)));
    }
}
TEST_F(E2eSessionTest, no_plaintext_and_no_public_key_of_the_client_is_in_what_is_carried) // [E2E-7]
{
    const auto initiate_packet = initiate(Order::strict);
    const auto ready_packet = ready(initiate_packet);
    ASSERT_TRUE(ask(Request::e2e_process_ready, join(client_session, ready_packet)).ok());
    const auto carried = join(initiate_packet, ready_packet, packet("a text nobody else reads"));
    const auto holds = [&carried](Bytes bytes) {
        return std::search(carried.begin(), carried.end(), bytes.begin(), bytes.end()) != carried.end();
    };
    EXPECT_FALSE(holds(bytes_of("nobody else")));
    EXPECT_FALSE(holds(client.public_key.bytes));
}
TEST_F(E2eSessionTest, no_changed_or_shortened_packet_is_opened_and_the_session_goes_on) // [E2E-1] [E2E-7] [E2E-8]
{
    for (const auto order : {Order::strict, Order::window}) {
        complete(order);
        const auto whole = packet("text");
        for (std::size_t octet = 0; octet < whole.size(); ++octet) {
            auto changed = whole;
            changed[octet] = static_cast<std::uint8_t>(changed[octet] ^ (1U << (octet % 8)));
            EXPECT_FALSE(open(changed).ok()) << octet;
            EXPECT_FALSE(open(Buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octet))).ok());
        }
        EXPECT_TRUE(opens(whole, "text"));
    }
}
TEST_F(E2eSessionTest, no_changed_step_of_the_handshake_gets_through_and_the_true_one_still_does) // [E2E-2] [E2E-8]
{
    copy_bytes(client_session, open_client(Order::strict).bytes);
    const auto hello = ask(Request::e2e_produce_hello, join(client_session)).bytes;
    for (std::size_t octet = 0; octet < hello.size(); octet += 7) {
        auto changed = hello;
        changed[octet] ^= 1U;
        EXPECT_FALSE(ask(Request::e2e_process_hello, join(server.id, changed)).ok()) << octet;
    }
    const auto welcome = ask(Request::e2e_process_hello, join(server.id, hello)).bytes;
    for (std::size_t octet = 0; octet < welcome.size(); ++octet) {
        auto changed = welcome;
        changed[octet] ^= 1U;
        EXPECT_FALSE(ask(Request::e2e_process_welcome, join(client_session, changed)).ok()) << octet;
    }
    ASSERT_TRUE(ask(Request::e2e_process_welcome, join(client_session, welcome)).ok());
    const auto initiate_packet =
        ask(Request::e2e_produce_initiate, join(client_session, own_property(Order::strict))).bytes;
    const auto ready_packet = ready(initiate_packet);
    for (std::size_t octet = 0; octet < ready_packet.size(); ++octet) {
        auto changed = ready_packet;
        changed[octet] ^= 1U;
        EXPECT_FALSE(ask(Request::e2e_process_ready, join(client_session, changed)).ok()) << octet;
    }
    EXPECT_TRUE(ask(Request::e2e_process_ready, join(client_session, ready_packet)).ok());
}
TEST_F(E2eSessionTest, no_changed_initiate_opens_a_session) // [E2E-3] [E2E-6]
{
    for (std::size_t octet = 0; octet < e2e::head_bytes + 257; octet += 5) {
        auto changed = initiate(Order::strict);
        changed[octet] ^= 1U;
        EXPECT_FALSE(ask(Request::e2e_process_initiate, join(server.id, changed)).ok()) << octet;
    }
}
TEST_F(E2eSessionTest, a_replayed_initiate_opens_no_second_session) // [E2E-6]
{
    const auto packet_bytes = initiate(Order::strict);
    ready(packet_bytes);
    EXPECT_TRUE(ask(Request::e2e_process_initiate, join(server.id, packet_bytes)).is(Kind::expired));
}
TEST_F(E2eSessionTest, a_welcome_for_another_handshake_is_refused) // [E2E-2]
{
    copy_bytes(client_session, open_client(Order::strict).bytes);
    ask(Request::e2e_produce_hello, join(client_session));
    const auto other = open_client(Order::strict).bytes;
    const auto hello = ask(Request::e2e_produce_hello, other).bytes;
    const auto welcome = ask(Request::e2e_process_hello, join(server.id, hello)).bytes;
    EXPECT_TRUE(ask(Request::e2e_process_welcome, join(client_session, welcome)).is(Kind::missing));
    EXPECT_TRUE(ask(Request::e2e_process_welcome, join(other, welcome)).ok());
}
TEST_F(E2eSessionTest, an_initiate_without_the_property_or_of_another_order_is_not_made) // [E2E-5]
{
    const auto attempt = [this](const Buffer& metadata) {
        copy_bytes(client_session, open_client(Order::strict).bytes);
        const auto hello = ask(Request::e2e_produce_hello, join(client_session));
        const auto welcome = ask(Request::e2e_process_hello, join(server.id, hello.bytes));
        EXPECT_TRUE(ask(Request::e2e_process_welcome, join(client_session, welcome.bytes)).ok());
        return ask(Request::e2e_produce_initiate, join(client_session, metadata));
    };
    EXPECT_TRUE(attempt({}).is(Kind::malformed));
    EXPECT_TRUE(attempt(own_property(Order::window)).is(Kind::malformed));
    EXPECT_TRUE(attempt(own_property(Order::strict, 2)).is(Kind::malformed));
    EXPECT_TRUE(attempt(own_property(Order::strict)).ok());
}
TEST_F(E2eSessionTest, a_hop_initiate_in_a_packet_opens_no_session) // [E2E-5]
{
    const auto hop = ask(Request::open_client, join(client.id, server.public_key.bytes)).bytes;
    const auto hello = ask(Request::produce_hello, hop).bytes;
    const auto welcome = ask(Request::process_hello, join(server.id, hello)).bytes;
    ASSERT_TRUE(ask(Request::process_welcome, join(hop, welcome)).ok());
    const auto body = ask(Request::produce_initiate, hop).bytes;
    Buffer head(e2e::head_bytes);
    Writer writer(head);
    e2e::write_packet_head(writer, PacketType::initiate, E2eId{});
    EXPECT_TRUE(ask(Request::e2e_process_initiate, join(server.id, head, body)).is(Kind::malformed));
}
TEST_F(E2eSessionTest, an_end_to_end_session_is_no_hop_session_and_the_reverse) // [E2E-4]
{
    complete(Order::strict);
    EXPECT_TRUE(ask(Request::produce_message, join(client_session, u32(0))).is(Kind::missing));
    const auto hop = ask(Request::open_client, join(client.id, server.public_key.bytes)).bytes;
    EXPECT_FALSE(ask(Request::e2e_produce_hello, hop).ok());
}
TEST_F(E2eSessionTest, in_strict_order_a_packet_opens_once_and_a_gap_ends_the_session) // [E2E-9]
{
    complete(Order::strict);
    const auto first = packet("1");
    ASSERT_TRUE(opens(first, "1"));
    EXPECT_TRUE(open(first).is(Kind::expired));
    const auto lost = packet("2");
    EXPECT_TRUE(open(packet("3")).is(Kind::conflict));
    EXPECT_TRUE(open(lost).is(Kind::missing));
}
TEST_F(E2eSessionTest, in_a_window_packets_open_once_in_any_order) // [E2E-10]
{
    complete(Order::window);
    std::vector<Buffer> packets;
    for (int index = 0; index < 100; ++index) {
        packets.push_back(packet(std::to_string(index)));
    }
    for (int index = 99; index >= 0; --index) {
        EXPECT_TRUE(opens(packets[static_cast<std::size_t>(index)], std::to_string(index)));
    }
    for (const auto& one : packets) {
        EXPECT_TRUE(open(one).is(Kind::expired));
    }
}
TEST_F(E2eSessionTest, below_the_window_nothing_opens) // [E2E-10]
{
    complete(Order::window);
    const auto old = packet("old");
    const auto edge = packet("edge");
    for (std::uint64_t index = 0; index + 2 < ReplayWindow::width; ++index) {
        packet("lost");
    }
    ASSERT_TRUE(opens(packet("new"), "new"));
    EXPECT_TRUE(open(old).is(Kind::expired));
    EXPECT_TRUE(opens(edge, "edge"));
    EXPECT_TRUE(open(edge).is(Kind::expired));
}
TEST(ReplayWindowTest, counters_around_the_edges_are_new_once) // [E2E-10]
{
    ReplayWindow window;
    EXPECT_FALSE(window.is_new(0));
    for (const std::uint64_t counter : {5U, 1U, 64U, 63U, 65U, 1024U, 1028U, 3000U, 1977U, 5000U}) {
        EXPECT_TRUE(window.is_new(counter)) << counter;
        window.take(counter);
        EXPECT_FALSE(window.is_new(counter)) << counter;
    }
    EXPECT_FALSE(window.is_new(5000 - ReplayWindow::width));
    EXPECT_TRUE(window.is_new(5001 - ReplayWindow::width));
    EXPECT_TRUE(window.is_new(4024)); // its bit was another counter's before
}
TEST_F(E2eSessionTest, packets_of_another_session_or_direction_or_type_do_not_open) // [E2E-3] [E2E-7]
{
    complete(Order::window);
    const auto first_client = client_session;
    const auto first_server = server_session;
    const auto of_first = packet("x");
    complete(Order::window);
    EXPECT_TRUE(open(of_first).is(Kind::missing));
    auto swapped = of_first; // under the second session's id
    const auto second = packet("y");
    std::copy(second.begin(), second.begin() + e2e::head_bytes, swapped.begin());
    EXPECT_TRUE(open(swapped).is(Kind::unauthentic));
    EXPECT_FALSE(ask(Request::e2e_process_message, join(first_client, of_first)).ok()); // reflected
    EXPECT_TRUE(ask(Request::e2e_process_message, join(first_server, of_first)).ok());
}
TEST_F(E2eSessionTest, after_a_rekey_both_sides_go_on_and_the_old_key_is_gone) // [E2E-11]
{
    complete(Order::strict);
    ASSERT_TRUE(opens(packet("1"), "1"));
    ASSERT_TRUE(ask(Request::e2e_rekey, join(client_session)).ok());
    const auto after = packet("2");
    EXPECT_EQ(after[epoch_at + 3], 1);
    auto old_epoch = after;
    old_epoch[epoch_at + 3] = 0;
    EXPECT_TRUE(open(old_epoch).is(Kind::unauthentic));
    ASSERT_TRUE(opens(after, "2"));
    EXPECT_TRUE(opens(packet("3"), "3"));
    auto next = packet("4");
    next[epoch_at + 3] = 0;
    EXPECT_TRUE(open(next).is(Kind::expired));
}
TEST_F(E2eSessionTest, in_a_window_packets_of_the_epoch_before_still_open_for_a_while) // [E2E-11]
{
    complete(Order::window);
    const auto late = packet("late");
    const auto too_late = packet("too late");
    ASSERT_TRUE(ask(Request::e2e_rekey, join(client_session)).ok());
    ASSERT_TRUE(opens(packet("new"), "new"));
    EXPECT_TRUE(opens(late, "late"));
    ASSERT_TRUE(ask(Request::e2e_rekey, join(client_session)).ok());
    ASSERT_TRUE(opens(packet("newer"), "newer"));
    EXPECT_TRUE(open(too_late).is(Kind::expired));
}
TEST_F(E2eSessionTest, only_what_opens_moves_the_receiver_to_another_epoch) // [E2E-11]
{
    complete(Order::window);
    auto forged = packet("x");
    forged[epoch_at + 3] = 5;
    EXPECT_TRUE(open(forged).is(Kind::unauthentic));
    forged[epoch_at + 3] = 9;
    EXPECT_TRUE(open(forged).is(Kind::expired));
    EXPECT_TRUE(opens(packet("y"), "y"));
}
TEST(E2eSender, it_moves_to_a_new_key_by_itself) // [E2E-11]
{
    ByteArray<e2e::data_overhead_bytes> output{};
    const auto epoch_after = [&output](std::uint64_t sent, std::uint64_t text_bytes) {
        E2eSession session;
        session.sent = sent;
        session.sending.epoch_text_bytes = text_bytes;
        EXPECT_TRUE(e2e_seal(session, PacketType::data, 0, {}, output));
        return session.sending.epoch;
    };
    EXPECT_EQ(epoch_after(epoch_packets_max - 2, epoch_text_bytes_max - 1), 0U);
    EXPECT_EQ(epoch_after(epoch_packets_max - 1, 0), 1U);
    EXPECT_EQ(epoch_after(0, epoch_text_bytes_max), 1U);
}
TEST(E2eSender, it_stops_before_its_counter_comes_round) // [E2E-14]
{
    ByteArray<e2e::data_overhead_bytes> output{};
    E2eSession session;
    session.sent = (std::uint64_t{1} << 62U) - 1;
    EXPECT_FALSE(e2e_seal(session, PacketType::data, 0, {}, output));
}
TEST_F(E2eSessionTest, a_close_is_authentic_and_ends_both_sides) // [E2E-12]
{
    complete(Order::window);
    const auto before = packet("before");
    const auto last = packet("", e2e::flag_close);
    EXPECT_TRUE(ask(Request::e2e_produce_message, join(client_session, u32(0))).is(Kind::missing));
    auto forged = before;
    forged[counter_at + 7] = 2;
    EXPECT_TRUE(open(forged).is(Kind::unauthentic));
    ASSERT_TRUE(open(last).ok());
    EXPECT_TRUE(open(before).is(Kind::missing));
}
TEST_F(E2eSessionTest, unknown_flags_and_long_texts_are_refused) // [E2E-13]
{
    complete(Order::strict);
    EXPECT_TRUE(ask(Request::e2e_produce_message, join(client_session, u32(16))).is(Kind::malformed));
    EXPECT_TRUE(ask(Request::e2e_produce_message, join(client_session, u32(257))).is(Kind::malformed));
    EXPECT_TRUE(ask(Request::e2e_produce_message, join(client_session, u32(0), Buffer(e2e::text_bytes_max))).ok());
    EXPECT_FALSE(ask(Request::e2e_produce_message, join(client_session, u32(0), Buffer(e2e::text_bytes_max + 1))).ok());
}
TEST_F(E2eSessionTest, a_counter_that_is_none_is_refused) // [E2E-14]
{
    complete(Order::window);
    auto forged = packet("x");
    std::fill_n(forged.begin() + counter_at, 8, std::uint8_t{0});
    EXPECT_TRUE(open(forged).is(Kind::expired));
    std::fill_n(forged.begin() + counter_at, 8, std::uint8_t{0xff});
    EXPECT_TRUE(open(forged).is(Kind::expired));
}
TEST_F(E2eSessionTest, there_are_so_many_sessions_and_a_closed_one_makes_room)
{
    Buffer last;
    for (std::size_t index = 0; index < airlock::curve::e2e_sessions_max; ++index) {
        last = open_client(Order::strict).bytes;
    }
    EXPECT_TRUE(open_client(Order::strict).is(Kind::exhausted));
    ASSERT_TRUE(ask(Request::e2e_close_session, last).ok());
    EXPECT_TRUE(ask(Request::e2e_close_session, last).is(Kind::missing));
    EXPECT_TRUE(open_client(Order::strict).ok());
}
TEST_F(E2eSessionTest, a_forgotten_key_ends_its_sessions)
{
    complete(Order::strict);
    ASSERT_TRUE(ask(Request::forget_key, join(client.id)).ok());
    EXPECT_TRUE(ask(Request::e2e_produce_message, join(client_session, u32(0))).is(Kind::missing));
}
TEST_F(E2eSessionTest, each_request_is_refused_in_every_other_state) // [CURVE-1]
{
    constexpr Request by_session[] = {Request::e2e_produce_hello, Request::e2e_process_welcome,
                                      Request::e2e_produce_initiate, Request::e2e_process_ready,
                                      Request::e2e_produce_message};
    const Buffer inputs[] = {
        {}, Buffer(e2e::head_bytes + 168), own_property(Order::strict), Buffer(e2e::data_overhead_bytes), join(u32(0))};
    const auto opened = open_client(Order::strict).bytes;
    for (std::size_t index = 1; index < std::size(by_session); ++index) {
        EXPECT_EQ(ask(by_session[index], join(opened, inputs[index])).refusal, airlock::Refusal::not_in_this_state);
    }
    complete(Order::strict);
    for (std::size_t index = 0; index + 1 < std::size(by_session); ++index) {
        EXPECT_EQ(ask(by_session[index], join(client_session, inputs[index])).refusal,
                  airlock::Refusal::not_in_this_state);
    }
}

struct FanoutTest : ::testing::Test, E2eWorld {
    struct Pair {
        ByteArray<4> here{};
        ByteArray<4> there{};
    };
    std::vector<Pair> pairs;

    void make_pairs(std::size_t count, Order order)
    {
        for (std::size_t index = 0; index < count; ++index) {
            complete(order);
            pairs.push_back({client_session, server_session});
        }
    }
    Said fan_out(std::string_view text)
    {
        Buffer input = join(u32(3), u32(static_cast<std::uint32_t>(pairs.size())));
        for (const auto& pair : pairs) {
            input = join(input, pair.here);
        }
        return ask(Request::e2e_produce_fanout, join(input, bytes_of(text)));
    }
    Said open_at(std::size_t index, const Buffer& packet_bytes)
    {
        return ask(Request::e2e_process_message, join(pairs[index].there, packet_bytes));
    }
};

TEST_F(FanoutTest, one_packet_opens_for_each_recipient_once) // [E2E-16]
{
    make_pairs(5, Order::window);
    const auto packet_bytes = fan_out("to all").bytes;
    EXPECT_EQ(
        std::search(packet_bytes.begin(), packet_bytes.end(), bytes_of("to all").begin(), bytes_of("to all").end()),
        packet_bytes.end());
    for (std::size_t index = 0; index < pairs.size(); ++index) {
        const auto said = open_at(index, packet_bytes);
        ASSERT_TRUE(said.ok());
        EXPECT_EQ(text_of(Bytes(said.bytes).subspan(12)), "to all");
        EXPECT_TRUE(open_at(index, packet_bytes).is(Kind::expired));
    }
}
TEST_F(FanoutTest, no_changed_fan_out_opens_and_the_true_one_still_does) // [E2E-16] [E2E-8]
{
    make_pairs(2, Order::strict);
    const auto whole = fan_out("text").bytes;
    for (std::size_t octet = 0; octet < whole.size(); ++octet) {
        auto changed = whole;
        changed[octet] ^= 1U;
        const auto second_slot = octet >= e2e::head_bytes + 2 + e2e::fanout_slot_bytes &&
                                 octet < e2e::head_bytes + 2 + 2 * e2e::fanout_slot_bytes;
        if (!second_slot) { // that one is another's
            EXPECT_FALSE(open_at(0, changed).ok()) << octet;
        }
        EXPECT_FALSE(open_at(0, Buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octet))).ok());
    }
    EXPECT_TRUE(open_at(0, whole).ok());
}
TEST_F(FanoutTest, contents_of_two_fan_outs_do_not_change_places) // [E2E-16]
{
    make_pairs(2, Order::window);
    const auto one = fan_out("aaaa").bytes;
    const auto two = fan_out("bbbb").bytes;
    const auto content = static_cast<std::ptrdiff_t>(e2e::head_bytes + 2 + 2 * e2e::fanout_slot_bytes);
    auto mixed = one;
    std::copy(two.begin() + content, two.end(), mixed.begin() + content);
    EXPECT_TRUE(open_at(0, mixed).is(Kind::unauthentic));
    EXPECT_TRUE(open_at(0, one).ok());
}
TEST_F(FanoutTest, a_fan_out_for_a_closed_session_is_not_made_and_moves_no_counter) // [E2E-16]
{
    make_pairs(2, Order::strict);
    const auto gone = pairs[1].here;
    ASSERT_TRUE(ask(Request::e2e_close_session, join(gone)).ok());
    EXPECT_TRUE(fan_out("x").is(Kind::missing));
    pairs.pop_back();
    EXPECT_TRUE(open_at(0, fan_out("y").bytes).ok());
}

struct GatedE2e : ::testing::Test, GatedE2eWorld {};

TEST_F(GatedE2e, a_trusted_peer_talks_and_falls_silent_with_its_trust) // [E2E-15]
{
    complete(Order::window);
    EXPECT_TRUE(opens(packet("1"), "1"));
    const auto before = packet("2");
    trust(client.public_key, protocol::TrustTier::contraindicated);
    EXPECT_TRUE(open(before).is(Kind::unacceptable));
    EXPECT_TRUE(open(before).is(Kind::missing));
    trust(client.public_key);
    EXPECT_TRUE(open(before).is(Kind::missing)); // a session does not rise again
}
TEST_F(GatedE2e, an_untrusted_peer_gets_no_session) // [E2E-15]
{
    trust(client.public_key, protocol::TrustTier::contraindicated);
    const auto accepted = ask(Request::e2e_process_initiate, join(server.id, initiate(Order::strict)));
    ASSERT_TRUE(accepted.ok());
    EXPECT_EQ(Buffer(accepted.bytes.begin(), accepted.bytes.begin() + 4), join(u32(0)));
    EXPECT_EQ(Buffer(accepted.bytes.begin() + 36, accepted.bytes.begin() + 40), join(u32(0)));
}
TEST_F(GatedE2e, without_fresh_time_nothing_passes_in_either_direction) // [E2E-15]
{
    complete(Order::window);
    const auto waiting = packet("x");
    runtime.now += std::uint64_t{60'000} * 10'000'000;
    EXPECT_TRUE(open(waiting).is(Kind::unacceptable));
    EXPECT_TRUE(ask(Request::e2e_produce_message, join(server_session, u32(0))).is(Kind::missing));
}
TEST_F(GatedE2e, letters_from_and_to_the_untrusted_are_refused) // [E2E-15]
{
    ASSERT_TRUE(ask(Request::e2e_allow_sender, join(server.id, client.public_key.bytes)).ok());
    const auto letter = [this] {
        return ask(Request::e2e_produce_letter,
                   join(client.id, u64(1), u32(3), u32(1), server.public_key.bytes, bytes_of("x")));
    };
    const auto first = letter();
    ASSERT_TRUE(ask(Request::e2e_process_letter, join(server.id, first.bytes)).ok());
    const auto second = letter();
    trust(client.public_key, protocol::TrustTier::contraindicated);
    EXPECT_TRUE(ask(Request::e2e_process_letter, join(server.id, second.bytes)).is(Kind::unacceptable));
    EXPECT_TRUE(ask(Request::e2e_produce_letter,
                    join(server.id, u64(1), u32(3), u32(1), client.public_key.bytes, bytes_of("x")))
                    .is(Kind::unacceptable));
    trust(client.public_key);
    EXPECT_TRUE(ask(Request::e2e_process_letter, join(server.id, second.bytes)).ok());
}

} // namespace
} // namespace caisson::trusted::curve::test
