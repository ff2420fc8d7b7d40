#include "library/transport.hpp"

#include <gtest/gtest.h>

namespace caisson::library {
namespace {

TEST(AddressTest, tcp_and_ipc_are_read_and_written_the_same)
{
    for (const char* text : {"tcp://127.0.0.1:5555", "tcp://[::1]:80", "tcp://*:0", "ipc:///run/a.sock"}) {
        const auto address = parse_address(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(address->text(), text);
    }
}
TEST(AddressTest, what_is_no_address_is_malformed)
{
    for (const char* text : {"", "tcp://", "tcp://:1", "tcp://a", "tcp://a:", "tcp://a:b", "tcp://a:65536",
                             "tcp://a:123456", "ipc://relative", "ipc://", "udp://a:1", "inproc://a"}) {
        const auto address = parse_address(text);
        ASSERT_FALSE(address) << text;
        EXPECT_EQ(address.error().kind, Kind::malformed);
    }
    EXPECT_FALSE(parse_address("ipc:///" + std::string(108, 'a')));
}
TEST(ListeningSocketTest, a_taken_port_is_a_conflict)
{
    const auto first = ListeningSocket::open(*parse_address("tcp://127.0.0.1:0"));
    ASSERT_TRUE(first);
    EXPECT_NE(first->address().port, "0");
    const auto second = ListeningSocket::open(first->address());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, Kind::conflict);
}

} // namespace
} // namespace caisson::library
