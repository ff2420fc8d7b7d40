// A link over sockets of the test's own, as it would be over vsock: how a stranger is named, and how one whom the
// chamber has no place for is sent away. The chamber is played by the test.
#include "services/gateway/link.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace caisson::services::gateway {
namespace {

using airlock::curve::Request;
using host::enclave::Enclave;
using host::enclave::EnclaveFacts;
using Octets = std::vector<std::uint8_t>;
namespace zmtp = protocol::zmtp;

class AnsweringEnclave final : public Enclave {
  public:
    using Answer = std::function<Result<Octets>(Request)>;

    Result<std::size_t> call(std::uint32_t request, Bytes /*input*/, MutableBytes output) override
    {
        const auto octets = TRY(answer(static_cast<Request>(request)));
        copy_bytes(output, octets);
        return octets.size();
    }
    void call_many(std::span<Call> calls) override
    {
        for (auto& one : calls) {
            one.result = call(one.request, one.input, one.output);
        }
    }
    [[nodiscard]] Flight submit(std::span<Call> /*calls*/) override { return {}; }
    [[nodiscard]] bool answered(const Flight& /*flight*/) override { return true; }
    void reap(const Flight& /*flight*/) override {}
    [[nodiscard]] const EnclaveFacts& facts() const noexcept override { return facts_; }
    [[nodiscard]] bool alive() noexcept override { return true; }
    [[nodiscard]] int ring_fd() const noexcept override { return -1; }

    Answer answer;

