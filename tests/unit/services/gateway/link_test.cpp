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
        trips += calls.empty() ? 0 : 1;
        for (auto& one : calls) {
            one.result = call(one.request, one.input, one.output);
        }
    }
    [[nodiscard]] Flight submit(std::span<Call> /*calls*/) override { return {}; }
    void reap(const Flight& /*flight*/) override {}
    [[nodiscard]] const EnclaveFacts& facts() const noexcept override { return facts_; }
    [[nodiscard]] bool alive() noexcept override { return true; }
    [[nodiscard]] int ring_fd() const noexcept override { return -1; }

    Answer answer;
    int trips = 0;

  private:
    EnclaveFacts facts_;
};

struct TestHub final : Hub {
    using Hub::Hub;
    void on_authenticated(Link& /*link*/) override {}
    void on_ended(Link& /*link*/) override { ++ended; }
    int ended = 0;
};

class OneLink : public testing::Test {
  protected:
    OneLink()
    {
        route_->keys.emplace_back();
        route_->keys.front().loaded.id = 1;
        EXPECT_EQ(::pipe2(log_.data(), O_NONBLOCK | O_CLOEXEC), 0);
        log_to_.emplace(false, log_[1]);
        hub_.emplace(Shared{*loop_, *strangers_, crossing_, chamber_, *resolver_, *log_to_});
    }
    ~OneLink() override
    {
        link_.reset();
        ::close(peer_);
        for (const int end : log_) {
            ::close(end);
        }
    }
    OneLink(const OneLink&) = delete;
    OneLink& operator=(const OneLink&) = delete;

