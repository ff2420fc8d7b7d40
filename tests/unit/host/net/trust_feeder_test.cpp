// A hostile or broken agent in front of the feeder: it may delay, withhold and repeat, and the chamber only ever gets
// what the agent gave, once per nonce, or nothing.
#include "host/net/trust_feeder.hpp"

#include "core/wire.hpp"
#include "protocol/node_link.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace caisson::host::net {
namespace {

namespace node_link = protocol::node_link;
using namespace std::chrono_literals;
using Buffer = std::vector<std::uint8_t>;

protocol::CurveKey key_of(std::uint8_t number)
{
    protocol::CurveKey key;
    key.bytes.fill(number);
    return key;
}

// A curve chamber that makes counted nonces and believes a token only if it is the newest nonce, once: what the real
// one does with a signature, this one does with equality.
class FakeCurve final : public enclave::Enclave {
  public:
    Result<std::size_t> call(std::uint32_t request, Bytes input, MutableBytes output) override
    {
        const std::lock_guard lock(mutex_);
        switch (request) {
        case 6: return report(input, output);
        case 30:
            nonce_.fill(++nonces_);
            copy_bytes(output, nonce_);
            return nonce_.size();
        case 31:
            if (!same_bytes(input, nonce_)) {
                ++refused;
                return fail(Kind::unauthentic, "not over my nonce");
            }
            nonce_.fill(0);
            ++tokens;
            return std::size_t{0};
        case 32: results.emplace_back(input.begin(), input.end()); return std::size_t{0};
        default: return fail(Kind::forbidden, "no such request");
        }
    }
    void call_many(std::span<Call> /*calls*/) override {}
    Flight submit(std::span<Call> /*calls*/) override { return {}; }
    void reap(const Flight& /*flight*/) override {}
    [[nodiscard]] const enclave::EnclaveFacts& facts() const noexcept override { return facts_; }
    [[nodiscard]] bool alive() noexcept override { return true; }
    [[nodiscard]] int ring_fd() const noexcept override { return -1; }

    std::vector<Buffer> results_now()
    {
        const std::lock_guard lock(mutex_);
        return results;
    }

    std::atomic<int> tokens = 0;
    std::atomic<int> refused = 0;

  private:
    static Result<std::size_t> report(Bytes input, MutableBytes output)
    {
        const Buffer made(sizeof(protocol::sgx::Report), input[0]);
        copy_bytes(output, made);
        return made.size();
    }

    std::mutex mutex_;
    std::vector<Buffer> results;
    ByteArray<32> nonce_{};
    std::uint8_t nonces_ = 0;
    enclave::EnclaveFacts facts_;
};

// An agent on a socket; `answer` decides what it says (nothing: silence).
class FakeAgent {
  public:
    using Answer = std::function<std::optional<node_link::Message>(const node_link::Message&)>;

    FakeAgent(const std::filesystem::path& path, Answer answer)
        : answer_(std::move(answer))
    {
        ::unlink(path.c_str());
        listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.string().size());
        EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_, 4), 0);
        thread_ = std::thread([this] { run(); });
    }
    ~FakeAgent()
    {
        stop_ = true;
        thread_.join();
        ::close(listener_);
    }
    FakeAgent(const FakeAgent&) = delete;
    FakeAgent& operator=(const FakeAgent&) = delete;

    // Everything it was asked, in order.
    std::vector<Buffer> registered()
    {
        const std::lock_guard lock(mutex_);
        return registered_;
    }
    std::atomic<int> connections = 0;

  private:
    bool readable(int socket)
    {
        pollfd descriptor{socket, POLLIN, 0};
        while (!stop_) {
            if (::poll(&descriptor, 1, 10) > 0) {
                return true;
            }
        }
        return false;
    }
    bool receive(int socket, MutableBytes bytes)
    {
        while (!bytes.empty()) {
            if (!readable(socket)) {
                return false;
            }
            const auto count = ::recv(socket, bytes.data(), bytes.size(), 0);
            if (count <= 0) {
                return false;
            }
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        }
        return true;
    }
    void run()
    {
        while (readable(listener_)) {
            const int socket = ::accept(listener_, nullptr, nullptr);
            ++connections;
            serve(socket);
            ::close(socket);
        }
    }
    void serve(int socket)
    {
        ByteArray<4> head;
        while (receive(socket, head)) {
            Buffer body(*node_link::read_frame_head(head));
            if (!receive(socket, body)) {
                return;
            }
            const auto frame = *node_link::read_frame_body(body);
            if (const auto* const registration = std::get_if<node_link::Register>(&frame.message)) {
                const std::lock_guard lock(mutex_);
                registered_.emplace_back(registration->report.begin(), registration->report.end());
            }
            const auto message = answer_(frame.message);
            if (!message) {
                continue;
            }
            Buffer output(node_link::frame_bytes_max);
            const auto size = node_link::write_frame(output, {frame.request, *message});
            if (!size || ::send(socket, output.data(), *size, MSG_NOSIGNAL) < 0) {
                return;
            }
        }
    }

    Answer answer_;
    int listener_ = -1;
    std::atomic<bool> stop_ = false;
    std::mutex mutex_;
    std::vector<Buffer> registered_;
    std::thread thread_;
};

