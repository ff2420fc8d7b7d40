// Packets of end-to-end sessions in groups of requests, with each kernel that this machine has.
#include "trusted/curve/packet_batch.hpp"

#include "tests/unit/trusted/curve/e2e_world.hpp"
#include "tests/unit/trusted/curve/request_group.hpp"
#include "trusted/curve/e2e_place.hpp"

#include <algorithm>
#include <random>

namespace caisson::trusted::curve::test {
namespace {

constexpr std::size_t epoch_at = e2e::head_bytes;
constexpr std::size_t counter_at = epoch_at + 4;

struct PacketBatchTest : WithKernel, E2eWorld {
    std::vector<Buffer> left; // the buffers of the last group, as the chamber left them

    std::vector<Said> group(std::vector<Ask> asked) { return answer_together(*chamber, std::move(asked), left); }
    Ask seal(std::string_view text, std::uint32_t flags = 3) const
    {
        return {Request::e2e_produce_message, join(client_session, u32(flags), bytes_of(text))};
    }
    Ask opening(const Buffer& bytes) const { return {Request::e2e_process_message, join(server_session, bytes)}; }
    std::vector<Ask> opening_all(const std::vector<Buffer>& many) const
    {
        std::vector<Ask> out;
        for (const auto& one : many) {
            out.push_back(opening(one));
        }
        return out;
    }
    std::vector<Buffer> packets(std::size_t count)
    {
        std::vector<Buffer> made;
        for (std::size_t index = 0; index < count; ++index) {
            made.push_back(packet("packet " + std::to_string(index)));
        }
        return made;
    }
    Buffer fan_out(std::string_view text)
    {
        return ask(Request::e2e_produce_fanout, join(u32(3), u32(1), client_session, bytes_of(text))).bytes;
    }
    std::vector<Buffer> fan_outs(std::size_t count)
    {
        std::vector<Buffer> made;
        for (std::size_t index = 0; index < count; ++index) {
            made.push_back(fan_out("packet " + std::to_string(index)));
        }
        return made;
    }
    static bool is_text(const Said& said, std::string_view text)
    {
        return said.ok() && said.bytes.size() >= 12 && text_of(Bytes(said.bytes).subspan(12)) == text;
    }
    static bool is_number(const Said& said, std::size_t index)
    {
        return is_text(said, "packet " + std::to_string(index));
    }
    [[nodiscard]] bool left_nothing(std::size_t index) const
    {
        return std::all_of(left[index].begin(), left[index].end(), [](std::uint8_t octet) { return octet == 0; });
    }
};

TEST_P(PacketBatchTest, a_group_of_packets_of_all_sizes_is_sealed_and_opens_in_order) // [E2E-18]
{
    for (const auto order : {Order::strict, Order::window}) {
        complete(order);
        std::vector<Ask> sealing;
        std::vector<std::string> texts;
        for (std::size_t index = 0; index < group_requests_max; ++index) {
            texts.emplace_back(index * index, static_cast<char>('a' + index % 26));
            sealing.push_back(seal(texts.back(), static_cast<std::uint32_t>(index % 8)));
            sealing.back().room = texts.back().size() + e2e::data_overhead_bytes;
        }
        std::vector<Ask> asked;
        for (std::size_t index = 0; const auto& sealed : group(sealing)) {
            ASSERT_EQ(sealed.bytes.size(), texts[index++].size() + e2e::data_overhead_bytes);
            asked.push_back(opening(sealed.bytes));
            asked.back().room = sealed.bytes.size();
        }
        const auto said = group(asked);
        for (std::size_t index = 0; index < said.size(); ++index) {
            EXPECT_TRUE(is_text(said[index], texts[index])) << index;
            EXPECT_EQ(said[index].bytes[0], index % 8);
            EXPECT_EQ(said[index].bytes[4], index + 1) << "the counter";
        }
    }
}
TEST_P(PacketBatchTest, forged_packets_among_others_fail_alone_and_leave_nothing) // [E2E-18] [E2E-8]
{
    complete(Order::strict);
    const auto made = packets(6);
    auto changed = made[2];
    changed.back() ^= 1U;
    auto shortened = made[3];
    shortened.pop_back();
    auto moved = made[4];
    moved[counter_at + 7] ^= 8U;
    const auto said = group(
        opening_all({made[0], made[1], changed, made[2], shortened, made[3], moved, made[4], Buffer(20), made[5]}));
    for (std::size_t index = 0; const std::size_t at : {0, 1, 3, 5, 7, 9}) {
        EXPECT_TRUE(is_number(said[at], index++)) << at;
    }
    for (const std::size_t at : {2, 4, 6}) {
        EXPECT_TRUE(said[at].is(Kind::unauthentic)) << at;
        EXPECT_TRUE(left_nothing(at)) << at;
    }
    EXPECT_TRUE(said[8].is(Kind::malformed) || said[8].refusal != airlock::Refusal::none);
}
TEST_P(PacketBatchTest, fan_outs_of_all_sizes_open_in_their_place_among_packets) // [E2E-18] [E2E-16]
{
    for (const auto order : {Order::strict, Order::window}) {
        complete(order);
        std::vector<std::string> texts;
        std::vector<Ask> asked;
        for (std::size_t index = 0; index < group_requests_max; ++index) {
            texts.emplace_back(index / 3 * 61, static_cast<char>('a' + index % 26));
            asked.push_back(opening(index % 3 == 1 ? packet(texts.back()) : fan_out(texts.back())));
            asked.back().room = asked.back().input.size();
        }
        const auto said = group(asked);
        for (std::size_t index = 0; index < said.size(); ++index) {
            ASSERT_TRUE(is_text(said[index], texts[index])) << index;
            EXPECT_EQ(said[index].bytes[0], 3);
            EXPECT_EQ(said[index].bytes[4], index + 1) << "the counter";
        }
    }
}
TEST_P(PacketBatchTest, forged_fan_outs_among_others_fail_alone_and_leave_nothing) // [E2E-18] [E2E-16] [E2E-8]
{
    complete(Order::strict);
    const auto made = fan_outs(6);
    constexpr auto slot_at = e2e::head_bytes + 2;
    auto slot_changed = made[1];
    slot_changed[slot_at + e2e::fanout_slot_bytes - 1] ^= 1U;
    auto moved = made[1];
    moved[slot_at + E2eId::size + 4 + 7] ^= 8U;
    auto content_changed = made[2];
    content_changed.back() ^= 1U;
    auto with_others_content = made[3];
    constexpr auto content_at = static_cast<std::ptrdiff_t>(slot_at + e2e::fanout_slot_bytes);
    std::copy(made[4].begin() + content_at, made[4].end(), with_others_content.begin() + content_at);
    auto with_others_id = made[3];
    with_others_id[e2e::head_bytes - 1] ^= 1U;
    auto of_another = made[4];
    of_another[slot_at] ^= 1U;
    auto asked = opening_all({made[0], slot_changed, moved, made[1], content_changed, made[2], with_others_content,
                              with_others_id, made[3], made[1], of_another, made[4], made[5], made[5]});
    asked[12].room = 12 + e2e::tag_bytes;
    const auto said = group(asked);
    for (std::size_t index = 0; const std::size_t at : {0, 3, 5, 8, 11, 13}) {
        EXPECT_TRUE(is_number(said[at], index++)) << at;
    }
    for (const std::size_t at : {1, 2, 4, 6, 7}) {
        EXPECT_TRUE(said[at].is(Kind::unauthentic)) << at;
    }
    EXPECT_TRUE(said[9].is(Kind::expired));
    EXPECT_TRUE(said[10].is(Kind::missing));
    EXPECT_TRUE(said[12].is(Kind::exhausted));
    for (const std::size_t at : {1, 2, 4, 6, 7, 9, 10, 12}) {
        EXPECT_TRUE(left_nothing(at)) << at;
    }
}
TEST_P(PacketBatchTest, a_gap_before_a_fan_out_ends_the_session_and_what_waits_behind_it) // [E2E-18] [E2E-9]
{
    complete(Order::strict);
    const auto made = fan_outs(4);
    const auto said = group(opening_all({made[0], made[2], made[1], made[3]}));
    EXPECT_TRUE(is_number(said[0], 0));
    EXPECT_TRUE(said[1].is(Kind::conflict));
    EXPECT_TRUE(said[2].is(Kind::missing) && said[3].is(Kind::missing));
    EXPECT_TRUE(left_nothing(1) && left_nothing(2) && left_nothing(3));
}
TEST_P(PacketBatchTest, a_fan_out_of_the_next_epoch_moves_the_key_on_within_a_group) // [E2E-18] [E2E-11]
{
    for (const auto order : {Order::strict, Order::window}) {
        complete(order);
        auto made = fan_outs(2);
        ASSERT_TRUE(ask(Request::e2e_rekey, join(client_session)).ok());
        made.push_back(fan_out("packet 2"));
        made.push_back(packet("packet 3"));
        auto forged = made[2];
        forged.back() ^= 1U;
        const auto said = group(opening_all({made[0], made[1], forged, made[2], made[3], made[2]}));
        for (std::size_t index = 0; const std::size_t at : {0, 1, 3, 4}) {
            EXPECT_TRUE(is_number(said[at], index++)) << at;
        }
        EXPECT_TRUE(said[2].is(Kind::unauthentic));
        EXPECT_TRUE(said[5].is(Kind::expired));
    }
}
TEST_P(PacketBatchTest, a_packet_twice_in_a_group_opens_once) // [E2E-18] [E2E-9] [E2E-10]
{
    for (const auto order : {Order::strict, Order::window}) {
        complete(order);
        const auto made = packets(4);
        ASSERT_TRUE(open(made[0]).ok());
        const auto said = group(opening_all({made[1], made[1], made[0], made[2], made[1], made[2], made[3], made[3]}));
        EXPECT_TRUE(is_number(said[0], 1));
        EXPECT_TRUE(is_number(said[3], 2));
        EXPECT_TRUE(is_number(said[6], 3));
        for (const std::size_t at : {1, 2, 4, 5, 7}) {
            EXPECT_TRUE(said[at].is(Kind::expired)) << at;
            EXPECT_TRUE(left_nothing(at)) << at;
        }
    }
}
TEST_P(PacketBatchTest, below_the_window_nothing_opens_though_it_was_new_when_the_group_came) // [E2E-18] [E2E-10]
{
    complete(Order::window);
    const auto old = packet("old");
    for (std::size_t between = 1; between < ReplayWindow::width; ++between) {
        ASSERT_TRUE(group({seal("")})[0].ok());
    }
    const auto far = packet("far");
    const auto said = group(opening_all({far, old}));
    EXPECT_TRUE(is_text(said[0], "far"));
    EXPECT_TRUE(said[1].is(Kind::expired));
    EXPECT_TRUE(left_nothing(1));
}
TEST_P(PacketBatchTest, a_gap_ends_the_session_for_what_waits_behind_it_and_for_no_other) // [E2E-18] [E2E-9]
{
    complete(Order::strict);
    const auto other_client = client_session;
    const auto other_server = server_session;
    const auto other = packets(2);
    complete(Order::strict);
    const auto made = packets(4);
    const Ask first{Request::e2e_process_message, join(other_server, other[0])};
    const Ask second{Request::e2e_process_message, join(other_server, other[1])};
    const Ask answer_behind{Request::e2e_produce_message, join(server_session, u32(3), bytes_of("behind"))};
    const Ask answer_before{Request::e2e_produce_message, join(server_session, u32(3), bytes_of("before"))};
    const auto said = group({first, opening(made[0]), answer_before, opening(made[2]), opening(made[1]), answer_behind,
                             opening(made[3]), second});
    EXPECT_TRUE(is_number(said[0], 0));
    EXPECT_TRUE(is_number(said[1], 0));
    EXPECT_TRUE(said[2].ok());
    EXPECT_TRUE(said[3].is(Kind::conflict));
    for (const std::size_t at : {4, 5, 6}) {
        EXPECT_TRUE(said[at].is(Kind::missing)) << at;
    }
    EXPECT_TRUE(is_number(said[7], 1));
    for (const std::size_t at : {3, 4, 6}) {
        EXPECT_TRUE(left_nothing(at)) << at;
    }
    constexpr auto head_bytes = static_cast<std::ptrdiff_t>(counter_at + 8);
    EXPECT_EQ(Buffer(left[5].begin() + head_bytes, left[5].end()), Buffer(left[5].size() - head_bytes));
    EXPECT_TRUE(ask(Request::e2e_close_session, join(server_session)).is(Kind::missing));
    EXPECT_TRUE(ask(Request::e2e_close_session, join(other_client)).ok());
}
TEST_P(PacketBatchTest, a_close_in_a_group_ends_the_session_between_those_before_and_behind_it) // [E2E-18] [E2E-12]
{
    complete(Order::window);
    const auto sealed = group({seal("1"), seal("2"), seal("", e2e::flag_close), seal("3")});
    EXPECT_TRUE(sealed[0].ok() && sealed[1].ok() && sealed[2].ok());
    EXPECT_TRUE(sealed[3].is(Kind::missing));
    const auto said = group(opening_all({sealed[1].bytes, sealed[2].bytes, sealed[0].bytes}));
    EXPECT_TRUE(is_text(said[0], "2"));
    EXPECT_TRUE(said[1].ok());
    EXPECT_TRUE(said[2].is(Kind::missing));
    EXPECT_TRUE(left_nothing(2));
    const auto again = open_client(Order::strict); // the place is another's by now
    EXPECT_TRUE(again.ok());
    EXPECT_TRUE(open(sealed[0].bytes).is(Kind::missing));
}
TEST_P(PacketBatchTest, keys_move_on_within_a_group) // [E2E-18] [E2E-11]
{
    for (const auto order : {Order::strict, Order::window}) {
        complete(order);
        const Ask rekey{Request::e2e_rekey, join(client_session)};
        const auto sealed = group({seal("1"), seal("2"), rekey, seal("3"), seal("4"), rekey, rekey, seal("5")});
        std::vector<Buffer> made;
        for (const std::size_t at : {0, 1, 3, 4, 7}) {
            made.push_back(sealed[at].bytes);
        }
        EXPECT_EQ(made[1][epoch_at + 3], 0);
        EXPECT_EQ(made[2][epoch_at + 3], 1);
        EXPECT_EQ(made[4][epoch_at + 3], 3);
        auto forged = made[4];
        forged.back() ^= 1U;
        const auto said = group(opening_all({made[0], forged, made[1], made[2], made[3], made[4], made[4]}));
        for (std::size_t index = 0; const std::size_t at : {0, 2, 3, 4, 5}) {
            EXPECT_TRUE(is_text(said[at], std::to_string(++index))) << at;
        }
        EXPECT_TRUE(said[1].is(Kind::unauthentic));
        EXPECT_TRUE(said[6].is(Kind::expired));
    }
}
TEST_P(PacketBatchTest, what_a_single_packet_may_not_be_it_may_not_be_in_a_group) // [E2E-18] [E2E-13]
{
    complete(Order::strict);
    auto no_room = seal("text");
    no_room.room = e2e::data_overhead_bytes + 3;
    const Ask unknown{Request::e2e_produce_message, join(u32(77), u32(0), bytes_of("x"))};
    const auto said = group({seal("1"), no_room, unknown, seal("x", 16), seal("2")});
    EXPECT_TRUE(said[0].ok() && said[4].ok());
    EXPECT_TRUE(said[1].is(Kind::exhausted));
    EXPECT_TRUE(said[2].is(Kind::missing));
    EXPECT_TRUE(said[3].is(Kind::malformed));
    auto opened_without_room = opening(said[0].bytes);
    opened_without_room.room = 12;
    auto of_another = said[0].bytes;
    of_another[e2e::head_bytes - 1] ^= 1U;
    const auto opened = group({opened_without_room,
                               opening(of_another),
                               opening(said[0].bytes),
                               {Request::e2e_process_message, join(client_session, said[4].bytes)},
                               opening(said[4].bytes)});
    EXPECT_TRUE(opened[0].is(Kind::exhausted));
    EXPECT_TRUE(opened[1].is(Kind::missing));
    EXPECT_TRUE(is_text(opened[2], "1"));
    EXPECT_TRUE(opened[3].is(Kind::unauthentic)) << "its own, sent back";
    EXPECT_TRUE(is_text(opened[4], "2"));
}
// Two packets of one octet for the same place, of which the first is malformed: it leaves nothing and takes nothing.
void expect_the_second_alone(E2eSession& session, std::vector<Buffer>& packets)
{
    PacketBatch batch;
    std::vector<Buffer> outputs(2, Buffer(64));
    std::vector<airlock::Exchange> exchanges(2);
    for (std::size_t index = 0; index < 2; ++index) {
        exchanges[index] = {0, packets[index], outputs[index], {}};
        const auto packet = e2e::read_packet(packets[index]);
        EXPECT_FALSE(PacketBatch::must_be_alone(session, *packet));
        EXPECT_TRUE(batch.add_opening(exchanges[index], session, *packet));
    }
    batch.run();
    EXPECT_EQ(exchanges[0].answer.result.error().kind, Kind::malformed);
    EXPECT_EQ(outputs[0], Buffer(64));
    EXPECT_EQ(*exchanges[1].answer.result, 13U);
    EXPECT_EQ(session.received.highest(), 1U);
}
TEST_P(PacketBatchTest, authentic_packets_with_reserved_flags_take_no_place) // [E2E-18] [E2E-13]
{
    tests::TestArena room;
    E2eSessions sessions(room.arena());
    E2eSession& session = **sessions.open();
    E2eSession sender;
    sender.curve.is_server = true; // whose sending key is the receiver's: zeros, both
    const auto seal_with = [&](std::uint8_t flags) {
        Buffer made(e2e::data_overhead_bytes + 1);
        EXPECT_TRUE(e2e_seal(sender, PacketType::data, flags, bytes_of("x"), made));
        return made;
    };
    std::vector<Buffer> packets{seal_with(16)};
    sender.sent = 0;
    packets.push_back(seal_with(3));
    expect_the_second_alone(session, packets);
}
TEST_P(PacketBatchTest, authentic_fan_outs_with_reserved_flags_take_no_place) // [E2E-18] [E2E-13]
{
    tests::TestArena room;
    E2eSessions sessions(room.arena());
    E2eSession& session = **sessions.open();
    std::vector<Buffer> packets;
    for (const auto flags : {std::uint8_t{16}, std::uint8_t{3}}) {
        E2eSession sender;
        sender.curve.is_server = true; // whose sending key is the receiver's: zeros, both
        std::array<E2eSession*, 1> all{&sender};
        Buffer made(e2e::head_bytes + 2 + e2e::fanout_slot_bytes + e2e::tag_bytes + 1);
        EXPECT_TRUE(e2e_seal_fanout(runtime, all, flags, bytes_of("x"), made));
        packets.push_back(std::move(made));
    }
    expect_the_second_alone(session, packets);
}
TEST_P(PacketBatchTest, what_a_key_made_goes_with_it) // [E2E-11]
{
    E2eSession session;
    const auto first = join(data_subkey(session.sending, false).expose());
    ASSERT_TRUE(e2e_rekey(session));
    EXPECT_EQ(join(session.sending.subkey.expose()), Buffer(32));
    const auto second = join(data_subkey(session.sending, false).expose());
    EXPECT_NE(first, second);
    E2eSession receiver;
    static_cast<void>(data_subkey(receiver.receiving, false));
    E2ePlace place;
    place.epoch = 1;
    place.counter = 1;
    SharedKey next;
    copy_bytes(next.expose(), session.sending.key.expose());
    take_place(receiver, place, std::move(next));
    EXPECT_EQ(join(receiver.receiving.subkey.expose()), Buffer(32));
    EXPECT_EQ(join(data_subkey(receiver.receiving, false).expose()), second);
}

struct DueKey : PacketBatchTest {}; // with one kernel: it takes many packets

TEST_P(DueKey, the_key_that_is_due_moves_on_in_the_middle_of_a_group) // [E2E-18] [E2E-11]
{
    complete(Order::window);
    auto many = std::vector<Ask>(group_requests_max, seal(""));
    for (auto& one : many) {
        one.room = e2e::data_overhead_bytes;
    }
    for (std::uint64_t sent = 0; sent < epoch_packets_max - group_requests_max; sent += group_requests_max) {
        ASSERT_TRUE(group(many).back().ok());
    }
    const auto sealed = group(std::vector<Ask>(group_requests_max, seal("x")));
    std::vector<Buffer> made;
    for (const auto& one : sealed) {
        made.push_back(one.bytes);
    }
    EXPECT_EQ(made.front()[epoch_at + 3], 0);
    EXPECT_EQ(made.back()[epoch_at + 3], 1);
    for (const auto& said : group(opening_all(made))) {
        EXPECT_TRUE(is_text(said, "x"));
    }
}

TEST(GatedPackets, a_gate_that_shuts_within_a_group_ends_the_session_after_those_that_had_passed) // [E2E-18] [E2E-15]
{
    GatedE2eWorld world;
    world.complete(Order::window);
    std::vector<Ask> asked;
    for (const auto* text : {"1", "2", "3"}) {
        asked.push_back({Request::e2e_process_message, join(world.server_session, world.packet(text))});
    }
    asked.push_back({Request::e2e_produce_message, join(world.server_session, u32(3), bytes_of("4"))});
    // The time token is good for a minute or so; the group's own look at the clock and two packets pass.
    std::uint64_t passes = 0;
    for (auto probe = std::uint64_t{1} << 20U; passes == 0 && probe < std::uint64_t{1} << 50U; probe *= 2) {
        GatedE2eWorld other;
        other.complete(Order::window);
        other.runtime.now += probe;
        passes = other.open(other.packet("x")).is(Kind::unacceptable) ? probe : 0;
    }
    ASSERT_NE(passes, 0U);
    world.runtime.step = passes / 4 + passes / 16; // one look of the chamber's and a packet are below half of it
    std::vector<Buffer> left;
    const auto said = answer_together(*world.chamber, asked, left);
    EXPECT_TRUE(PacketBatchTest::is_text(said[0], "1"));
    std::size_t ended = 1;
    while (said[ended].ok()) {
        ASSERT_LT(++ended, said.size());
    }
    EXPECT_TRUE(said[ended].is(Kind::unacceptable));
    for (auto index = ended + 1; index < said.size(); ++index) {
        EXPECT_TRUE(said[index].is(Kind::missing));
    }
}

// Two chambers with the same keys: what a group says is what its requests would have said one after the other.
struct PacketsInBothWays : PacketBatchTest {
    E2eWorld single; // answers one at a time
    std::mt19937 chance{GetParam() + 7};

