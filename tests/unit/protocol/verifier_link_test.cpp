#include "protocol/verifier_link.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace caisson::protocol::verifier_link {
namespace {

using Buffer = std::vector<std::uint8_t>;

const Buffer some(100, 0x11);

std::vector<Frame> one_of_each()
{
    Time time;
    time.nonce.bytes.fill(7);
    time.keys[0].bytes.fill(1);
    time.key_count = 1;
    TimeAnswer time_answer;
    time_answer.token = some;
    time_answer.results[0] = some;
    time_answer.result_count = 1;
    Verdict verdict;
    verdict.tier = TrustTier::contraindicated;
    verdict.reasons[0] = "/etc/hosts: changed";
    verdict.reason_count = 1;
    verdict.next_in_ms = 1000;
    return {{1, Enrol{{1, 2, 3}, "alpha", some, some, some}},
            {2, Hello{some, some}},
            {3, PolicyRequest{}},
            {4, Result{some}},
            {5, time},
            {6, Enrolled{"PEM"}},
            {7, Welcome{"alpha", 1000, 30000}},
            {8, Policy{some}},
            {UINT64_MAX, verdict},
            {10, time_answer},
            {12, RootOffer{some, some, some}},
            {13, RootChallenge{some, some}},
            {11, Refused{Kind::forbidden, "no"}}};
}

Buffer written(const Frame& frame)
{
    Buffer output(65536 * 4);
    const auto size = write_frame(output, frame);
    EXPECT_TRUE(size);
    output.resize(size ? *size : 0);
    return output;
}

Bytes body_of(const Buffer& frame)
{
    return Bytes(frame).subspan(frame_head_bytes);
}

TEST(VerifierLink, every_message_is_read_as_it_was_written)
{
    for (const auto& frame : one_of_each()) {
        const auto bytes = written(frame);
        const auto read = read_frame_body(body_of(bytes));
        ASSERT_TRUE(read) << read.error().what;
        EXPECT_EQ(read->request, frame.request);
        EXPECT_EQ(read->message.index(), frame.message.index());
        EXPECT_EQ(written(*read), bytes); // all fields, since the encoding is deterministic
    }
}

// [MEASURE-16]
TEST(VerifierLink, every_truncation_is_refused)
{
    for (const auto& frame : one_of_each()) {
        const auto bytes = written(frame);
        for (std::size_t size = 0; size + frame_head_bytes < bytes.size(); ++size) {
            EXPECT_FALSE(read_frame_body(body_of(bytes).first(size)));
        }
    }
}

// [MEASURE-16]
TEST(VerifierLink, a_flipped_bit_is_refused_or_is_another_valid_frame)
{
    for (const auto& frame : one_of_each()) {
        auto bytes = written(frame);
        for (std::size_t bit = frame_head_bytes * 8; bit < bytes.size() * 8; ++bit) {
            const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
            bytes[bit / 8] ^= mask;
            const auto read = read_frame_body(body_of(bytes));
            if (read) {
                EXPECT_EQ(written(*read), bytes) << bit;
            }
            bytes[bit / 8] ^= mask;
        }
    }
}

// [MEASURE-16]
TEST(VerifierLink, an_impossible_length_or_type_is_malformed)
{
    EXPECT_EQ(read_frame_head({0, 0, 0, 0}).error().kind, Kind::malformed);
    EXPECT_EQ(read_frame_head({0, 0x80, 0, 1}).error().kind, Kind::malformed);
    EXPECT_EQ(*read_frame_head({0, 0x80, 0, 0}), frame_bytes_max);
    EXPECT_EQ(read_frame_body(Buffer{0x82, 6, 0}).error().kind, Kind::malformed);
    EXPECT_EQ(read_frame_body(Buffer{0x81, 3}).error().kind, Kind::malformed);
}

// [MEASURE-16]
TEST(VerifierLink, bytes_after_the_end_are_malformed)
{
    for (const auto& frame : one_of_each()) {
        auto bytes = written(frame);
        bytes.push_back(0);
        EXPECT_FALSE(read_frame_body(body_of(bytes)));
    }
}

} // namespace
} // namespace caisson::protocol::verifier_link