const Buffer target(sizeof(protocol::sgx::TargetInfo), 1);
const Buffer result_bytes(40, 0x77);

// What an honest agent says: the token is the nonce, and one result for each key.
std::optional<node_link::Message> honest(const node_link::Message& asked)
{
    if (const auto* const time = std::get_if<node_link::Time>(&asked)) {
        node_link::TimeAnswer answer;
        answer.token = time->nonce.bytes;
        for (std::size_t index = 0; index < time->key_count; ++index) {
            answer.results[index] = result_bytes;
        }
        answer.result_count = time->key_count;
        return answer;
    }
    if (std::holds_alternative<node_link::WitnessTarget>(asked)) {
        return node_link::WitnessTargetAnswer{target};
    }
    return node_link::RegisterAnswer{};
}

// Waits for something that must happen, without a figure of when.
bool happens(const std::function<bool()>& condition)
{
    for (int turn = 0; turn < 2000; ++turn) {
        if (condition()) {
            return true;
        }
        std::this_thread::sleep_for(5ms);
    }
    return false;
}

constexpr FeederLimits quick{10ms, 2000ms, 40ms};
constexpr FeederLimits impatient{10ms, 30ms, 40ms};

class TrustFeederTest : public testing::Test {
  protected:
    TrustFeederTest()
    {
        char name[] = "/tmp/feederXXXXXX";
        folder_ = ::mkdtemp(name);
        socket = folder_ / "agent.sock";
    }
    ~TrustFeederTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path socket;
    FakeCurve curve;

  private:
    std::filesystem::path folder_;
};

TEST_F(TrustFeederTest, tokens_flow_and_keys_are_registered)
{
    FakeAgent agent(socket, honest);
    TrustFeeder feeder(curve, socket, {{3, key_of(1)}, {4, key_of(2)}}, quick);
    EXPECT_TRUE(feeder.wait_until_fed(10s));
    EXPECT_TRUE(happens([&] { return feeder.state().registered && curve.tokens > 3; }));
    ASSERT_EQ(agent.registered().size(), 2U);
    EXPECT_EQ(agent.registered()[0][0], 3); // the report over key 3
    EXPECT_EQ(agent.registered()[1][0], 4);
    EXPECT_EQ(curve.refused, 0);
    EXPECT_TRUE(feeder.state().trouble.empty());
}

TEST_F(TrustFeederTest, a_key_added_later_is_registered)
{
    FakeAgent agent(socket, honest);
    TrustFeeder feeder(curve, socket, {}, quick);
    EXPECT_TRUE(happens([&] { return feeder.state().registered; }));
    feeder.add_key({9, key_of(9)});
    EXPECT_TRUE(happens([&] { return agent.registered().size() == 1 && feeder.state().registered; }));
}

TEST_F(TrustFeederTest, a_peer_is_asked_for_before_add_peer_returns)
{
    FakeAgent agent(socket, honest);
    TrustFeeder feeder(curve, socket, {}, quick);
    EXPECT_TRUE(feeder.add_peer(key_of(5)));
    EXPECT_FALSE(curve.results_now().empty());
}

TEST_F(TrustFeederTest, without_an_agent_add_peer_gives_up_and_nothing_is_fed)
{
    TrustFeeder feeder(curve, socket, {}, impatient);
    EXPECT_FALSE(feeder.add_peer(key_of(5)));
    EXPECT_FALSE(feeder.wait_until_fed(50ms));
    EXPECT_FALSE(feeder.state().connected);
    EXPECT_NE(feeder.state().trouble.find("caisson agent run"), std::string::npos);
    EXPECT_EQ(curve.tokens, 0);
}

