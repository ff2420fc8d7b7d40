// What goes to the chamber as one request and what alone, and what is believed of the answers. The chamber is played by
// the test.
#include "services/gateway/voyage.hpp"

#include "core/wire.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <functional>

namespace caisson::services::gateway {
namespace {

using airlock::curve::Request;
using host::enclave::Enclave;
using host::enclave::EnclaveFacts;
using Octets = std::vector<std::uint8_t>;

// Keeps what it was asked, and answers it when it is asked for.
class PlayedEnclave final : public Enclave {
  public:
    struct Asked {
        Request request{};
        Octets input;
        std::size_t room = 0;
    };
    using Answers = std::function<Result<Octets>(const Asked&)>;

    Result<std::size_t> call(std::uint32_t /*request*/, Bytes /*input*/, MutableBytes /*output*/) override
    {
        return fail(Kind::forbidden, "no voyage does this");
    }
    void call_many(std::span<Call> calls) override
    {
        take(calls);
        give();
    }
    [[nodiscard]] Flight submit(std::span<Call> calls) override
    {
        const auto taken = std::min(calls.size(), free_slots);
        free_slots -= taken;
        take(calls.first(taken));
        return {++flights, taken};
    }
    void reap(const Flight& /*flight*/) override { give(); }
    void release(const Flight& /*flight*/) override { lent.clear(); }
    [[nodiscard]] const EnclaveFacts& facts() const noexcept override { return facts_; }
    [[nodiscard]] bool alive() noexcept override { return true; }
    [[nodiscard]] int ring_fd() const noexcept override { return -1; }

    Answers answers;
    std::vector<Asked> asked;
    std::size_t free_slots = SIZE_MAX;
    std::uint64_t flights = 0;
    std::deque<Octets> lent;

  private:
    void take(std::span<Call> calls)
    {
        for (auto& call : calls) {
            Asked one{static_cast<Request>(call.request), Octets(call.input.begin(), call.input.end()),
                      call.lent_bytes + call.output.size() + call.more_output.bytes()};
            EXPECT_FALSE(call.is_wiped) << "twice the work for nothing";
            for (const auto& piece : call.more_input.list()) {
                one.input.insert(one.input.end(), piece.begin(), piece.end());
            }
            asked.push_back(std::move(one));
            waiting_.push_back(&call);
        }
    }
    void give()
    {
        for (std::size_t index = 0; index < waiting_.size(); ++index) {
            auto& call = *waiting_[index];
            const auto answer = answers(asked[asked.size() - waiting_.size() + index]);
            if (!answer) {
                call.result = std::unexpected(answer.error());
                continue;
            }
            if (call.lent_bytes > 0) {
                call.answer = lent.emplace_back(*answer);
            }
            Bytes rest(*answer);
            for (const auto& piece : call.more_output.list()) {
                const auto count = std::min(piece.size(), rest.size());
                copy_bytes(piece, rest.first(count));
                rest = rest.subspan(count);
            }
            call.result = answer->size();
        }
        waiting_.clear();
    }

    EnclaveFacts facts_;
    std::vector<Call*> waiting_;
};

class VoyageTest : public testing::Test {
  protected:
    VoyageTest()
    {
        enclave_.answers = [](const PlayedEnclave::Asked& asked) -> Result<Octets> { return Octets(asked.room, 1); };
    }
    Voyage::Ticket process(std::uint32_t session, std::size_t text_bytes = 10)
    {
        return voyage_.process(session, Bytes(body_).first(text_bytes + 33), MutableBytes(text_).first(text_bytes));
    }
    Voyage::Ticket produce(std::uint32_t session, std::uint32_t flags = 0, Bytes first = {})
    {
        return voyage_.produce({session, flags, first, Bytes(text_).first(10)},
                               MutableBytes(body_).first(43 + first.size()));
    }

