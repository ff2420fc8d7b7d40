// Handshakes that wait together in one group of requests, with each kernel that this machine has.
#include "trusted/curve/handshakes.hpp"

#include "tests/unit/trusted/curve/request_group.hpp"

namespace caisson::trusted::curve::test {
namespace {

namespace wire = protocol::curve;

struct Together : WithKernel, Talk {
    std::vector<Said> ask_all(const std::vector<Ask>& group)
    {
        std::vector<Buffer> outputs;
        return answer_together(*chamber, group, outputs);
    }
    // The same of each, whose answers are good; the answers behind the ids in front.
    std::vector<Buffer> step(Request request, const std::vector<Buffer>& subjects, const std::vector<Buffer>& rests)
    {
        std::vector<Ask> group;
        for (std::size_t index = 0; index < subjects.size(); ++index) {
            group.push_back({request, join(subjects[index], rests.empty() ? Buffer{} : rests[index])});
        }
        std::vector<Buffer> answers;
        for (auto& said : ask_all(group)) {
            EXPECT_TRUE(said.ok());
            answers.push_back(std::move(said.bytes));
        }
        return answers;
    }
    std::vector<Buffer> open_clients(std::size_t count)
    {
        std::vector<Buffer> sessions;
        for (std::size_t index = 0; index < count; ++index) {
            sessions.push_back(ask(Request::open_client, join(client.id, server.public_key.bytes)).bytes);
        }
        return sessions;
    }
    [[nodiscard]] std::vector<Buffer> of_server(std::size_t count) const { return {count, join(server.id)}; }
    std::vector<Buffer> initiates_of(const std::vector<Buffer>& clients)
    {
        const auto hellos = step(Request::produce_hello, clients, {});
        const auto welcomes = step(Request::process_hello, of_server(clients.size()), hellos);
        static_cast<void>(step(Request::process_welcome, clients, welcomes));
        return step(Request::produce_initiate, clients, {});
    }
};

TEST_P(Together, any_number_of_handshakes_at_once_open_sessions_that_talk) // [CURVE-46]
{
    for (const std::size_t count : {1, 2, 7, 8, 9, 64}) {
        const auto clients = open_clients(count);
        const auto accepted = step(Request::process_initiate, of_server(count), initiates_of(clients));
        for (std::size_t index = 0; index < count; ++index) {
            const auto at_server = join(Bytes(accepted[index]).first(4));
            EXPECT_EQ(join(Bytes(accepted[index]).subspan(4, 32)), join(client.public_key.bytes));
            const auto ready = ask(Request::produce_ready, at_server);
            ASSERT_TRUE(ask(Request::process_ready, join(clients[index], ready.bytes)).ok());
            const auto body = ask(Request::produce_message, join(clients[index], u32(0), bytes_of("hello")));
            EXPECT_EQ(ask(Request::process_message, join(at_server, body.bytes)).bytes,
                      join(u32(0), bytes_of("hello")));
        }
    }
}
TEST_P(Together, sessions_that_begin_with_their_hello_talk_as_others_do) // [CURVE-46] [CURVE-5]
{
    const std::vector<Buffer> subjects(9, join(client.id));
    const std::vector<Buffer> servers(9, join(server.public_key.bytes));
    std::vector<Buffer> clients;
    std::vector<Buffer> hellos;
    for (const auto& begun : step(Request::begin_client, subjects, servers)) {
        ASSERT_EQ(begun.size(), 4 + wire::hello_bytes);
        clients.push_back(join(Bytes(begun).first(4)));
        hellos.push_back(join(Bytes(begun).subspan(4)));
    }
    const auto welcomes = step(Request::process_hello, of_server(clients.size()), hellos);
    static_cast<void>(step(Request::process_welcome, clients, welcomes));
    const auto initiates = step(Request::produce_initiate, clients, {});
    const auto accepted = step(Request::process_initiate, of_server(clients.size()), initiates);
    for (std::size_t index = 0; index < clients.size(); ++index) {
        const auto ready = ask(Request::produce_ready, join(Bytes(accepted[index]).first(4)));
        EXPECT_TRUE(ask(Request::process_ready, join(clients[index], ready.bytes)).ok()) << index;
    }
}
TEST_P(Together, a_session_that_cannot_begin_is_none_and_fails_alone) // [CURVE-46] [CURVE-2]
{
    const auto server_key = join(server.public_key.bytes);
    const auto said = ask_all({{Request::begin_client, join(client.id, server_key)},
                               {Request::begin_client, join(client.id, ByteArray<32>{})}, // of low order
                               {Request::begin_client, join(u32(99), server_key)},
                               {Request::begin_client, join(client.id, server_key)}});
    EXPECT_TRUE(said[0].ok());
    EXPECT_TRUE(said[1].is(Kind::unauthentic));
    EXPECT_TRUE(said[2].is(Kind::missing));
    ASSERT_TRUE(said[3].ok());
    EXPECT_EQ(ask(Request::produce_hello, join(Bytes(said[3].bytes).first(4))).refusal,
              airlock::Refusal::not_in_this_state)
        << "its HELLO is out";
}
TEST_P(Together, a_session_whose_hello_finds_no_room_is_none) // [CURVE-2]
{
    for (std::size_t count = 0; count <= airlock::curve::sessions_max; ++count) {
        Buffer input = join(client.id, server.public_key.bytes);
        Buffer output(count % (4 + wire::hello_bytes)); // too small, each of them
        const auto answer = chamber->answer(static_cast<std::uint32_t>(Request::begin_client), input, output);
        ASSERT_FALSE(answer.result);
        ASSERT_EQ(answer.result.error().kind, Kind::exhausted) << output.size();
    }
    EXPECT_TRUE(ask(Request::begin_client, join(client.id, server.public_key.bytes)).ok()) << "their places are free";
}
TEST_P(Together, a_changed_hello_among_others_fails_alone) // [CURVE-46] [CURVE-6]
{
    const auto hellos = step(Request::produce_hello, open_clients(9), {});
    std::vector<Ask> group;
    for (const auto& hello : hellos) {
        group.push_back({Request::process_hello, join(server.id, hello)});
    }
    group[3].input.back() ^= 1U;
    group[5].input.pop_back();
    const auto said = ask_all(group);
    for (std::size_t index = 0; index < said.size(); ++index) {
        EXPECT_EQ(said[index].ok(), index != 3 && index != 5) << index;
    }
    EXPECT_TRUE(said[3].is(Kind::unauthentic));
}
TEST_P(Together, a_key_of_low_order_fails_alone_and_ends_its_session) // [CURVE-46] [CURVE-2]
{
    auto clients = open_clients(8);
    clients[2] = ask(Request::open_client, join(client.id, ByteArray<32>{})).bytes;
    std::vector<Ask> group;
    for (const auto& session : clients) {
        group.push_back({Request::produce_hello, session});
    }
    const auto said = ask_all(group);
    for (std::size_t index = 0; index < said.size(); ++index) {
        EXPECT_EQ(said[index].ok(), index != 2) << index;
    }
    EXPECT_TRUE(said[2].is(Kind::unauthentic));
    EXPECT_TRUE(ask(Request::process_welcome, join(clients[2], Buffer(wire::welcome_bytes))).is(Kind::missing));
}
TEST_P(Together, a_changed_initiate_among_others_fails_alone_and_uses_up_its_cookie) // [CURVE-46] [CURVE-10]
{
    const auto initiates = initiates_of(open_clients(9));
    std::vector<Ask> group;
    for (const auto& initiate : initiates) {
        group.push_back({Request::process_initiate, join(server.id, initiate)});
    }
    group[4].input.back() ^= 1U;
    const auto said = ask_all(group);
    for (std::size_t index = 0; index < said.size(); ++index) {
        EXPECT_EQ(said[index].ok(), index != 4) << index;
    }
    EXPECT_TRUE(said[4].is(Kind::unauthentic));
    EXPECT_TRUE(ask(Request::process_initiate, join(server.id, initiates[4])).is(Kind::expired));
}
TEST_P(Together, the_same_initiate_twice_in_a_group_opens_one_session) // [CURVE-46] [CURVE-8]
{
    const auto initiate = initiates_of(open_clients(1)).front();
    const Ask once{Request::process_initiate, join(server.id, initiate)};
    const auto said = ask_all({once, once});
    EXPECT_TRUE(said[0].ok());
    EXPECT_TRUE(said[1].is(Kind::expired));
}
TEST_P(Together, an_initiate_for_another_key_of_this_chamber_fails_among_good_ones) // [CURVE-46] [CURVE-12]
{
    const auto other = new_key(false);
    const auto initiates = initiates_of(open_clients(2));
    const auto said = ask_all({{Request::process_initiate, join(other.id, initiates[0])},
                               {Request::process_initiate, join(server.id, initiates[1])}});
    EXPECT_TRUE(said[0].is(Kind::unauthentic));
    EXPECT_TRUE(said[1].ok());
}
TEST_P(Together, two_steps_of_one_session_are_answered_one_after_the_other) // [CURVE-46]
{
    const auto session = open_clients(1).front();
    const auto said = ask_all({{Request::produce_hello, session}, {Request::produce_hello, session}});
    EXPECT_TRUE(said[0].ok());
    EXPECT_EQ(said[1].refusal, airlock::Refusal::not_in_this_state);
    const auto welcome = ask(Request::process_hello, join(server.id, said[0].bytes)).bytes;
    const auto rest = ask_all({{Request::process_welcome, join(session, welcome)},
                               {Request::process_welcome, join(session, welcome)},
                               {Request::produce_initiate, session},
                               {Request::produce_initiate, session}});
    EXPECT_TRUE(rest[0].ok());
    EXPECT_EQ(rest[1].refusal, airlock::Refusal::not_in_this_state);
    EXPECT_TRUE(rest[2].ok());
    EXPECT_EQ(rest[3].refusal, airlock::Refusal::not_in_this_state);
}
TEST_P(Together, a_step_behind_one_that_failed_finds_no_session) // [CURVE-46] [CURVE-2]
{
    const auto session = ask(Request::open_client, join(client.id, ByteArray<32>{})).bytes;
    const auto said = ask_all({{Request::produce_hello, session}, {Request::produce_hello, session}});
    EXPECT_TRUE(said[0].is(Kind::unauthentic));
    EXPECT_TRUE(said[1].is(Kind::missing));
}
TEST_P(Together, what_comes_behind_handshakes_finds_them_done) // [CURVE-46]
{
    const auto session = open_clients(1).front();
    const auto said = ask_all({{Request::produce_hello, session}, {Request::close_session, session}});
    EXPECT_TRUE(said[0].ok());
    EXPECT_TRUE(said[1].ok());
}

INSTANTIATE_TEST_SUITE_P(EachKernel, Together, testing::ValuesIn(kernels_here()));

} // namespace
} // namespace caisson::trusted::curve::test
