// The table: each request in each state that permits it and in each that does not, and the sizes it takes.
#include "tests/unit/trusted/witness/witness_world.hpp"

namespace caisson::trusted::witness {
namespace {

using airlock::witness::State;

const PolicyItem file{PolicyItemKind::file, "/etc/hosts"};

// A world in the given state.
void bring_to(World& world, State state)
{
    if (state == State::no_identity) {
        return;
    }
    world.enrol();
    if (state == State::idle) {
        return;
    }
    ASSERT_TRUE(world.open_policy({file}).good());
    if (state == State::done) {
        ASSERT_TRUE(world.absorb_error(2).good());
    }
}

struct TableRow {
    Request request;
    std::size_t input_bytes;
    std::uint32_t states; // bit n: permitted in State n
};

constexpr std::uint32_t none = 1;
constexpr std::uint32_t idle = 2;
constexpr std::uint32_t measuring = 4;
constexpr std::uint32_t done = 8;

constexpr TableRow rows[] = {
    {Request::create_identity, 64, none},
    {Request::load_identity, 200, none},
    {Request::target_info, 0, none | idle | measuring | done},
    {Request::accept_report, 464, idle | measuring | done},
    {Request::forget_key, 32, idle | measuring | done},
    {Request::evidence, 96, idle | measuring | done},
    {Request::open_policy, 100, idle | measuring | done},
    {Request::next_measurement, 0, measuring | done},
    {Request::absorb, 4, measuring},
    {Request::finish, 32, done},
    {Request::quote_report, 608, idle | measuring | done},
};

// [MEASURE-3]
TEST(WitnessTable, each_row_is_answered_in_its_states_and_in_no_other)
{
    for (const auto& row : rows) {
        for (std::uint32_t state = 0; state < 4; ++state) {
            World world;
            bring_to(world, static_cast<State>(state));
            const auto answered = world.ask(row.request, Buffer(row.input_bytes));
            const auto expected = ((row.states >> state) & 1U) != 0 ? Refusal::none : Refusal::not_in_this_state;
            EXPECT_EQ(answered.answer.refusal, expected)
                << "request " << static_cast<std::uint32_t>(row.request) << " in state " << state;
        }
    }
}

// [MEASURE-3]
TEST(WitnessTable, an_unknown_request_is_not_answered)
{
    World world;
    for (std::uint32_t request = 0; request < 100; ++request) {
        if (request >= 1 && request <= 11) {
            continue;
        }
        EXPECT_EQ(world.ask(static_cast<Request>(request)).answer.refusal, Refusal::no_such_request) << request;
    }
}

// [MEASURE-3]
TEST(WitnessTable, inputs_of_another_size_are_refused)
{
    const std::pair<Request, std::vector<std::size_t>> sizes[] = {
        {Request::create_identity, {0, 63, 65}},
        {Request::load_identity, {0, airlock::witness::sealed_identity_bytes_max + 1}},
        {Request::target_info, {1}},
        {Request::accept_report, {0, 432, 463, 465}},
        {Request::forget_key, {0, 31, 33}},
        {Request::evidence, {0, 95, 97}},
        {Request::open_policy, {0}},
        {Request::next_measurement, {1}},
        {Request::absorb, {0, 3, airlock::witness::chunk_bytes_max + 13}},
        {Request::finish, {0, 31, 33}},
        {Request::quote_report, {0, 512, 607, 609}},
    };
    World world;
    for (const auto& [request, wrong] : sizes) {
        for (const auto size : wrong) {
            EXPECT_EQ(world.ask(request, Buffer(size)).answer.refusal, Refusal::bad_size)
                << "request " << static_cast<std::uint32_t>(request) << ", " << size << " bytes";
        }
    }
}

TEST(WitnessTable, an_output_too_small_is_exhausted)
{
    World world;
    EXPECT_EQ(world.ask(Request::target_info, {}, 511).kind(), Kind::exhausted);
    EXPECT_EQ(world.ask(Request::create_identity, Buffer(64), 31).kind(), Kind::exhausted);
    EXPECT_EQ(world.ask(Request::create_identity, Buffer(64), 40).kind(), Kind::exhausted);
    world.enrol();
    EXPECT_EQ(world.ask(Request::evidence, Buffer(96), 100).kind(), Kind::exhausted);
    ASSERT_TRUE(world.open_policy({file}).good());
    EXPECT_EQ(world.ask(Request::next_measurement, {}, 6).kind(), Kind::exhausted);
}

TEST(WitnessTable, an_identity_that_does_not_fit_its_answer_is_not_loaded)
{
    World world;
    world.enrol();
    World fresh;
    EXPECT_EQ(fresh.ask(Request::load_identity, world.sealed, 63).kind(), Kind::exhausted);
    EXPECT_EQ(fresh.ask(Request::evidence, Buffer(96)).answer.refusal, Refusal::not_in_this_state);
}

TEST(WitnessTable, the_result_can_be_taken_once)
{
    World world;
    bring_to(world, State::done);
    EXPECT_TRUE(world.finish().verified);
    EXPECT_EQ(world.ask(Request::finish, Buffer(32)).answer.refusal, Refusal::not_in_this_state);
}

TEST(WitnessTable, a_bad_policy_ends_the_round)
{
    World world;
    bring_to(world, State::measuring);
    EXPECT_FALSE(world.ask(Request::open_policy, Buffer(100)).good());
    EXPECT_EQ(world.ask(Request::next_measurement).answer.refusal, Refusal::not_in_this_state);
    EXPECT_EQ(world.ask(Request::finish, Buffer(32)).answer.refusal, Refusal::not_in_this_state);
}

} // namespace
} // namespace caisson::trusted::witness