    PlayedEnclave enclave_;
    Voyage voyage_{enclave_};
    Octets body_ = Octets(300'000, 7);
    Octets text_ = Octets(300'000, 5);
};

TEST_F(VoyageTest, messages_of_one_session_and_direction_are_one_request)
{
    process(1);
    process(1);
    produce(1);
    produce(1);
    produce(2);
    produce(2);
    voyage_.sail();
    ASSERT_EQ(enclave_.asked.size(), 3U);
    EXPECT_EQ(enclave_.asked[0].request, Request::process_messages);
    EXPECT_EQ(enclave_.asked[0].input.size(), 4 + 2 * (4 + 43U));
    EXPECT_EQ(enclave_.asked[0].room, 2 * (4 + 10U));
    EXPECT_EQ(enclave_.asked[1].request, Request::produce_messages);
    EXPECT_EQ(enclave_.asked[1].input.size(), 4 + 2 * (8 + 10U));
    EXPECT_EQ(enclave_.asked[2].input[0], 2);
}

TEST_F(VoyageTest, a_message_alone_is_the_request_for_one_so_that_those_of_many_sessions_are_worked_on_together)
{
    const Octets octet{1};
    process(3);
    produce(4, airlock::curve::message_more, octet);
    voyage_.sail();
    ASSERT_EQ(enclave_.asked.size(), 2U);
    EXPECT_EQ(enclave_.asked[0].request, Request::process_message);
    Octets wanted{3, 0, 0, 0};
    wanted.insert(wanted.end(), 43, 7);
    EXPECT_EQ(enclave_.asked[0].input, wanted);
    EXPECT_EQ(enclave_.asked[1].request, Request::produce_message);
    wanted = {4, 0, 0, 0, airlock::curve::message_more, 0, 0, 0, 1};
    wanted.insert(wanted.end(), 10, 5);
    EXPECT_EQ(enclave_.asked[1].input, wanted);
}

TEST_F(VoyageTest, no_request_has_more_messages_or_octets_than_one_may_have)
{
    for (std::size_t count = 0; count < 130; ++count) {
        process(1);
    }
    process(1, airlock::message_bytes_max);
    process(1, airlock::message_bytes_max);
    voyage_.sail();
    ASSERT_EQ(enclave_.asked.size(), 5U);
    for (const auto& asked : enclave_.asked) {
        EXPECT_LE(asked.input.size(), airlock::payload_bytes_max);
        EXPECT_LE(asked.room, airlock::payload_bytes_max);
    }
    EXPECT_EQ(enclave_.asked[3].request, Request::process_message);
}

TEST_F(VoyageTest, a_large_message_is_a_request_of_its_own_whose_answer_is_looked_at_where_it_is)
{
    const auto before = process(1);
    const auto opened = voyage_.process_lent(1, Bytes(body_).first(65'569), 65'536);
    const auto behind = process(1);
    const Octets octet{1};
    const auto sealed =
        voyage_.produce_lent({1, airlock::curve::message_more, octet, Bytes(text_).first(65'536)}, 65'537 + 33);
    enclave_.answers = [](const PlayedEnclave::Asked& asked) -> Result<Octets> {
        Octets answer(asked.room, 9);
        answer[0] = 2;
        return answer;
    };
    voyage_.sail();
    ASSERT_EQ(enclave_.asked.size(), 4U);
    EXPECT_EQ(enclave_.asked[1].request, Request::process_message);
    EXPECT_EQ(enclave_.asked[1].input.size(), 4 + 65'569U);
    EXPECT_EQ(enclave_.asked[1].room, 4 + 65'536U);
    EXPECT_EQ(enclave_.asked[3].request, Request::produce_message);
    EXPECT_EQ(enclave_.asked[3].input.size(), 4 + 4 + 65'537U);
    for (const auto ticket : {before, opened, behind, sealed}) {
        EXPECT_TRUE(voyage_.outcome(ticket));
    }
    enclave_.lent[0].assign(4 + 65'536, 8); // the chamber writes there again
    EXPECT_EQ(voyage_.flags(opened), 0x09090902U) << "read once";
    EXPECT_EQ(voyage_.lent(opened).size(), 65'536U);
    EXPECT_EQ(voyage_.lent(opened).data(), enclave_.lent[0].data() + 4);
    EXPECT_EQ(voyage_.lent(sealed).size(), 65'570U);
    EXPECT_EQ(voyage_.lent(sealed).data(), enclave_.lent[1].data());
    voyage_.clear();
    EXPECT_TRUE(enclave_.lent.empty()) << "released";
}

TEST_F(VoyageTest, what_a_full_ring_does_not_take_with_large_messages_is_asked_behind_it)
{
    const auto large = voyage_.process_lent(1, Bytes(body_).first(65'569), 65'536);
    const auto small = process(2);
    const auto last = voyage_.process_lent(1, Bytes(body_).first(20'033), 20'000);
    enclave_.free_slots = 1;
    voyage_.sail();
    EXPECT_EQ(enclave_.asked.size(), 3U);
    for (const auto ticket : {large, small, last}) {
        EXPECT_TRUE(voyage_.outcome(ticket));
    }
    EXPECT_EQ(voyage_.lent(last).size(), 20'000U);
}

TEST_F(VoyageTest, a_large_message_that_is_refused_or_cut_is_none)
{
    const auto refused = voyage_.process_lent(1, Bytes(body_).first(65'569), 65'536);
    const auto cut = voyage_.process_lent(2, Bytes(body_).first(65'569), 65'536);
    enclave_.answers = [](const PlayedEnclave::Asked& asked) -> Result<Octets> {
        return asked.input[0] == 1 ? Result<Octets>(fail(Kind::unauthentic, "no")) : Octets(asked.room - 1, 1);
    };
    voyage_.sail();
    EXPECT_EQ(voyage_.outcome(refused).error().kind, Kind::unauthentic);
    EXPECT_TRUE(voyage_.lent(refused).empty());
    EXPECT_EQ(voyage_.outcome(cut).error().kind, Kind::unauthentic);
}

TEST_F(VoyageTest, of_a_run_that_breaks_what_came_before_is_good_and_nothing_behind)
{
    const auto first = process(1);
    const auto second = process(1);
    const auto third = process(1);
    const auto other = process(2);
    enclave_.answers = [](const PlayedEnclave::Asked& asked) -> Result<Octets> {
        return Octets(asked.request == Request::process_messages ? 14 : asked.room, 1);
    };
    voyage_.sail();
    EXPECT_TRUE(voyage_.outcome(first));
    EXPECT_EQ(voyage_.outcome(second).error().kind, Kind::unauthentic);
    EXPECT_EQ(voyage_.outcome(third).error().kind, Kind::unauthentic);
    EXPECT_TRUE(voyage_.outcome(other));
    EXPECT_EQ(voyage_.flags(first), 0x01010101U);
}

TEST_F(VoyageTest, an_answer_that_is_cut_within_a_message_is_none_of_it)
{
    const auto first = process(1);
    const auto second = process(1);
    enclave_.answers = [](const PlayedEnclave::Asked& asked) -> Result<Octets> { return Octets(asked.room - 1, 1); };
    voyage_.sail();
    EXPECT_TRUE(voyage_.outcome(first));
    EXPECT_FALSE(voyage_.outcome(second));
}

TEST_F(VoyageTest, a_refusal_is_that_of_every_message_of_its_request)
{
    const auto first = produce(1);
    const auto second = produce(1);
    enclave_.answers = [](const PlayedEnclave::Asked&) -> Result<Octets> { return fail(Kind::expired, "not now"); };
    voyage_.sail();
    EXPECT_EQ(voyage_.outcome(first).error().kind, Kind::expired);
    EXPECT_EQ(voyage_.outcome(second).error().kind, Kind::expired);
}

TEST_F(VoyageTest, it_holds_so_many_messages_each_way_and_is_empty_when_cleared)
{
    for (std::uint32_t count = 0; count < Voyage::messages_max; ++count) {
        process(count + 1, 0);
    }
    EXPECT_EQ(voyage_.room_for_messages(), 0U);
    voyage_.sail();
    EXPECT_EQ(enclave_.asked.size(), Voyage::messages_max);
    voyage_.clear();
    EXPECT_EQ(voyage_.room_for_messages(), Voyage::messages_max);
}

} // namespace
} // namespace caisson::services::gateway
