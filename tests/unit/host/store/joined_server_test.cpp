#include "host/store/joined_server.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace caisson::host::store {
namespace {

class JoinedServerTest : public testing::Test {
  protected:
    void SetUp() override
    {
        std::string pattern = testing::TempDir() + "joined_XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        home_ = pattern;
        std::filesystem::create_directory(home_ / "agent");
    }
    void TearDown() override { std::filesystem::remove_all(home_); }

    void put(const std::string& content) const
    {
        std::ofstream(home_ / "agent/join.json") << content;
        std::filesystem::permissions(home_ / "agent/join.json", std::filesystem::perms(0600));
    }

    std::filesystem::path home_;
};

TEST_F(JoinedServerTest, a_node_that_joined_none_has_none)
{
    EXPECT_EQ(*load_joined_server(home_), std::nullopt);
}

TEST_F(JoinedServerTest, its_signing_key_is_found_among_other_fields)
{
    put(R"({"server": "127.0.0.1:9440", "server_signing_key": ")" + std::string(64, 'a') + "\"}");
    const auto key = load_joined_server(home_);
    ASSERT_TRUE(key && *key) << key.error().what;
    EXPECT_EQ((**key).bytes[31], 0xaa);
}

TEST_F(JoinedServerTest, a_key_that_is_missing_short_or_no_text_is_malformed)
{
    for (const std::string content : {"", "{}", R"({"server_signing_key": 1})", R"({"server_signing_key": "aa"})",
                                      R"({"server_signing_key": "zz"})", "[]"}) {
        put(content);
        EXPECT_EQ(load_joined_server(home_).error().kind, Kind::malformed) << content;
    }
}

TEST_F(JoinedServerTest, a_file_that_others_may_write_to_names_no_server)
{
    put("{\"server_signing_key\": \"" + std::string(64, 'a') + "\"}");
    std::filesystem::permissions(home_ / "agent/join.json", std::filesystem::perms(0666));
    EXPECT_EQ(load_joined_server(home_).error().kind, Kind::forbidden);
}

} // namespace
} // namespace caisson::host::store
