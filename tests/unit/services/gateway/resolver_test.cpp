// Names are looked up beside the loop, and a name server that says nothing stops nobody.
#include "services/gateway/resolver.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace caisson::services::gateway {
namespace {

using host::fault;
using host::Outcome;

const Endpoint slow{Endpoint::Transport::tcp, "slow.example", "1", {}};
const Endpoint quick{Endpoint::Transport::tcp, "quick.example", "2", {}};

class ResolverTest : public testing::Test {
  protected:
    // Turns the loop until so many were answered.
    void turn_until(std::size_t count)
    {
        while (answers_.size() < count) {
            loop_->wait(std::chrono::milliseconds(1000));
        }
    }
    Resolver::Answer note(const std::string& who)
    {
        return [this, who](const Outcome<SocketAddress>& address) {
            answers_.push_back(who + (address ? "" : ": " + address.error().what));
        };
    }

    Outcome<Loop> loop_ = Loop::open();
    std::vector<std::string> answers_;
};

TEST_F(ResolverTest, a_name_that_takes_its_time_leaves_the_loop_and_other_names_theirs) // [GATE-16]
{
    std::promise<void> release;
    const auto released = release.get_future().share();
    std::atomic<int> lookups = 0;
    Resolver resolver(*loop_, [&lookups, released](const Endpoint& endpoint) -> Outcome<SocketAddress> {
        ++lookups;
        if (endpoint.host == slow.host) {
            released.wait();
        }
        return SocketAddress{};
    });
    resolver.ask(slow, note("slow"));
    resolver.ask(slow, note("slow again"));
    resolver.ask(quick, note("quick"));
    turn_until(1);
    EXPECT_EQ(answers_, (std::vector<std::string>{"quick"}));
    release.set_value();
    turn_until(3);
    EXPECT_EQ(answers_, (std::vector<std::string>{"quick", "slow", "slow again"}));
    EXPECT_EQ(lookups, 2) << "one thread for one name";
}

TEST_F(ResolverTest, a_name_that_is_none_is_an_answer_too)
{
    Resolver resolver(*loop_, [](const Endpoint& endpoint) -> Outcome<SocketAddress> {
        return fault(Kind::malformed, endpoint.host + " is not known");
    });
    resolver.ask(slow, note("slow"));
    turn_until(1);
    EXPECT_EQ(answers_, (std::vector<std::string>{"slow: slow.example is not known"}));
    resolver.ask(slow, note("later"));
    turn_until(2);
    EXPECT_EQ(answers_.back(), "later: slow.example is not known") << "it is asked for anew";
}

TEST(KnownAddressTest, numbers_and_localhost_need_no_name_server) // [GATE-16]
{
    for (const char* text :
         {"tcp://127.0.0.1:1", "tcp://[::1]:1", "tcp://localhost:1", "tcp://*:1", "ipc:///a", "vsock://2:1"}) {
        const auto endpoint = parse_endpoint(text);
        ASSERT_TRUE(endpoint) << text;
        const auto address = known_address(*endpoint);
        EXPECT_TRUE(address && *address) << text;
    }
    EXPECT_FALSE(known_address(slow));
    EXPECT_FALSE(Stream::connect(slow)) << "never looked up here";
}

} // namespace
} // namespace caisson::services::gateway
