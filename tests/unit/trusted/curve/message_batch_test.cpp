// Groups of requests and runs of messages, with each kernel that this machine has.
#include "trusted/curve/message_batch.hpp"

#include "tests/unit/trusted/curve/request_group.hpp"

#include <set>

namespace caisson::trusted::curve::test {
namespace {

using airlock::Refusal;

class MessageBatchTest : public WithKernel {
  protected:
    MessageBatchTest() { talk_.complete(); }

    std::vector<Said> group(std::vector<Ask> asked) { return answer_together(*talk_.chamber, std::move(asked), left_); }
    Ask seal(std::string_view text, std::uint32_t flags = 0) const
    {
        return {Request::produce_message, join(talk_.client_session, u32(flags), bytes_of(text))};
    }
    Ask open(const Buffer& body) const { return {Request::process_message, join(talk_.server_session, body)}; }
    std::vector<Buffer> bodies(std::size_t count)
    {
        std::vector<Buffer> made;
        for (std::size_t index = 0; index < count; ++index) {
            made.push_back(talk_.message("message " + std::to_string(index)));
        }
        return made;
    }
    static Buffer opened(std::string_view text, std::uint32_t flags = 0) { return join(u32(flags), bytes_of(text)); }
    static Buffer opened_number(std::size_t index) { return opened("message " + std::to_string(index)); }
    bool server_lives() { return !talk_.ask(Request::close_session, join(talk_.server_session)).is(Kind::missing); }

    static Buffer sized(const Buffer& bytes) { return join(u32(static_cast<std::uint32_t>(bytes.size())), bytes); }
    Ask seal_run(const std::vector<std::string>& texts, std::uint32_t flags = 0) const
    {
        Buffer input = join(talk_.client_session);
        for (const auto& text : texts) {
            input = join(input, u32(static_cast<std::uint32_t>(text.size())), u32(flags), bytes_of(text));
        }
        return {Request::produce_messages, input, airlock::payload_bytes_max};
    }
    Ask open_run(const std::vector<Buffer>& made) const
    {
        Buffer input = join(talk_.server_session);
        for (const auto& body : made) {
            input = join(input, sized(body));
        }
        return {Request::process_messages, input, airlock::payload_bytes_max};
    }