    // Accepted on the side that listens.
    void open_link()
    {
        std::array<int, 2> pair{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
        peer_ = pair[0];
        link_.emplace(*hub_, route_, ListeningSocket::Accepted{Stream(pair[1]), "vsock:42", "vsock:42:7"}, false);
        turn(); // from here on the socket is watched
    }
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
        if (!voyage_.links.empty()) {
            voyage_.sail();
            link_->absorb(voyage_);
            voyage_.clear();
        }
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

class LinkTest : public OneLink {
  protected:
    LinkTest()
    {
        route_->config.name = "in";
        route_->config.listen = *parse_endpoint("vsock://*:1024");
        route_->config.connect = *parse_endpoint("ipc:///nonexistent/app");
        open_link();
    }
};

// A program that connects to a connector; the server outside is the test's too.
class ConnectorTest : public OneLink {
  protected:
    ConnectorTest()
    {
        auto& config = route_->config;
        config.name = "out";
        config.side = Side::client;
        config.listen = *parse_endpoint("vsock://*:1024");
        config.connect = *parse_endpoint("ipc:///tmp/caisson_connector_test." + std::to_string(::getpid()));
        config.server_key = protocol::CurveKey{{9}};
        auto server = ListeningSocket::open(config.connect);
        EXPECT_TRUE(server);
        server_.emplace(std::move(*server));
        enclave_.answer = [this](Request request) -> Result<Octets> {
            asked_.push_back(request);
            switch (request) {
            case Request::begin_client: return Octets(4 + 200, 7);
            case Request::process_welcome:
                return welcome_opens_ ? Result<Octets>(Octets{}) : fail(Kind::unauthentic, "a box does not open");
            case Request::produce_initiate: return Octets(257, 8);
            default: return Octets{};
            }
        };
        open_link();
    }
    ~ConnectorTest() override { link_.reset(); } // it closes its session
    ConnectorTest(const ConnectorTest&) = delete;
    ConnectorTest& operator=(const ConnectorTest&) = delete;

    // The program's part, up to where the server is connected to.
    std::optional<ListeningSocket::Accepted> at_server()
    {
        say(zmtp::write_greeting({zmtp::Mechanism::null, 1}));
        Octets ready(zmtp::ready_name.size() + 2);
        ready[0] = zmtp::frame_command;
        ready[1] = static_cast<std::uint8_t>(zmtp::ready_name.size());
        copy_bytes(MutableBytes(ready).subspan(2), bytes_of(zmtp::ready_name));
        say(ready);
        turn();
        return server_->accept();
    }
    void say_welcome(Stream& server)
    {
        server.write(zmtp::write_greeting({zmtp::Mechanism::curve, 1}));
        Octets welcome(2 + 168);
        welcome[0] = zmtp::frame_command;
        welcome[1] = 168;
        copy_bytes(MutableBytes(welcome).subspan(2), bytes_of(zmtp::welcome_name));
        server.write(welcome);
        ASSERT_TRUE(server.flush());
    }

    std::optional<ListeningSocket> server_;
    std::vector<Request> asked_;
    bool welcome_opens_ = true;
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
    EXPECT_EQ(heard(), std::pair(std::size_t{0}, true)) << "not a word";
    EXPECT_NE(logged().find("in: vsock:42:7: refused: the chamber takes no further session"), std::string::npos);
}

TEST_F(LinkTest, a_frame_above_its_limit_is_too_large) // [GATE-8] [GATE-31]
{
    say(zmtp::write_greeting({zmtp::Mechanism::curve, 1}));
    say(ByteArray<9>{zmtp::frame_command | zmtp::frame_long, 0, 0, 1, 0, 0, 0, 0, 0});
    turn();
    EXPECT_EQ(ended(Reason::too_large), 1U);
    EXPECT_EQ(heard(), std::pair(std::size_t{0}, true));
}

TEST_F(LinkTest, who_says_something_is_greeted_and_who_is_silent_a_little_later) // [GATE-24]
{
    EXPECT_EQ(heard(), std::pair(std::size_t{0}, false));
    link_->on_tick(Link::Clock::now());
    EXPECT_EQ(heard().first, 0U) << "it has had no time to say something";
    link_->on_tick(Link::Clock::now() + std::chrono::milliseconds(100));
    EXPECT_EQ(heard().first, zmtp::greeting_bytes);
    link_->on_tick(Link::Clock::now() + std::chrono::milliseconds(200));
    say(ByteArray<1>{0xff});
    turn();
    EXPECT_EQ(heard(), std::pair(std::size_t{0}, false)) << "it is greeted once";
}

TEST_F(LinkTest, the_first_octet_is_enough_for_the_greeting) // [GATE-24]
{
    say(ByteArray<1>{0xff});
    turn();
    EXPECT_EQ(heard(), std::pair(zmtp::greeting_bytes, false));
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
    ASSERT_TRUE(behind->stream.read_some()) << "greeting and READY, before the program says a word"; // [GATE-1]
    const Octets early(behind->stream.input().begin(), behind->stream.input().end());
    behind->stream.write(zmtp::write_greeting({zmtp::Mechanism::null, 1}));
    ASSERT_TRUE(behind->stream.flush());
    turn();
    turn();
    ASSERT_GT(early.size(), zmtp::greeting_bytes);
    const auto frame = zmtp::read_frame(Bytes(early).subspan(zmtp::greeting_bytes), 4096);
    ASSERT_TRUE(frame && *frame);
    const auto metadata = zmtp::read_null_ready((*frame)->body);
    ASSERT_TRUE(metadata);
    EXPECT_EQ(text_of(zmtp::find_property(*metadata, "X-Caisson-Trust")),
              protocol::trust_tier_name(protocol::TrustTier::affirming));
    EXPECT_EQ(text_of(zmtp::find_property(*metadata, "X-Caisson-Node")), "ab" + std::string(62, '0'));
    EXPECT_EQ(text_of(zmtp::find_property(*metadata, "X-Caisson-Measurement")), "cd" + std::string(62, '0'));
    EXPECT_EQ(text_of(zmtp::find_property(*metadata, "X-Caisson-Key")), z85_of({{9}}));
}

TEST_F(LinkTest, a_ping_with_nothing_behind_it_is_answered_once) // [ZMTP-7]
{
    route_->config.connect = *parse_endpoint("ipc:///tmp/caisson_link_test." + std::to_string(::getpid()));
    auto program = ListeningSocket::open(route_->config.connect);
    ASSERT_TRUE(program) << program.error().what;
    enclave_.answer = [](Request request) -> Result<Octets> {
        Octets octets(request == Request::process_initiate ? 40 : 0); // session, client, admitted
        if (request == Request::process_initiate) {
            octets.front() = octets[36] = 1;
        }
        return octets;
    };
    say_hello();
    turn();
    say(Octets{zmtp::frame_command, 9, 8, 'I', 'N', 'I', 'T', 'I', 'A', 'T', 'E'});
    turn();
    auto behind = program->accept();
    ASSERT_TRUE(behind && behind->stream.read_some());
    behind->stream.consume(behind->stream.input().size());
    behind->stream.write(zmtp::write_greeting({zmtp::Mechanism::null, 1}));
    behind->stream.write(Octets{zmtp::frame_command, 6, 5, 'R', 'E', 'A', 'D', 'Y'});
    behind->stream.write(Octets{zmtp::frame_command, 7, 4, 'P', 'I', 'N', 'G', 0, 0});
    ASSERT_TRUE(behind->stream.flush());
    for (int turns = 0; turns < 5; ++turns) {
        turn();
    }
    ASSERT_TRUE(link_->is_open()) << logged();
    ASSERT_TRUE(behind->stream.read_some());
    const Octets pong{zmtp::frame_command, 5, 4, 'P', 'O', 'N', 'G'};
    EXPECT_EQ(Octets(behind->stream.input().begin(), behind->stream.input().end()), pong);
}

TEST_F(ConnectorTest, hello_goes_with_the_greeting_and_initiate_in_one_trip_with_welcome) // [GATE-4]
{
    auto at = at_server();
    ASSERT_TRUE(at);
    ASSERT_TRUE(at->stream.read_some());
    EXPECT_EQ(at->stream.input().size(), zmtp::greeting_bytes + 2 + 200) << "greeting and HELLO, unasked";
    at->stream.consume(at->stream.input().size());
    EXPECT_EQ(enclave_.trips, 1);
    say_welcome(at->stream);
    turn();
    EXPECT_EQ(enclave_.trips, 2);
    EXPECT_EQ(asked_, (std::vector{Request::begin_client, Request::process_welcome, Request::produce_initiate}));
    ASSERT_TRUE(at->stream.read_some());
    const auto frame = zmtp::read_frame(at->stream.input(), 4096);
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->body.size(), 257U);
    EXPECT_STREQ(link_->stage_name(), "ready");
}

TEST_F(ConnectorTest, behind_a_welcome_that_does_not_open_goes_no_initiate) // [GATE-5] [CURVE-2]
{
    welcome_opens_ = false;
    auto at = at_server();
    ASSERT_TRUE(at && at->stream.read_some());
    at->stream.consume(at->stream.input().size());
    say_welcome(at->stream);
    turn();
    EXPECT_STREQ(link_->stage_name(), "retry");
    EXPECT_FALSE(at->stream.read_some()) << "closed, without a word";
    EXPECT_EQ(at->stream.input().size(), 0U);
    EXPECT_NE(logged().find("WELCOME does not open"), std::string::npos);
}

TEST_F(ConnectorTest, a_server_of_another_mechanism_is_tried_again_though_it_has_a_hello) // [GATE-5] [ZMTP-3]
{
    auto at = at_server();
    ASSERT_TRUE(at);
    at->stream.write(zmtp::write_greeting({zmtp::Mechanism::null, 1}));
    ASSERT_TRUE(at->stream.flush());
    turn();
    EXPECT_STREQ(link_->stage_name(), "retry");
    EXPECT_EQ(asked_, (std::vector{Request::begin_client, Request::close_session}));
}

} // namespace
} // namespace caisson::services::gateway