  private:
    EnclaveFacts facts_;
};

struct TestHub final : Hub {
    using Hub::Hub;
    void on_authenticated(Link& /*link*/) override {}
    void on_ended(Link& /*link*/) override { ++ended; }
    int ended = 0;
};

class LinkTest : public testing::Test {
  protected:
    LinkTest()
    {
        route_->config.name = "in";
        route_->config.listen = *parse_endpoint("vsock://*:1024");
        route_->config.connect = *parse_endpoint("ipc:///nonexistent/app");
        route_->keys.emplace_back();
        route_->keys.front().loaded.id = 1;
        std::array<int, 2> pair{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
        peer_ = pair[0];
        EXPECT_EQ(::pipe2(log_.data(), O_NONBLOCK | O_CLOEXEC), 0);
        log_to_.emplace(false, log_[1]);
        hub_.emplace(Shared{*loop_, *strangers_, crossing_, chamber_, *resolver_, *log_to_});
        link_.emplace(*hub_, route_, ListeningSocket::Accepted{Stream(pair[1]), "vsock:42", "vsock:42:7"}, false);
        turn(); // the greeting goes out, and from here on the socket is watched
    }
    ~LinkTest() override
    {
        link_.reset();
        ::close(peer_);
        for (const int end : log_) {
            ::close(end);
        }
    }
    LinkTest(const LinkTest&) = delete;
    LinkTest& operator=(const LinkTest&) = delete;

    void say(Bytes bytes) const
    {
        ASSERT_EQ(::send(peer_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    }
    void say_hello()
    {
        say(zmtp::write_greeting({zmtp::Mechanism::curve, 1}));
        Octets hello(202);
        hello[0] = zmtp::frame_command;
        hello[1] = 200;
        copy_bytes(MutableBytes(hello).subspan(2), bytes_of("\x05HELLO"));
        say(hello);
    }
    void turn()
    {
        loop_->wait(std::chrono::microseconds(0));
        static_cast<void>(strangers_->take(Link::Clock::now()));
        link_->gather(voyage_);
        crossing_.run();
        link_->take_answer();
        link_->settle();
        crossing_.clear();
    }
    // All that came, and whether the connection was closed behind it.
    std::pair<std::size_t, bool> heard() const
    {
        std::array<std::uint8_t, 4096> room{};
        const auto came = ::recv(peer_, room.data(), room.size(), 0);
        const auto rest = came > 0 ? ::recv(peer_, room.data(), room.size(), 0) : came;
        return {static_cast<std::size_t>(std::max<ssize_t>(came, 0)), rest == 0};
    }
    std::string logged() const
    {
        std::array<char, 4096> text{};
        const auto size = ::read(log_[0], text.data(), text.size());
        return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
    }
    [[nodiscard]] std::uint64_t ended(Reason reason) const
    {
        return route_->metrics.ended[static_cast<std::size_t>(reason)];
    }

    AnsweringEnclave enclave_;
    host::Outcome<Loop> loop_ = Loop::open();
    host::Outcome<Loop> strangers_loop_ = Loop::open();
    std::optional<Strangers> strangers_{std::in_place, *loop_, *strangers_loop_};
    Crossing crossing_{enclave_};
    host::enclave::CurveChamber chamber_{enclave_};
    std::optional<Resolver> resolver_{std::in_place, *loop_};
    std::optional<Log> log_to_;
    std::optional<TestHub> hub_;
    std::shared_ptr<Route> route_ = std::make_shared<Route>();
    Voyage voyage_{enclave_};
    std::optional<Link> link_;
    std::array<int, 2> log_{};
    int peer_ = -1;
};

TEST_F(LinkTest, a_chamber_without_a_place_for_a_session_is_too_many_and_a_plain_close) // [GATE-2] [GATE-31]
{
    enclave_.answer = [](Request) -> Result<Octets> { return fail(Kind::exhausted, "all sessions are in use"); };
    say_hello();
    turn();
    EXPECT_TRUE(link_->ended());
    EXPECT_EQ(hub_->ended, 1);
    EXPECT_EQ(ended(Reason::too_many), 1U);
    EXPECT_EQ(ended(Reason::too_large), 0U);
    EXPECT_EQ(heard(), std::pair(zmtp::greeting_bytes, true)) << "not a word behind the greeting";
    EXPECT_NE(logged().find("in: vsock:42:7: refused: the chamber takes no further session"), std::string::npos);
}

TEST_F(LinkTest, a_frame_above_its_limit_is_too_large) // [GATE-8] [GATE-31]
{
    say(zmtp::write_greeting({zmtp::Mechanism::curve, 1}));
    say(ByteArray<9>{zmtp::frame_command | zmtp::frame_long, 0, 0, 1, 0, 0, 0, 0, 0});
    turn();
    EXPECT_EQ(ended(Reason::too_large), 1U);
    EXPECT_EQ(heard(), std::pair(zmtp::greeting_bytes, true));
}

TEST_F(LinkTest, a_stranger_over_vsock_is_named_by_its_context_in_log_and_limits) // [GATE-3] [GATE-17] [GATE-32]
{
    enclave_.answer = [](Request) -> Result<Octets> { return fail(Kind::unauthentic, "a box does not open"); };
    EXPECT_EQ(network_of(link_->source()), "vsock:42");
    say_hello();
    turn();
    turn();
    EXPECT_EQ(ended(Reason::bad_handshake), 1U);
    EXPECT_NE(logged().find("in: vsock:42:7: refused: HELLO is for none of this listener's keys"), std::string::npos);
}

TEST_F(LinkTest, a_handshake_goes_on_over_any_socket) // [GATE-17]
{
    enclave_.answer = [](Request request) -> Result<Octets> {
        return request == Request::process_hello ? Result<Octets>(Octets(168, 5)) : fail(Kind::forbidden, "not asked");
    };
    say_hello();
    turn();
    EXPECT_FALSE(link_->ended());
    EXPECT_EQ(heard().first, zmtp::greeting_bytes + 2 + 168) << "greeting and WELCOME";
    EXPECT_STREQ(link_->stage_name(), "initiate");
}

// What the chamber says of a peer on a trusted node, and the program's own greeting and what it hears then.
TEST_F(LinkTest, a_program_reads_trust_node_and_measurement_of_a_gated_peer_as_the_chamber_says_them) // [ZMTP-9]
{
    route_->keys.front().loaded.gated = true;
    route_->config.connect = *parse_endpoint("ipc:///tmp/caisson_link_test." + std::to_string(::getpid()));
    auto program = ListeningSocket::open(route_->config.connect);
    ASSERT_TRUE(program) << program.error().what;
    enclave_.answer = [](Request request) -> Result<Octets> {
        if (request != Request::process_hello && request != Request::process_initiate &&
            request != Request::peer_state) {
            return Octets{};
        }
        Octets octets(168);
        Writer writer(octets);
        if (request == Request::process_initiate) {
            writer.write_le(std::uint32_t{7}); // session
            writer.write_bytes(ByteArray<32>{9});
            writer.write_le(std::uint32_t{1}); // admitted
            octets.resize(writer.written().size());
        } else if (request == Request::peer_state) {
            writer.write_le(std::uint32_t{1});
            writer.write_le(static_cast<std::uint32_t>(protocol::TrustTier::affirming));
            writer.write_le(std::uint64_t{0});
            writer.write_bytes(ByteArray<32>{0xab});
            writer.write_bytes(Digest{0xcd});
            octets.resize(writer.written().size());
        }
        return octets;
    };
    say_hello();
    turn();
    say(Octets{zmtp::frame_command, 9, 8, 'I', 'N', 'I', 'T', 'I', 'A', 'T', 'E'});
    for (int turns = 0; turns < 4; ++turns) {
        turn();
    }
    auto behind = program->accept();
    ASSERT_TRUE(behind);
    behind->stream.write(zmtp::write_greeting({zmtp::Mechanism::null, 1}));
    ASSERT_TRUE(behind->stream.flush());
    turn();
    turn();
    ASSERT_TRUE(behind->stream.read_some());
    const auto frame = zmtp::read_frame(behind->stream.input().subspan(zmtp::greeting_bytes), 4096);
    ASSERT_TRUE(frame && *frame);
    const auto metadata = zmtp::read_null_ready((*frame)->body);
    ASSERT_TRUE(metadata);
    EXPECT_EQ(text_of(zmtp::find_property(*metadata, "X-Caisson-Trust")),
              protocol::trust_tier_name(protocol::TrustTier::affirming));
    EXPECT_EQ(text_of(zmtp::find_property(*metadata, "X-Caisson-Node")), "ab" + std::string(62, '0'));
    EXPECT_EQ(text_of(zmtp::find_property(*metadata, "X-Caisson-Measurement")), "cd" + std::string(62, '0'));
    EXPECT_EQ(text_of(zmtp::find_property(*metadata, "X-Caisson-Key")), z85_of({{9}}));
}

} // namespace
} // namespace caisson::services::gateway
