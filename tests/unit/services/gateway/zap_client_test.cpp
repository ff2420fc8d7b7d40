// ZAP's frames as RFC 27 says them, and replies that are none.
#include "services/gateway/zap_client.hpp"

#include <gtest/gtest.h>

namespace caisson::services::gateway {
namespace {

const std::vector<std::string> good = {"", "1.0", "7", "200", "OK", "alice", std::string("\x03Key\0\0\0\1v", 9)};

TEST(ZapFramesTest, a_request_has_the_frames_of_rfc_27_in_order) // [GATE-21]
{
    const auto frames = zap_frames({"global", "127.0.0.1", "id", "CURVE", {"key"}}, "7");
    EXPECT_EQ(frames, (std::vector<std::string>{"", "1.0", "7", "global", "127.0.0.1", "id", "CURVE", "key"}));
}

TEST(ZapFramesTest, a_reply_says_status_user_and_metadata)
{
    const auto reply = read_zap_reply(good);
    ASSERT_TRUE(reply) << reply.error().what;
    EXPECT_EQ(reply->id, "7");
    EXPECT_EQ(reply->verdict.status, 200U);
    EXPECT_EQ(reply->verdict.user, "alice");
    EXPECT_EQ(reply->verdict.metadata.size(), 9U);
}

TEST(ZapFramesTest, other_frames_are_no_reply) // [GATE-21]
{
    for (std::size_t count = 0; count < good.size(); ++count) {
        EXPECT_FALSE(read_zap_reply({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(count)})) << count;
    }
    auto longer = good;
    longer.emplace_back();
    EXPECT_FALSE(read_zap_reply(longer));
}

TEST(ZapFramesTest, a_reply_with_another_version_status_or_broken_metadata_is_none) // [GATE-21]
{
    const auto with = [](std::size_t index, const std::string& value) {
        auto frames = good;
        frames[index] = value;
        return read_zap_reply(frames);
    };
    EXPECT_FALSE(with(0, "x"));
    EXPECT_FALSE(with(1, "2.0"));
    for (const auto* status : {"", "20", "2000", "201", "abc", "-20", "600", "+20", " 200"}) {
        EXPECT_FALSE(with(3, status)) << status;
    }
    for (const auto* status : {"300", "400", "500"}) {
        EXPECT_TRUE(with(3, status)) << status;
    }
    for (std::size_t size = 1; size < good[6].size(); ++size) {
        EXPECT_FALSE(with(6, good[6].substr(0, size))) << size;
    }
}

} // namespace
} // namespace caisson::services::gateway
