#include "tests/unit/trusted/curve/e2e_world.hpp"

#include <algorithm>

namespace caisson::trusted::curve::test {
namespace {

struct LetterTest : ::testing::Test, E2eWorld {
    Key third = new_key(false);

    LetterTest()
    {
        for (const auto& key : {server, third}) {
            EXPECT_TRUE(ask(Request::e2e_allow_sender, join(key.id, client.public_key.bytes)).ok());
        }
    }
    Buffer letter(std::string_view text, std::uint64_t clock = 1)
    {
        return ask(Request::e2e_produce_letter, join(client.id, u64(clock), u32(3), u32(2), server.public_key.bytes,
                                                     third.public_key.bytes, bytes_of(text)))
            .bytes;
    }
    Said open_for(const Key& key, const Buffer& packet_bytes)
    {
        return ask(Request::e2e_process_letter, join(key.id, packet_bytes));
    }
};

constexpr std::size_t text_at = CurveKey::size + 8 + 4;

TEST_F(LetterTest, a_letter_opens_once_for_each_recipient_and_names_its_sender) // [E2E-20] [E2E-22]
{
    const auto packet_bytes = letter("come at nine");
    for (const auto& key : {server, third}) {
        const auto said = open_for(key, packet_bytes);
        ASSERT_TRUE(said.ok());
        EXPECT_EQ(text_of(Bytes(said.bytes).subspan(text_at)), "come at nine");
        EXPECT_EQ(Buffer(said.bytes.begin(), said.bytes.begin() + 32), join(client.public_key.bytes));
        EXPECT_TRUE(open_for(key, packet_bytes).is(Kind::expired));
    }
}
TEST_F(LetterTest, neither_text_nor_sender_nor_recipients_are_in_a_letter) // [E2E-20]
{
    const auto packet_bytes = letter("a text nobody else reads");
    const auto holds = [&packet_bytes](Bytes bytes) {
        return std::search(packet_bytes.begin(), packet_bytes.end(), bytes.begin(), bytes.end()) != packet_bytes.end();
    };
    EXPECT_FALSE(holds(bytes_of("nobody else")));
    EXPECT_FALSE(holds(client.public_key.bytes));
    EXPECT_FALSE(holds(server.public_key.bytes));
}
TEST_F(LetterTest, no_changed_or_shortened_letter_opens_and_the_true_one_still_does) // [E2E-20]
{
    const auto whole = letter("text");
    constexpr auto second_slot = e2e::head_bytes + CurveKey::size + 2 + e2e::letter_slot_bytes;
    for (std::size_t octet = 0; octet < whole.size(); ++octet) {
        auto changed = whole;
        changed[octet] ^= 1U;
        if (octet < second_slot || octet >= second_slot + e2e::letter_slot_bytes) {
            EXPECT_FALSE(open_for(server, changed).ok()) << octet;
        }
        EXPECT_FALSE(open_for(server, Buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octet))).ok());
    }
    EXPECT_TRUE(open_for(server, whole).ok());
}
TEST_F(LetterTest, a_recipient_cannot_give_a_letter_another_content_for_the_others) // [E2E-16] [E2E-20]
{
    // A recipient knows the content's key. What he seals under it has another digest than the others' slots say.
    const auto one = letter("aaaa");
    const auto two = letter("bbbb");
    const auto content = static_cast<std::ptrdiff_t>(e2e::head_bytes + CurveKey::size + 2 + 2 * e2e::letter_slot_bytes);
    auto mixed = one;
    std::copy(two.begin() + content, two.end(), mixed.begin() + content);
    EXPECT_TRUE(open_for(third, mixed).is(Kind::unauthentic));
    EXPECT_TRUE(open_for(third, one).ok());
}
TEST_F(LetterTest, who_is_no_recipient_opens_nothing) // [E2E-20]
{
    const auto other = new_key(false);
    EXPECT_TRUE(open_for(other, letter("x")).is(Kind::missing));
}
TEST_F(LetterTest, letters_of_senders_whom_nobody_allowed_are_refused) // [E2E-21]
{
    const auto stranger = new_key(false);
    const auto packet_bytes = ask(Request::e2e_produce_letter,
                                  join(stranger.id, u64(1), u32(3), u32(1), server.public_key.bytes, bytes_of("x")))
                                  .bytes;
    EXPECT_TRUE(open_for(server, packet_bytes).is(Kind::forbidden));
    const auto known = letter("y");
    ASSERT_TRUE(ask(Request::e2e_refuse_sender, join(server.id, client.public_key.bytes)).ok());
    EXPECT_TRUE(open_for(server, known).is(Kind::forbidden));
}
TEST_F(LetterTest, letters_come_in_any_order_and_too_old_ones_are_refused) // [E2E-22]
{
    std::vector<Buffer> letters;
    for (std::size_t index = 0; index < Correspondent::numbers_max + 1; ++index) {
        letters.push_back(letter(std::to_string(index)));
    }
    for (std::size_t index = letters.size(); index > 1; --index) {
        EXPECT_TRUE(open_for(server, letters[index - 1]).ok());
    }
    EXPECT_TRUE(open_for(server, letters[0]).ok()); // below all of them, but nothing was forgotten yet
    for (const auto& one : letters) {
        EXPECT_TRUE(open_for(server, one).is(Kind::expired));
    }
}
TEST(CorrespondentTest, what_is_forgotten_is_never_new_again) // [E2E-22]
{
    Correspondent one;
    for (std::uint64_t number = 1000; number > 1000 - Correspondent::numbers_max; --number) {
        ASSERT_TRUE(one.is_new(number));
        one.take(number);
    }
    one.take(2000);
    EXPECT_FALSE(one.is_new(1000 - Correspondent::numbers_max + 1));
    EXPECT_FALSE(one.is_new(1));
    EXPECT_FALSE(one.is_new(1000));
    EXPECT_TRUE(one.is_new(1500));
}
TEST_F(LetterTest, numbers_rise_also_when_the_clock_of_the_host_stands_or_falls) // [E2E-23]
{
    std::uint64_t last = 0;
    for (const std::uint64_t clock : {100U, 100U, 50U, 0U, 200U}) {
        const auto said = open_for(server, letter("x", clock));
        ASSERT_TRUE(said.ok());
        std::uint64_t number = 0;
        std::memcpy(&number, said.bytes.data() + CurveKey::size, sizeof number);
        EXPECT_GT(number, last);
        last = number;
    }
    EXPECT_EQ(last, 200U);
    const auto beyond = ask(Request::e2e_produce_letter,
                            join(client.id, u64(std::uint64_t{1} << 63U), u32(3), u32(1), server.public_key.bytes));
    EXPECT_TRUE(beyond.is(Kind::exhausted));
}
TEST_F(LetterTest, a_restarted_chamber_with_the_sealed_state_refuses_what_came_before) // [E2E-24]
{
    const auto before = letter("before");
    const auto waiting = letter("waiting");
    ASSERT_TRUE(open_for(server, before).ok());
    const auto state = ask(Request::e2e_seal_sender, join(server.id, client.public_key.bytes));
    ASSERT_TRUE(state.ok());
    const auto key = ask(Request::export_sealed_private_key, join(server.id)).bytes;
    restart();
    const auto loaded = ask(Request::import_sealed_private_key, key);
    copy_bytes(server.id, Bytes(loaded.bytes).first(4));
    const auto put_back = [this](const Buffer& sealed) {
        return ask(Request::e2e_unseal_sender, join(server.id, client.public_key.bytes, sealed));
    };
    EXPECT_TRUE(put_back(state.bytes).is(Kind::forbidden)); // allow it first
    ASSERT_TRUE(ask(Request::e2e_allow_sender, join(server.id, client.public_key.bytes)).ok());
    ASSERT_TRUE(put_back(state.bytes).ok());
    EXPECT_TRUE(open_for(server, before).is(Kind::expired));
    EXPECT_TRUE(open_for(server, waiting).ok());
    ASSERT_TRUE(put_back(state.bytes).ok()); // an older state takes nothing back
    EXPECT_TRUE(open_for(server, waiting).is(Kind::expired));
}
TEST_F(LetterTest, no_changed_state_and_no_state_of_others_is_put_back) // [E2E-24]
{
    const auto state = ask(Request::e2e_seal_sender, join(server.id, client.public_key.bytes)).bytes;
    for (std::size_t octet = 0; octet < state.size(); ++octet) {
        auto changed = state;
        changed[octet] ^= 1U;
        EXPECT_FALSE(ask(Request::e2e_unseal_sender, join(server.id, client.public_key.bytes, changed)).ok());
    }
    ASSERT_TRUE(ask(Request::e2e_allow_sender, join(server.id, third.public_key.bytes)).ok());
    EXPECT_TRUE(ask(Request::e2e_unseal_sender, join(server.id, third.public_key.bytes, state)).is(Kind::malformed));
    EXPECT_TRUE(ask(Request::e2e_unseal_sender, join(third.id, client.public_key.bytes, state)).is(Kind::unauthentic));
}
TEST_F(LetterTest, there_are_so_many_senders_and_a_refused_one_makes_room) // [E2E-21]
{
    CurveKey sender;
    const auto allow = [&] { return ask(Request::e2e_allow_sender, join(server.id, sender.bytes)); };
    std::size_t count = 2;
    for (; count < airlock::curve::e2e_correspondents_max; ++count) {
        sender.bytes[0] = static_cast<std::uint8_t>(count);
        ASSERT_TRUE(allow().ok());
    }
    sender.bytes[0] = 255;
    EXPECT_TRUE(allow().is(Kind::exhausted));
    ASSERT_TRUE(ask(Request::e2e_refuse_sender, join(third.id, client.public_key.bytes)).ok());
    EXPECT_TRUE(allow().ok());
}
TEST_F(LetterTest, counts_of_recipients_that_lie_are_refused) // [E2E-1]
{
    auto packet_bytes = letter("x");
    const auto count_at = e2e::head_bytes + CurveKey::size;
    for (const unsigned count : {0U, 1U, 3U, 255U}) {
        packet_bytes[count_at + 1] = static_cast<std::uint8_t>(count);
        EXPECT_FALSE(open_for(server, packet_bytes).ok()) << count;
    }
    packet_bytes[count_at] = 255;
    EXPECT_TRUE(open_for(server, packet_bytes).is(Kind::malformed));
}

} // namespace
} // namespace caisson::trusted::curve::test