    Talk talk_;
    std::vector<Buffer> left_; // the buffers of the last group, as the chamber left them
};

// [CURVE-43]
TEST_P(MessageBatchTest, a_group_of_messages_of_all_sizes_is_sealed_and_opens_in_order)
{
    std::vector<Ask> sealing;
    std::vector<std::string> texts;
    for (std::size_t index = 0; index < 40; ++index) {
        texts.emplace_back(index * index, static_cast<char>('a' + index % 26));
        sealing.push_back(seal(texts.back(), static_cast<std::uint32_t>(index % 3)));
    }
    std::vector<Ask> opening;
    for (const auto& sealed : group(sealing)) {
        ASSERT_TRUE(sealed.ok());
        opening.push_back(open(sealed.bytes));
    }
    const auto got = group(opening);
    for (std::size_t index = 0; index < got.size(); ++index) {
        EXPECT_EQ(got[index].bytes, opened(texts[index], static_cast<std::uint32_t>(index % 3))) << index;
    }
}

// [CURVE-43] [CURVE-2]
TEST_P(MessageBatchTest, a_box_that_does_not_open_ends_its_session_and_what_waits_behind_it_gets_nothing)
{
    auto made = bodies(6);
    made[3].back() ^= 1U;
    const auto said = group({open(made[0]), open(made[1]), open(made[2]), open(made[3]), open(made[4]), open(made[5])});
    for (std::size_t index = 0; index < 3; ++index) {
        EXPECT_EQ(said[index].bytes, opened_number(index));
    }
    EXPECT_TRUE(said[3].is(Kind::unauthentic));
    EXPECT_TRUE(said[4].is(Kind::missing));
    EXPECT_TRUE(said[5].is(Kind::missing));
    for (std::size_t index = 3; index < 6; ++index) {
        const auto text = opened_number(index);
        EXPECT_EQ(std::search(left_[index].begin(), left_[index].end(), text.begin() + 4, text.end()),
                  left_[index].end());
    }
    EXPECT_FALSE(server_lives());
}

// [CURVE-13]
TEST_P(MessageBatchTest, a_counter_that_comes_twice_in_a_group_ends_the_session_after_the_first_was_given)
{
    const auto made = bodies(4);
    const auto said = group({open(made[0]), open(made[1]), open(made[1]), open(made[2])});
    EXPECT_EQ(said[0].bytes, opened_number(0));
    EXPECT_EQ(said[1].bytes, opened_number(1));
    EXPECT_TRUE(said[2].is(Kind::malformed));
    EXPECT_TRUE(said[3].is(Kind::missing));
}

TEST_P(MessageBatchTest, another_session_of_the_group_goes_on)
{
    Talk& talk = talk_;
    const auto first_server = talk.server_session;
    auto made = bodies(1);
    made[0].back() ^= 1U;
    const Ask wrong{Request::process_message, join(first_server, made[0])};
    talk.complete();
    const auto other = bodies(2);
    const auto said = group({open(other[0]), wrong, open(other[1])});
    EXPECT_TRUE(said[0].ok());
    EXPECT_TRUE(said[1].is(Kind::unauthentic));
    EXPECT_TRUE(said[2].ok());
}

TEST_P(MessageBatchTest, what_is_no_message_takes_effect_between_those_before_and_behind_it)
{
    const auto said = group({seal("before"), {Request::close_session, join(talk_.client_session)}, seal("behind")});
    EXPECT_TRUE(said[0].ok());
    EXPECT_TRUE(said[1].ok());
    EXPECT_TRUE(said[2].is(Kind::missing));
}

TEST_P(MessageBatchTest, what_a_single_message_may_not_be_it_may_not_be_in_a_group)
{
    auto no_room = seal("text");
    no_room.room = 36;
    auto short_body = bodies(1)[0];
    short_body.resize(33);
    const Ask unknown{Request::produce_message, join(u32(77), u32(0), bytes_of("x"))};
    const Ask not_open{Request::produce_message, join(talk_.client_session, u32(4), bytes_of("x"))};
    const auto said = group({seal("one"), no_room, unknown, not_open, seal("two")});
    EXPECT_TRUE(said[0].ok());
    EXPECT_TRUE(said[1].is(Kind::exhausted));
    EXPECT_TRUE(said[2].is(Kind::missing));
    EXPECT_TRUE(said[3].is(Kind::malformed));
    EXPECT_TRUE(said[4].ok());
    const auto opened_again = group({open(said[0].bytes), open(said[4].bytes)});
    EXPECT_TRUE(opened_again[0].ok() && opened_again[1].ok());
    const Ask hello{Request::produce_message,
                    join(talk_.ask(Request::open_client, join(talk_.client.id, talk_.server.public_key.bytes)).bytes,
                         u32(0), bytes_of("x"))};
    EXPECT_EQ(group({hello})[0].refusal, Refusal::not_in_this_state);
}

TEST_P(MessageBatchTest, a_group_of_key_pairs_has_as_many_keys_and_each_is_behind_its_handle)
{
    const auto said = group(std::vector<Ask>(group_requests_max, {Request::box_keypair, {}}));
    std::set<Buffer> seen;
    for (const auto& pair : said) {
        ASSERT_EQ(pair.bytes.size(), CurveKey::size + Handle::size);
        const Buffer handle(pair.bytes.begin() + CurveKey::size, pair.bytes.end());
        EXPECT_EQ(talk_.ask(Request::scalarmult_base, handle).bytes,
                  Buffer(pair.bytes.begin(), pair.bytes.begin() + CurveKey::size));
        EXPECT_TRUE(seen.insert(handle).second);
    }
    // The public key is the secret's: libsodium opens what the chamber boxes with it.
    CurveKey own;
    ByteArray<32> secret;
    crypto_box_keypair(own.bytes.data(), secret.data());
    const auto& last = said.back().bytes;
    const auto nonce = protocol::curve::short_nonce(protocol::curve::hello_nonce, 1);
    const auto box = talk_.ask(Request::box, join(Bytes(last).subspan(32), own.bytes, nonce, ByteArray<64>{})).bytes;
    ByteArray<64> text;
    ASSERT_EQ(box.size(), text.size() + 16);
    EXPECT_EQ(crypto_box_open_easy(text.data(), box.data(), box.size(), nonce.data(), last.data(), secret.data()), 0);
}

TEST_P(MessageBatchTest, a_pair_without_room_or_with_unknown_flags_is_refused_alone)
{
    const auto said =
        group({{Request::box_keypair, {}}, {Request::box_keypair, {}, 63}, {Request::box_keypair, join(u32(2))}});
    EXPECT_TRUE(said[0].ok());
    EXPECT_TRUE(said[1].is(Kind::exhausted));
    EXPECT_TRUE(said[2].is(Kind::malformed));
}

// [CURVE-44]
TEST_P(MessageBatchTest, a_run_of_messages_is_what_the_messages_would_be_one_by_one)
{
    std::vector<std::string> texts;
    for (std::size_t index = 0; index < airlock::curve::messages_per_request_max; ++index) {
        texts.emplace_back(index * 7, static_cast<char>('a' + index % 26));
    }
    const auto run = group({seal_run(texts, 1)})[0];
    ASSERT_TRUE(run.ok());
    std::vector<Buffer> made;
    Buffer expected;
    Bytes rest(run.bytes);
    for (const auto& text : texts) {
        const auto size = text.size() + airlock::curve::message_head_bytes;
        made.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
        rest = rest.subspan(size);
        expected = join(expected, opened(text, 1));
    }
    EXPECT_TRUE(rest.empty());
    const auto singles = group({open(made[0]), open(made[1])});
    EXPECT_EQ(singles[0].bytes, opened(texts[0], 1));
    EXPECT_EQ(singles[1].bytes, opened(texts[1], 1));
    expected.erase(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(4 + 4 + texts[1].size()));
    EXPECT_EQ(group({open_run({made.begin() + 2, made.end()})})[0].bytes, expected);
}

// Runs go through the kernel in parts.
TEST_P(MessageBatchTest, a_run_of_any_length_opens_as_it_was_sealed)
{
    for (const std::size_t count : {1, 31, 32, 33, 34, 35, 63, 64}) {
        std::vector<std::string> texts;
        Buffer expected;
        for (std::size_t index = 0; index < count; ++index) {
            texts.push_back("message " + std::to_string(count * 100 + index));
            expected = join(expected, opened(texts.back()));
        }
        const auto run = group({seal_run(texts)})[0];
        ASSERT_TRUE(run.ok()) << count;
        std::vector<Buffer> made;
        Bytes rest(run.bytes);
        for (const auto& text : texts) {
            const auto body = rest.first(text.size() + airlock::curve::message_head_bytes);
            made.emplace_back(body.begin(), body.end());
            rest = rest.subspan(body.size());
        }
        EXPECT_EQ(group({open_run(made)})[0].bytes, expected) << count;
    }
}

// [CURVE-44] [CURVE-2]
TEST_P(MessageBatchTest, what_is_wrong_in_a_later_part_of_a_run_takes_nothing_from_the_parts_before)
{
    auto made = bodies(40);
    made[36].back() ^= 1U;
    Buffer expected;
    for (std::size_t index = 0; index < 36; ++index) {
        expected = join(expected, opened_number(index));
    }
    EXPECT_EQ(group({open_run(made)})[0].bytes, expected);
    EXPECT_FALSE(server_lives());
}

// [CURVE-44]
TEST_P(MessageBatchTest, a_run_to_seal_is_all_or_nothing_and_takes_no_counter_when_it_is_nothing)
{
    const auto whole = seal_run({"one", "two", "three"});
    for (std::size_t cut = 1; cut < whole.input.size() - 4; ++cut) { // a cut between two messages leaves a run
        auto truncated = whole;
        truncated.input.resize(whole.input.size() - cut);
        const bool boundary = cut == 8 + 5 || cut == 8 + 5 + 8 + 3;
        if (!boundary && truncated.input.size() >= 12) {
            EXPECT_FALSE(group({truncated})[0].ok()) << cut;
        }
    }
    EXPECT_TRUE(group({seal_run({"one", "two"}, 4)})[0].is(Kind::malformed));
    EXPECT_TRUE(group({seal_run(std::vector<std::string>(65, "x"))})[0].is(Kind::malformed));
    auto no_room = whole;
    no_room.room = 3 * 33 + 10;
    EXPECT_TRUE(group({no_room})[0].is(Kind::exhausted));
    const auto next = group({whole})[0];
    ASSERT_TRUE(next.ok());
    EXPECT_EQ(next.bytes[15], 3) << "behind HELLO 1 and INITIATE 2; nothing since";
}

// [CURVE-44] [CURVE-2]
TEST_P(MessageBatchTest, a_run_to_open_gives_what_stands_before_the_first_that_is_wrong_and_ends_the_session)
{
    auto made = bodies(5);
    made[2].back() ^= 1U;
    const auto said = group({open_run(made), open(made[3])});
    EXPECT_EQ(said[0].bytes, join(opened_number(0), opened_number(1)));
    EXPECT_TRUE(said[1].is(Kind::missing));
    const auto wrong = opened_number(3);
    EXPECT_EQ(std::search(left_[0].begin(), left_[0].end(), wrong.begin() + 4, wrong.end()), left_[0].end());
}

TEST_P(MessageBatchTest, a_run_to_open_whose_first_is_wrong_is_refused_and_ends_the_session)
{
    auto made = bodies(3);
    made[0].back() ^= 1U;
    EXPECT_TRUE(group({open_run(made)})[0].is(Kind::unauthentic));
    EXPECT_FALSE(server_lives());
}

TEST_P(MessageBatchTest, a_run_to_open_with_a_counter_twice_ends_there)
{
    const auto made = bodies(3);
    EXPECT_EQ(group({open_run({made[0], made[1], made[0], made[2]})})[0].bytes,
              join(opened_number(0), opened_number(1)));
    EXPECT_FALSE(server_lives());
}

TEST_P(MessageBatchTest, a_run_to_open_that_is_malformed_ends_the_session_and_opens_nothing)
{
    const auto made = bodies(2);
    auto truncated = open_run(made);
    truncated.input.pop_back();
    EXPECT_FALSE(group({truncated})[0].ok());
    EXPECT_FALSE(server_lives());
}

// [CURVE-13]
TEST_P(MessageBatchTest, a_sender_stops_below_the_last_counter_and_a_run_that_would_reach_it_is_refused_whole)
{
    MessageBatch batch;
    LinesAhead ahead;
    tests::TestArena room;
    Sessions sessions(room.arena());
    Session& session = **sessions.open(0);
    const auto seal_one = [&] {
        Buffer input = join(u32(session.id), u32(0), bytes_of("x"));
        Buffer output(64);
        airlock::Exchange exchange{0, input, output, {}};
        const auto joined = batch.add_sealing(exchange, session);
        batch.run(sessions);
        return joined;
    };
    const auto seal_some = [&](std::size_t count) {
        Buffer input = join(u32(session.id));
        for (std::size_t index = 0; index < count; ++index) {
            input = join(input, u32(1), u32(0), bytes_of("x"));
        }
        Buffer output(64 * count);
        airlock::Exchange exchange{0, input, output, {}};
        EXPECT_EQ(*batch.lay_out_sealing(exchange), count);
        return batch.seal_run(session, exchange, count, ahead);
    };
    session.sent = counter_max - 2;
    EXPECT_TRUE(seal_one());
    EXPECT_EQ(session.sent, counter_max - 1);
    EXPECT_EQ(seal_one().error().kind, Kind::exhausted);
    EXPECT_EQ(session.sent, counter_max - 1);
    EXPECT_FALSE(seal_some(1));

    session.sent = counter_max - 3;
    EXPECT_EQ(seal_some(3).error().kind, Kind::exhausted);
    EXPECT_EQ(session.sent, counter_max - 3) << "a run that is refused takes no counter";
    EXPECT_TRUE(seal_some(2));
    EXPECT_EQ(session.sent, counter_max - 1);
}

// A server whose gate permits three messages.
struct GatedRuns : MessageBatchTest {
    GatedRuns()
    {
        talk_.server = talk_.new_key(true);
        talk_.ask(Request::open_client, join(talk_.server.id, talk_.client.public_key.bytes)); // its gate stands now
        protocol::TimeNonce nonce;
        copy_bytes(nonce.bytes, talk_.ask(Request::time_nonce, {}).bytes);
        Buffer token(protocol::time_token_bytes_max);
        token.resize(*protocol::write_time_token(token, talk_.verifier.secret, {nonce, 10'000, 60'000, 3}));
        EXPECT_TRUE(talk_.ask(Request::accept_time_token, token).ok());
        protocol::AttestationResult result;
        result.issued_ms = 9'000;
        result.expires_ms = 60'000;
        result.status = protocol::TrustTier::affirming;
        result.key_count = 1;
        result.keys[0].key = talk_.client.public_key;
        result.keys[0].platform = protocol::sgx::Platform::process;
        Buffer document(protocol::attestation_result_bytes_max);
        document.resize(*protocol::write_attestation_result(document, talk_.verifier.secret, result));
        EXPECT_TRUE(talk_.ask(Request::accept_result, document).ok());
        talk_.complete();
    }
    // Messages of an ungated pair, one by one and as a run.
    void expect_others_go_on()
    {
        talk_.server = talk_.new_key(false);
        talk_.complete();
        const auto sealed = group({seal("single"), seal("another")});
        EXPECT_EQ(group({open(sealed[0].bytes)})[0].bytes, opened("single"));
        EXPECT_EQ(group({open_run({sealed[1].bytes})})[0].bytes, opened("another"));
    }
};

// [CURVE-23] [CURVE-44]
TEST_P(GatedRuns, a_run_to_open_of_which_the_gate_permits_a_part_gives_nothing_and_ends_its_session_alone)
{
    EXPECT_TRUE(group({open_run(bodies(5))})[0].is(Kind::expired));
    EXPECT_FALSE(server_lives());
    expect_others_go_on();
}

// [CURVE-23] [CURVE-44]
TEST_P(GatedRuns, a_run_to_seal_of_which_the_gate_permits_a_part_seals_nothing_and_ends_its_session_alone)
{
    auto run = seal_run({"1", "2", "3", "4", "5"});
    copy_bytes(run.input, talk_.server_session);
    EXPECT_TRUE(group({run})[0].is(Kind::expired));
    EXPECT_FALSE(server_lives());
    expect_others_go_on();
}

INSTANTIATE_TEST_SUITE_P(EachKernel, MessageBatchTest, testing::ValuesIn(kernels_here()));
INSTANTIATE_TEST_SUITE_P(EachKernel, GatedRuns, testing::ValuesIn(kernels_here()));

} // namespace
} // namespace caisson::trusted::curve::test