    struct Side {
        ByteArray<4> session{};
        std::vector<Buffer> sent;
    };
    struct Pair {
        std::array<Side, 2> sides;
    };
    std::vector<Pair> pairs;

    std::size_t below(std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(chance); }
    void open_pair(Order order)
    {
        complete(order);
        single.complete(order);
        ASSERT_EQ(client_session, single.client_session);
        ASSERT_EQ(server_session, single.server_session);
        pairs.push_back({{Side{client_session, {}}, Side{server_session, {}}}});
    }
    Ask draw_opening(Side& to, const Side& from)
    {
        auto bytes = from.sent.empty()
                         ? Buffer(60)
                         : from.sent[from.sent.size() - 1 - below(std::min<std::size_t>(from.sent.size(), 12))];
        const auto fate = below(8);
        if (fate == 0) {
            bytes[below(bytes.size())] ^= static_cast<std::uint8_t>(1U << below(8));
        } else if (fate == 1) {
            bytes.resize(below(bytes.size()));
        }
        return {Request::e2e_process_message, join(to.session, bytes)};
    }
    Ask draw()
    {
        auto& pair = pairs[below(pairs.size())];
        const auto at = below(2);
        auto& own = pair.sides[at];
        switch (below(64)) {
        case 0: return {Request::e2e_rekey, join(own.session)};
        case 1: return {Request::e2e_produce_message, join(own.session, u32(below(3) == 0 ? 8 : 16))};
        case 2:
        case 3:
        case 4:
        case 5:
        case 6:
        case 7:
        case 8:
            return {Request::e2e_produce_fanout,
                    join(u32(3), u32(2), own.session, pairs[below(pairs.size())].sides[at].session, bytes_of("all"))};
        default: break;
        }
        return below(2) == 0 ? Ask{Request::e2e_produce_message, join(own.session, u32(3), Buffer(below(40)))}
                             : draw_opening(own, pair.sides[1 - at]);
    }
    void keep(const Ask& asked, const Said& said)
    {
        for (auto& pair : pairs) {
            for (auto& side : pair.sides) {
                const bool own = Buffer(asked.input.begin(), asked.input.begin() + 4) == join(side.session);
                const bool all = asked.request == Request::e2e_produce_fanout;
                if (said.ok() && (all || (own && asked.request == Request::e2e_produce_message))) {
                    side.sent.push_back(said.bytes);
                }
            }
        }
    }
};

TEST_P(PacketsInBothWays, a_group_says_what_its_requests_say_one_after_the_other) // [E2E-18]
{
    std::size_t opened = 0;
    for (std::size_t round = 0; round < 60; ++round) {
        if (round % 10 == 0) {
            pairs.clear();
        }
        while (pairs.size() < 3) {
            open_pair(pairs.size() == 1 ? Order::strict : Order::window);
        }
        std::vector<Ask> asked(1 + below(group_requests_max));
        std::generate(asked.begin(), asked.end(), [this] { return draw(); });
        std::vector<Said> expected;
        std::vector<Buffer> unused;
        for (const auto& one : asked) {
            expected.push_back(answer_together(*single.chamber, {one}, unused)[0]);
        }
        const auto said = group(asked);
        for (std::size_t index = 0; index < said.size(); ++index) {
            ASSERT_EQ(said[index].refusal, expected[index].refusal) << round << " " << index;
            ASSERT_EQ(said[index].kind, expected[index].kind) << round << " " << index;
            ASSERT_EQ(said[index].bytes, expected[index].bytes) << round << " " << index;
            keep(asked[index], said[index]);
            opened += said[index].ok() && asked[index].request == Request::e2e_process_message ? 1 : 0;
        }
    }
    EXPECT_GT(opened, 60U);
}

INSTANTIATE_TEST_SUITE_P(EachKernel, PacketBatchTest, testing::ValuesIn(kernels_here()));
INSTANTIATE_TEST_SUITE_P(BestKernel, DueKey, testing::Values(kernels_here().back()));
INSTANTIATE_TEST_SUITE_P(EachKernel, PacketsInBothWays, testing::ValuesIn(kernels_here()));

} // namespace
} // namespace caisson::trusted::curve::test
