#include "protocol/node_link.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace caisson::protocol::node_link {
namespace {

using Buffer = std::vector<std::uint8_t>;

const Buffer report(sizeof(sgx::Report), 0x11);
const Buffer target(sizeof(sgx::TargetInfo), 0x22);
const Buffer token(60, 0x33);
const Buffer result(500, 0x44);

std::vector<Frame> one_of_each()
{
    Time time;
    time.nonce.bytes.fill(7);
    time.keys[0].bytes.fill(1);
    time.keys[1].bytes.fill(2);
    time.key_count = 2;
    TimeAnswer time_answer;
    time_answer.token = token;
    time_answer.results[0] = result;
    time_answer.result_count = 1;
    StatusAnswer status;
    status.node = "alpha";
    status.server = "127.0.0.1:9999";
    status.connected = true;
    status.tier = TrustTier::contraindicated;
    status.verdict_age_ms = 12;
    status.rounds = 3;
    status.keys = 1;
    status.text = "/etc/hosts changed";
    status.missing = "own namespaces: Operation not permitted";
    CurveKey key;
    key.bytes.fill(9);
    return {{1, WitnessTarget{}},
            {2, Register{key, report}},
            {3, time},
            {UINT64_MAX, Status{}},
            {5, WitnessTargetAnswer{target}},
            {6, RegisterAnswer{}},
            {7, time_answer},
            {8, status},
            {9, Refused{Kind::unauthentic, "no"}}};
}

Buffer written(const Frame& frame)
{
    Buffer output(frame_head_bytes + frame_bytes_max);
    const auto size = write_frame(output, frame);
    EXPECT_TRUE(size);
    output.resize(size ? *size : 0);
    return output;
}

Bytes body_of(const Buffer& frame)
{
    return Bytes(frame).subspan(frame_head_bytes);
}

TEST(NodeLink, every_message_is_read_as_it_was_written)
{
    for (const auto& frame : one_of_each()) {
        const auto bytes = written(frame);
        ByteArray<frame_head_bytes> head;
        copy_bytes(head, Bytes(bytes).first(frame_head_bytes));
        EXPECT_EQ(*read_frame_head(head), bytes.size() - frame_head_bytes);
        const auto read = read_frame_body(body_of(bytes));
        ASSERT_TRUE(read) << read.error().what;
        EXPECT_EQ(read->request, frame.request);
        EXPECT_EQ(read->message.index(), frame.message.index());
        EXPECT_EQ(written(*read), bytes); // all fields, since the encoding is deterministic
    }
}

// [MEASURE-15]
TEST(NodeLink, every_truncation_is_refused)
{
    for (const auto& frame : one_of_each()) {
        const auto bytes = written(frame);
        for (std::size_t size = 0; size + frame_head_bytes < bytes.size(); ++size) {
            EXPECT_FALSE(read_frame_body(body_of(bytes).first(size)));
        }
    }
}

// [MEASURE-15]
TEST(NodeLink, a_flipped_bit_is_refused_or_is_another_valid_frame)
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

// [MEASURE-15]
TEST(NodeLink, an_impossible_length_is_malformed)
{
    EXPECT_EQ(read_frame_head({0, 0, 0, 0}).error().kind, Kind::malformed);
    EXPECT_EQ(read_frame_head({0, 4, 0, 1}).error().kind, Kind::malformed);
    EXPECT_EQ(read_frame_head({0xff, 0xff, 0xff, 0xff}).error().kind, Kind::malformed);
    EXPECT_EQ(*read_frame_head({0, 4, 0, 0}), frame_bytes_max);
}

// [MEASURE-15]
TEST(NodeLink, bytes_after_the_end_are_malformed)
{
    for (const auto& frame : one_of_each()) {
        auto bytes = written(frame);
        bytes.push_back(0);
        EXPECT_FALSE(read_frame_body(body_of(bytes)));
    }
}

TEST(NodeLink, an_unknown_type_is_malformed)
{
    EXPECT_EQ(read_frame_body(Buffer{0x82, 5, 0}).error().kind, Kind::malformed);
    EXPECT_EQ(read_frame_body(Buffer{0x81, 1}).error().kind, Kind::malformed);
}

TEST(NodeLink, one_key_too_many_is_malformed)
{
    Buffer body(8192);
    CborWriter writer(body);
    writer.begin_array(4);
    writer.write_uint(3);
    writer.write_uint(1);
    writer.write_bytes(ByteArray<32>{});
    writer.begin_array(keys_max + 1);
    for (std::size_t index = 0; index <= keys_max; ++index) {
        writer.write_bytes(ByteArray<32>{});
    }
    EXPECT_EQ(read_frame_body(writer.written()).error().kind, Kind::malformed);
}

TEST(NodeLink, the_longest_time_answer_fits_a_frame)
{
    const Buffer long_result(attestation_result_bytes_max, 1);
    TimeAnswer answer;
    answer.token = token;
    answer.results.fill(long_result);
    answer.result_count = keys_max;
    EXPECT_TRUE(read_frame_body(body_of(written({1, answer}))));
}

TEST(NodeLink, a_frame_that_does_not_fit_is_exhausted)
{
    for (std::size_t room = 0; room < 10; ++room) {
        Buffer output(room);
        EXPECT_EQ(write_frame(output, {1, WitnessTargetAnswer{target}}).error().kind, Kind::exhausted);
    }
}

} // namespace
} // namespace caisson::protocol::node_link
