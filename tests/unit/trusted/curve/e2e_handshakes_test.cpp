// End-to-end handshakes that wait together in one group of requests, with each kernel that this machine has.
#include "trusted/curve/e2e_handshakes.hpp"

#include "tests/unit/trusted/curve/e2e_world.hpp"
#include "tests/unit/trusted/curve/request_group.hpp"

namespace caisson::trusted::curve::test {
namespace {

struct E2eTogether : WithKernel, E2eWorld {
    std::vector<Said> ask_all(std::vector<Ask> group)
    {
        std::vector<Buffer> left;
        return answer_together(*chamber, std::move(group), left);
    }
    static std::vector<Ask> asked_of(Request request, const std::vector<Buffer>& subjects,
                                     const std::vector<Buffer>& rests)
    {
        std::vector<Ask> group;
        for (std::size_t index = 0; index < subjects.size(); ++index) {
            group.push_back({request, join(subjects[index], rests[index])});
        }
        return group;
    }
    std::vector<Buffer> step(Request request, const std::vector<Buffer>& subjects, const std::vector<Buffer>& rests)
    {
        std::vector<Buffer> answers;
        for (auto& said : ask_all(asked_of(request, subjects, rests))) {
            EXPECT_TRUE(said.ok());
            answers.push_back(std::move(said.bytes));
        }
        return answers;
    }
    std::vector<Buffer> open_clients(std::size_t count, Order order = Order::strict)
    {
        std::vector<Buffer> sessions;
        for (std::size_t index = 0; index < count; ++index) {
            sessions.push_back(open_client(order).bytes);
        }
        return sessions;
    }
    [[nodiscard]] std::vector<Buffer> of_server(std::size_t count) const { return {count, join(server.id)}; }
    std::vector<Buffer> hellos_of(const std::vector<Buffer>& clients)
    {
        return step(Request::e2e_produce_hello, clients, std::vector<Buffer>(clients.size()));
    }
    std::vector<Buffer> welcomes_for(const std::vector<Buffer>& clients)
    {
        return step(Request::e2e_process_hello, of_server(clients.size()), hellos_of(clients));
    }
    std::vector<Buffer> initiates_of(const std::vector<Buffer>& clients, Order order = Order::strict)
    {
        static_cast<void>(step(Request::e2e_process_welcome, clients, welcomes_for(clients)));
        return step(Request::e2e_produce_initiate, clients, {clients.size(), own_property(order)});
    }
    bool talks(const Buffer& at_client, const Buffer& accepted)
    {
        copy_bytes(client_session, at_client);
        copy_bytes(server_session, Bytes(accepted).first(4));
        const auto ready_packet = ask(Request::e2e_produce_ready, join(server_session));
        return ready_packet.ok() && ask(Request::e2e_process_ready, join(client_session, ready_packet.bytes)).ok() &&
               opens(packet("hello"), "hello");
    }
};

TEST_P(E2eTogether, any_number_of_handshakes_at_once_open_sessions_that_talk) // [E2E-19]
{
    for (const std::size_t count : {1, 2, 7, 8, 9, 64}) {
        const auto order = count % 2 == 0 ? Order::strict : Order::window;
        const auto clients = open_clients(count, order);
        const auto accepted = step(Request::e2e_process_initiate, of_server(count), initiates_of(clients, order));
        for (std::size_t index = 0; index < count; ++index) {
            EXPECT_EQ(join(Bytes(accepted[index]).subspan(4, 32)), join(client.public_key.bytes));
            EXPECT_EQ(accepted[index][40], static_cast<std::uint8_t>(order));
            EXPECT_TRUE(talks(clients[index], accepted[index])) << count << " " << index;
            EXPECT_TRUE(ask(Request::e2e_close_session, clients[index]).ok());
            EXPECT_TRUE(ask(Request::e2e_close_session, join(server_session)).ok());
        }
    }
}
TEST_P(E2eTogether, changed_hellos_among_others_fail_alone) // [E2E-19] [E2E-2]
{
    auto hellos = hellos_of(open_clients(9));
    hellos[3].back() ^= 1U;
    hellos[5].pop_back();
    hellos[7][e2e::head_bytes - 1] ^= 1U; // under another id
    hellos[8][3] = 2;                     // called a WELCOME
    const auto said = ask_all(asked_of(Request::e2e_process_hello, of_server(9), hellos));
    for (const std::size_t good : {0, 1, 2, 4, 6}) {
        EXPECT_TRUE(said[good].ok()) << good;
    }
    EXPECT_TRUE(said[3].is(Kind::unauthentic));
    EXPECT_EQ(said[5].refusal, airlock::Refusal::bad_size);
    EXPECT_TRUE(said[7].is(Kind::malformed));
    EXPECT_TRUE(said[8].is(Kind::malformed));
}
TEST_P(E2eTogether, changed_welcomes_change_nothing_and_the_true_ones_behind_them_are_taken) // [E2E-19] [E2E-8]
{
    const auto clients = open_clients(4);
    const auto welcomes = welcomes_for(clients);
    auto changed = welcomes;
    for (auto& one : changed) {
        one.back() ^= 1U;
    }
    auto group = asked_of(Request::e2e_process_welcome, clients, changed);
    group.push_back({Request::e2e_process_welcome, join(clients[0], welcomes[1])}); // another's
    for (auto& one : asked_of(Request::e2e_process_welcome, clients, welcomes)) {
        group.push_back(std::move(one));
    }
    for (std::size_t index = 0; index < 4; ++index) {
        group.push_back({Request::e2e_produce_initiate, join(clients[index], own_property(Order::strict))});
    }
    group.push_back({Request::e2e_process_welcome, join(clients[0], welcomes[0])}); // once more
    const auto said = ask_all(std::move(group));
    for (std::size_t index = 0; index < 4; ++index) {
        EXPECT_TRUE(said[index].is(Kind::unauthentic));
        EXPECT_TRUE(said[5 + index].ok());
        EXPECT_TRUE(said[9 + index].ok());
    }
    EXPECT_TRUE(said[4].is(Kind::missing));
    EXPECT_EQ(said[13].refusal, airlock::Refusal::not_in_this_state);
}
TEST_P(E2eTogether, an_initiate_twice_in_a_group_opens_one_session) // [E2E-19] [E2E-6]
{
    const auto clients = open_clients(3);
    const auto initiates = initiates_of(clients);
    auto changed = initiates[1];
    changed.back() ^= 1U;
    const auto said = ask_all(asked_of(Request::e2e_process_initiate, of_server(5),
                                       {initiates[0], initiates[0], changed, initiates[1], initiates[2]}));
    EXPECT_TRUE(said[0].ok() && said[4].ok());
    EXPECT_TRUE(said[1].is(Kind::expired));
    EXPECT_TRUE(said[2].is(Kind::unauthentic));
    EXPECT_TRUE(said[3].is(Kind::expired)) << "its cookie was used by the changed one";
    EXPECT_TRUE(talks(clients[0], said[0].bytes));
    EXPECT_TRUE(talks(clients[2], said[4].bytes));
}
TEST_P(E2eTogether, initiates_under_other_ids_open_nothing) // [E2E-19] [E2E-3]
{
    const auto clients = open_clients(3);
    auto initiates = initiates_of(clients);
    std::swap_ranges(initiates[0].begin(), initiates[0].begin() + e2e::head_bytes, initiates[1].begin());
    const auto said = ask_all(asked_of(Request::e2e_process_initiate, of_server(3), initiates));
    EXPECT_TRUE(said[0].is(Kind::malformed) && said[1].is(Kind::malformed));
    EXPECT_TRUE(talks(clients[2], said[2].bytes));
}
TEST_P(E2eTogether, a_key_of_low_order_fails_alone_and_ends_its_session) // [E2E-19]
{
    auto clients = open_clients(8);
    clients[2] = ask(Request::e2e_open_client, join(client.id, u32(0), ByteArray<32>{})).bytes;
    const auto said = ask_all(asked_of(Request::e2e_produce_hello, clients, std::vector<Buffer>(8)));
    for (std::size_t index = 0; index < said.size(); ++index) {
        EXPECT_EQ(said[index].ok(), index != 2) << index;
    }
    EXPECT_TRUE(said[2].is(Kind::unauthentic));
    EXPECT_TRUE(ask(Request::e2e_close_session, clients[2]).is(Kind::missing));
}
TEST_P(E2eTogether, what_a_client_cannot_produce_ends_its_session_alone) // [E2E-19] [E2E-5]
{
    const auto clients = open_clients(3);
    static_cast<void>(step(Request::e2e_process_welcome, clients, welcomes_for(clients)));
    const auto said =
        ask_all(asked_of(Request::e2e_produce_initiate, clients,
                         {own_property(Order::strict), own_property(Order::window), own_property(Order::strict)}));
    EXPECT_TRUE(said[0].ok() && said[2].ok());
    EXPECT_TRUE(said[1].is(Kind::malformed));
    EXPECT_TRUE(ask(Request::e2e_close_session, clients[1]).is(Kind::missing));
}
TEST_P(E2eTogether, a_whole_handshake_in_one_group_takes_its_steps_in_order) // [E2E-19]
{
    const auto at_client = open_client(Order::strict).bytes;
    const auto said = ask_all({{Request::e2e_produce_hello, at_client},
                               {Request::e2e_produce_hello, at_client},
                               {Request::e2e_produce_initiate, join(at_client, own_property(Order::strict))},
                               {Request::e2e_close_session, at_client},
                               {Request::e2e_produce_hello, at_client}});
    EXPECT_TRUE(said[0].ok());
    EXPECT_EQ(said[1].refusal, airlock::Refusal::not_in_this_state);
    EXPECT_EQ(said[2].refusal, airlock::Refusal::not_in_this_state);
    EXPECT_TRUE(said[3].ok());
    EXPECT_TRUE(said[4].is(Kind::missing));
}
TEST_P(E2eTogether, a_forgotten_key_takes_effect_between_those_before_and_behind_it) // [E2E-19]
{
    const auto hellos = hellos_of(open_clients(2));
    const auto said = ask_all({{Request::e2e_process_hello, join(server.id, hellos[0])},
                               {Request::forget_key, join(server.id)},
                               {Request::e2e_process_hello, join(server.id, hellos[1])}});
    EXPECT_TRUE(said[0].ok() && said[1].ok());
    EXPECT_TRUE(said[2].is(Kind::missing));
}
TEST_P(E2eTogether, sessions_beyond_the_table_are_refused_and_those_before_them_open) // [E2E-19]
{
    const auto clients = open_clients(3);
    const auto initiates = initiates_of(clients);
    Buffer last;
    for (std::size_t index = 3; index < airlock::curve::e2e_sessions_max - 1; ++index) {
        last = open_client(Order::strict).bytes;
    }
    const auto said = ask_all(asked_of(Request::e2e_process_initiate, of_server(3), initiates));
    EXPECT_TRUE(said[0].ok());
    EXPECT_TRUE(said[1].is(Kind::exhausted) && said[2].is(Kind::exhausted));
    EXPECT_TRUE(talks(clients[0], said[0].bytes));
}

INSTANTIATE_TEST_SUITE_P(EachKernel, E2eTogether, testing::ValuesIn(kernels_here()));

} // namespace
} // namespace caisson::trusted::curve::test