TEST_F(TrustFeederTest, an_agent_that_starts_later_is_found)
{
    TrustFeeder feeder(curve, socket, {}, quick);
    EXPECT_FALSE(feeder.wait_until_fed(50ms));
    FakeAgent agent(socket, honest);
    EXPECT_TRUE(feeder.wait_until_fed(10s));
}

TEST_F(TrustFeederTest, keys_are_registered_again_when_the_agent_restarts)
{
    {
        FakeAgent agent(socket, honest);
        TrustFeeder probe(curve, socket, {}, quick);
        EXPECT_TRUE(probe.wait_until_fed(10s));
    }
    auto first = std::make_unique<FakeAgent>(socket, honest);
    TrustFeeder feeder(curve, socket, {{3, key_of(1)}}, quick);
    EXPECT_TRUE(happens([&] { return first->registered().size() == 1; }));
    first.reset();
    EXPECT_TRUE(happens([&] { return !feeder.state().connected; }));
    FakeAgent second(socket, honest);
    EXPECT_TRUE(happens([&] { return second.registered().size() == 1; }));
}

TEST_F(TrustFeederTest, a_replayed_token_is_refused_inside)
{
    Buffer first;
    FakeAgent agent(socket, [&](const node_link::Message& asked) -> std::optional<node_link::Message> {
        const auto* const time = std::get_if<node_link::Time>(&asked);
        if (time == nullptr) {
            return honest(asked);
        }
        if (first.empty()) {
            first.assign(time->nonce.bytes.begin(), time->nonce.bytes.end());
        }
        node_link::TimeAnswer answer;
        answer.token = first;
        return answer;
    });
    TrustFeeder feeder(curve, socket, {}, quick);
    EXPECT_TRUE(happens([&] { return curve.refused > 3; }));
    EXPECT_EQ(curve.tokens, 1);
    EXPECT_EQ(feeder.state().tokens, 1U);
    EXPECT_FALSE(feeder.state().trouble.empty());
}

TEST_F(TrustFeederTest, an_agent_that_withholds_is_left_and_asked_anew)
{
    FakeAgent agent(socket, [&](const node_link::Message& asked) -> std::optional<node_link::Message> {
        return std::holds_alternative<node_link::Time>(asked) ? std::nullopt : honest(asked);
    });
    TrustFeeder feeder(curve, socket, {{1, key_of(1)}}, impatient);
    EXPECT_FALSE(feeder.add_peer(key_of(5)));
    EXPECT_TRUE(happens([&] { return agent.connections > 1; }));
    EXPECT_EQ(curve.tokens, 0);
    EXPECT_TRUE(curve.results_now().empty());
}

TEST_F(TrustFeederTest, who_drops_a_feeder_waits_for_no_silent_agent)
{
    std::atomic<bool> asked_for_time = false;
    FakeAgent agent(socket, [&](const node_link::Message& asked) -> std::optional<node_link::Message> {
        asked_for_time = asked_for_time || std::holds_alternative<node_link::Time>(asked);
        return std::nullopt;
    });
    constexpr FeederLimits patient{10ms, 100s, 40ms};
    std::optional<TrustFeeder> feeder(std::in_place, curve, socket, std::vector<FedKey>{}, patient);
    ASSERT_TRUE(happens([&] { return asked_for_time.load(); }));
    const auto began = std::chrono::steady_clock::now();
    feeder.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - began, patient.answer_wait);
}

TEST_F(TrustFeederTest, a_late_answer_is_not_taken_for_the_next_one)
{
    std::atomic<int> asked_times = 0;
    FakeAgent agent(socket, [&](const node_link::Message& asked) -> std::optional<node_link::Message> {
        if (++asked_times == 1) {
            std::this_thread::sleep_for(200ms); // beyond the feeder's patience
        }
        return honest(asked);
    });
    TrustFeeder feeder(curve, socket, {}, impatient);
    EXPECT_TRUE(happens([&] { return curve.tokens > 2; }));
    EXPECT_EQ(curve.refused, 0);
    EXPECT_GT(agent.connections, 1);
}

TEST_F(TrustFeederTest, a_refusal_keeps_the_connection_and_tells_why)
{
    std::atomic<bool> refusing = true;
    FakeAgent agent(socket, [&](const node_link::Message& asked) -> std::optional<node_link::Message> {
        if (refusing) {
            return node_link::Refused{Kind::unavailable, "the server is away"};
        }
        return honest(asked);
    });
    TrustFeeder feeder(curve, socket, {}, quick);
    EXPECT_TRUE(happens([&] { return feeder.state().trouble.find("the server is away") != std::string::npos; }));
    EXPECT_TRUE(feeder.state().connected);
    refusing = false;
    EXPECT_TRUE(feeder.wait_until_fed(10s));
    EXPECT_EQ(agent.connections, 1);
}

