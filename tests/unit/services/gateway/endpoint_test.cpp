// Whose address counts as whose, for limits of a source.
#include "services/gateway/endpoint.hpp"

#include <gtest/gtest.h>

namespace caisson::services::gateway {
namespace {

TEST(EndpointTest, addresses_of_one_ipv6_network_are_one_source) // [GATE-3]
{
    EXPECT_EQ(network_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    EXPECT_EQ(network_of("2001:db8:1:2:ffff::1"), network_of("2001:db8:1:2::9"));
    EXPECT_NE(network_of("2001:db8:1:2::1"), network_of("2001:db8:1:3::1"));
}

TEST(EndpointTest, an_ipv4_address_is_one_source_however_it_is_written) // [GATE-3]
{
    EXPECT_EQ(network_of("192.0.2.7"), "192.0.2.7");
    EXPECT_EQ(network_of("::ffff:192.0.2.7"), "192.0.2.7");
    EXPECT_NE(network_of("::ffff:192.0.2.7"), network_of("::ffff:192.0.2.8"));
}

TEST(EndpointTest, links_of_other_interfaces_are_other_sources) // [GATE-3]
{
    EXPECT_EQ(network_of("fe80::1:2%eth0"), network_of("fe80::3:4%eth0"));
    EXPECT_NE(network_of("fe80::1:2%eth0"), network_of("fe80::1:2%eth1"));
}

TEST(EndpointTest, what_is_no_address_stands_for_itself) // [GATE-3]
{
    for (const char* const text : {"local", "vsock:3", "", "1:2", "%eth0"}) {
        EXPECT_EQ(network_of(text), text);
    }
}

} // namespace
} // namespace caisson::services::gateway