TEST_F(TrustFeederTest, a_key_the_witness_refuses_does_not_stop_the_time)
{
    FakeAgent agent(socket, [&](const node_link::Message& asked) -> std::optional<node_link::Message> {
        if (std::holds_alternative<node_link::Register>(asked)) {
            return node_link::Refused{Kind::unauthentic, "no"};
        }
        return honest(asked);
    });
    TrustFeeder feeder(curve, socket, {{1, key_of(1)}}, quick);
    EXPECT_TRUE(happens([&] { return curve.tokens > 2; }));
    EXPECT_FALSE(feeder.state().registered);
}

using Asked = std::map<std::array<std::uint8_t, 32>, std::size_t>; // key and how often it was asked for

// Honest, and counts what it is asked for; has results for the keys in `owned` alone, which name them.
class CountingVerifier {
  public:
    explicit CountingVerifier(std::vector<protocol::CurveKey> owned = {})
        : owned_(std::move(owned))
    {
    }
    std::optional<node_link::Message> operator()(const node_link::Message& asked)
    {
        const auto* const time = std::get_if<node_link::Time>(&asked);
        if (time == nullptr) {
            return honest(asked);
        }
        const std::lock_guard lock(mutex_);
        node_link::TimeAnswer answer;
        answer.token = time->nonce.bytes;
        most_ = std::max(most_, time->key_count);
        for (std::size_t index = 0; index < time->key_count; ++index) {
            ++asked_[time->keys[index].bytes];
            const auto own = std::find(owned_.begin(), owned_.end(), time->keys[index]);
            if (own != owned_.end()) {
                answer.results[answer.result_count] = own->bytes;
                ++answer.result_count;
            }
        }
        return answer;
    }
    std::size_t times(const protocol::CurveKey& key)
    {
        const std::lock_guard lock(mutex_);
        return asked_[key.bytes];
    }
    std::size_t most()
    {
        const std::lock_guard lock(mutex_);
        return most_;
    }

  private:
    const std::vector<protocol::CurveKey> owned_;
    std::mutex mutex_;
    Asked asked_;
    std::size_t most_ = 0;
};

TEST_F(TrustFeederTest, more_kept_peers_than_a_request_holds_are_all_asked_for_again_and_again)
{
    CountingVerifier verifier;
    FakeAgent agent(socket, std::ref(verifier));
    TrustFeeder feeder(curve, socket, {}, quick);
    for (std::uint8_t number = 0; number < 200; ++number) {
        EXPECT_TRUE(feeder.keep_peer(key_of(number)));
    }
    for (std::uint8_t number = 0; number < 200; ++number) {
        EXPECT_TRUE(happens([&] { return verifier.times(key_of(number)) > 2; })) << int{number};
    }
    EXPECT_LE(verifier.most(), node_link::keys_max);
}

TEST_F(TrustFeederTest, strangers_without_end_do_not_push_out_a_live_peer)
{
    const auto live = key_of(1);
    CountingVerifier verifier({live});
    FakeAgent agent(socket, std::ref(verifier));
    TrustFeeder feeder(curve, socket, {}, quick);
    EXPECT_TRUE(feeder.keep_peer(live));
    for (std::uint16_t number = 0; number < 10000; ++number) {
        auto stranger = key_of(0xee);
        std::memcpy(stranger.bytes.data(), &number, sizeof number);
        feeder.want_peer(stranger);
    }
    const auto before = verifier.times(live);
    EXPECT_TRUE(happens([&] { return verifier.times(live) > before + 5; }));
}

TEST_F(TrustFeederTest, a_wanted_key_with_a_result_is_asked_for_again_and_one_without_is_not)
{
    const auto real = key_of(1);
    const auto stranger = key_of(2);
    CountingVerifier verifier({real});
    FakeAgent agent(socket, std::ref(verifier));
    TrustFeeder feeder(curve, socket, {}, quick);
    feeder.want_peer(stranger);
    feeder.want_peer(real);
    EXPECT_TRUE(happens([&] { return verifier.times(real) > 3; }));
    EXPECT_EQ(verifier.times(stranger), 1U);
}

} // namespace
} // namespace caisson::host::net
