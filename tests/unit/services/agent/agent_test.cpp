// A whole agent against a server in the same process: real witness, real files, real node link; no TLS.
#include "host/net/node_link_client.hpp"
#include "services/agent/home.hpp"
#include "services/agent/join.hpp"
#include "services/agent/node_link_server.hpp"
#include "tests/unit/services/agent/fake_server.hpp"
#include "tests/unit/services/agent/witness_enclave.hpp"

#include "host/text.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace caisson::services::agent {
namespace {

namespace link = protocol::verifier_link;
namespace node_link = protocol::node_link;
using namespace std::chrono_literals;
using Buffer = std::vector<std::uint8_t>;
using host::fault;
using host::hex;
using host::Outcome;

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

class FakeVerifier final : public Verifier {
  public:
    explicit FakeVerifier(FakeServer& server)
        : server_(server)
    {
        randombytes_buf(exporter_.bytes.data(), exporter_.bytes.size());
    }
    [[nodiscard]] const protocol::Exporter& exporter() const noexcept override { return exporter_; }
    [[nodiscard]] bool usable() const noexcept override { return usable_; }
    Outcome<link::Message> ask(const link::Message& message, std::chrono::milliseconds /*wait*/) override
    {
        auto answer = server_.answer(message, exporter_, storage_);
        usable_ = answer || answer.error().kind != Kind::unavailable;
        return answer;
    }

  private:
    FakeServer& server_;
    protocol::Exporter exporter_;
    bool usable_ = true;
    Buffer storage_;
};

class AgentTest : public testing::Test {
  protected:
    AgentTest()
        : home(make_folder())
        , file(home / "measured")
        , server(file)
    {
        std::filesystem::create_directories(agent_folder(home));
        put("good");
    }
    ~AgentTest() override
    {
        stop();
        std::filesystem::remove_all(home);
    }
    static std::filesystem::path make_folder()
    {
        char name[] = "/tmp/agentXXXXXX";
        return ::mkdtemp(name);
    }
    void put(std::string_view text) const { std::ofstream(file, std::ios::binary) << text; }

    [[nodiscard]] Invitation invitation() const
    {
        Invitation made;
        made.server = "127.0.0.1:1";
        made.ca_pem = "CA";
        made.server_signing_key = server.verifying_key;
        made.server_box_key = server.box_key;
        made.token = server.token;
        return made;
    }
    Outcome<JoinedFacts> join_server(const Invitation& with, const std::string& name = "alpha")
    {
        return join(home, with, name, witness,
                    [this](const Invitation&) -> Outcome<std::unique_ptr<Verifier>> { return connected(); });
    }
    Outcome<std::unique_ptr<Verifier>> connected()
    {
        const std::lock_guard lock(server.mutex);
        if (server.down) {
            return fault(Kind::unavailable, "nobody listens");
        }
        return std::make_unique<FakeVerifier>(server);
    }
    void start()
    {
        ASSERT_TRUE(join_server(invitation()));
        const ConnectVerifier connect = [this] { return connected(); };
        relay = std::make_unique<Relay>(witness, Digest{}, connect, RelayLimits{1000ms, 1ms, 5ms});
        auto started = NodeLinkServer::start(agent_folder(home), "127.0.0.1:1", witness, *relay, state);
        ASSERT_TRUE(started) << started.error().what;
        node_link_server = std::move(*started);
        session = std::make_unique<Session>(witness, Digest{}, connect, state, SessionLimits{1000ms, 1ms, 5ms});
        thread = std::thread([this] { outcome = session->run(); });
    }
    void stop()
    {
        state.stop();
        if (thread.joinable()) {
            thread.join();
        }
        node_link_server.reset();
    }
    bool becomes(protocol::TrustTier tier)
    {
        return happens([this, tier] { return state.view().judged && state.view().tier == tier; });
    }
    host::net::NodeLinkClient client()
    {
        auto made = host::net::NodeLinkClient::connect(agent_folder(home) / "agent.sock");
        EXPECT_TRUE(made);
        return std::move(*made);
    }

    std::filesystem::path home;
    std::filesystem::path file;
    FakeServer server;
    WitnessEnclave enclave;
    host::enclave::WitnessChamber witness{enclave};
    AgentState state;
    std::unique_ptr<Relay> relay;
    std::unique_ptr<NodeLinkServer> node_link_server;
    std::unique_ptr<Session> session;
    host::Done outcome;
    std::thread thread;
};

TEST_F(AgentTest, joining_keeps_what_running_needs_and_not_the_token)
{
    const auto joined = join_server(invitation());
    ASSERT_TRUE(joined) << joined.error().what;
    EXPECT_EQ(joined->witness_key, server.node);
    const auto loaded = load_joined(home);
    ASSERT_TRUE(loaded) << loaded.error().what;
    EXPECT_EQ(loaded->name, "alpha");
    EXPECT_EQ(loaded->server_signing_key, server.verifying_key);
    EXPECT_EQ(loaded->credentials.certificate_pem, "CERTIFICATE");
    for (const auto& entry : std::filesystem::directory_iterator(agent_folder(home))) {
        struct stat facts{};
        ASSERT_EQ(::stat(entry.path().c_str(), &facts), 0);
        EXPECT_EQ(facts.st_mode & 0777U, 0600U) << entry.path();
        std::ifstream stream(entry.path());
        const std::string content((std::istreambuf_iterator<char>(stream)), {});
        EXPECT_EQ(content.find(hex(server.token)), std::string::npos) << entry.path();
    }
    // The sealed identity is the one the server enrolled.
    WitnessEnclave again;
    host::enclave::WitnessChamber other(again);
    EXPECT_EQ(other.load_identity(loaded->sealed_identity)->witness_key, server.node);
}

TEST_F(AgentTest, a_used_token_enrols_nobody_and_leaves_nothing)
{
    server.token_used = true;
    const auto joined = join_server(invitation());
    ASSERT_FALSE(joined);
    EXPECT_EQ(joined.error().kind, Kind::forbidden);
    EXPECT_TRUE(std::filesystem::is_empty(agent_folder(home)));
    EXPECT_EQ(load_joined(home).error().kind, Kind::missing);
}

TEST_F(AgentTest, a_node_joins_once)
{
    ASSERT_TRUE(join_server(invitation()));
    EXPECT_EQ(join_server(invitation()).error().kind, Kind::conflict);
}

TEST_F(AgentTest, a_name_that_would_fool_somebody_is_refused)
{
    for (const auto* name : {"a b", "a\"b", "\x1b[31m", "a/b", "Ä"}) {
        EXPECT_EQ(join_server(invitation(), name).error().kind, Kind::malformed) << name;
    }
    EXPECT_FALSE(server.token_used);
}

TEST_F(AgentTest, a_join_file_is_read_and_a_wrong_one_names_its_field)
{
    const auto path = home / "alpha.join";
    const auto write = [&path](const std::string& text) { std::ofstream(path) << text; };
    const std::string head = "{\"version\":1,\"server\":\"127.0.0.1:7443\",\"ca_pem\":\"CA\",";
    const std::string keys =
        "\"server_signing_key\":\"" + std::string(64, 'a') + "\",\"server_box_key\":\"" + std::string(64, 'b') + "\",";
    const std::string token = "\"token\":\"" + std::string(64, 'c') + "\"";
    write(head + keys + token + ",\"name\":\"alpha\"}");
    const auto read = load_invitation(path);
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(read->server, "127.0.0.1:7443");
    EXPECT_EQ(read->name, "alpha");
    EXPECT_EQ(read->token[0], 0xcc);
    EXPECT_EQ(read->server_box_key.bytes[0], 0xbb);
    write(head + keys + token + "}");
    EXPECT_TRUE(load_invitation(path)->name.empty());

    const auto fails_with = [&](const std::string& text, const char* field) {
        write(text);
        const auto wrong = load_invitation(path);
        ASSERT_FALSE(wrong) << text;
        EXPECT_EQ(wrong.error().kind, Kind::malformed);
        EXPECT_NE(wrong.error().what.find(field), std::string::npos) << wrong.error().what;
    };
    fails_with("", "alpha.join");
    fails_with("{\"version\":2}", "version");
    fails_with(head + keys + "\"token\":\"cc\"}", "token");
    fails_with(head + token + "}", "server_signing_key");
    fails_with("{\"version\":1,\"server\":\"a b\",\"ca_pem\":\"CA\"," + keys + token + "}", "server");
    fails_with(head + keys + token + ",\"name\":\"a b\"}", "name");
    std::filesystem::remove(path);
    EXPECT_EQ(load_invitation(path).error().kind, Kind::missing);
}

TEST_F(AgentTest, a_change_is_found_and_its_end_as_well)
{
    start();
    ASSERT_TRUE(becomes(protocol::TrustTier::affirming));
    put("evil");
    ASSERT_TRUE(becomes(protocol::TrustTier::contraindicated));
    EXPECT_EQ(state.view().reasons, std::vector<std::string>{"the file changed"});
    put("good");
    EXPECT_TRUE(becomes(protocol::TrustTier::affirming));
}

TEST_F(AgentTest, a_server_that_goes_and_comes_back_is_found_again)
{
    start();
    ASSERT_TRUE(becomes(protocol::TrustTier::affirming));
    {
        const std::lock_guard lock(server.mutex);
        server.down = true;
    }
    ASSERT_TRUE(happens([this] { return !state.view().connected; }));
    const int judged = server.judged;
    {
        const std::lock_guard lock(server.mutex);
        server.down = false;
    }
    EXPECT_TRUE(happens([&] { return state.view().connected && server.judged > judged; }));
}

TEST_F(AgentTest, the_end_of_the_chamber_ends_the_agent_with_a_reason)
{
    start();
    ASSERT_TRUE(becomes(protocol::TrustTier::affirming));
    enclave.ended = true;
    thread.join();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind, Kind::unavailable);
}

TEST_F(AgentTest, told_to_stop_it_stops_well)
{
    start();
    ASSERT_TRUE(becomes(protocol::TrustTier::affirming));
    stop();
    EXPECT_TRUE(outcome);
    EXPECT_FALSE(std::filesystem::exists(agent_folder(home) / "agent.sock"));
}

TEST_F(AgentTest, a_second_agent_with_this_home_is_refused)
{
    start();
    const auto second = NodeLinkServer::start(agent_folder(home), "x", witness, *relay, state);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, Kind::conflict);
    EXPECT_TRUE(client().ask(node_link::Status{}, 5s));
}

TEST_F(AgentTest, time_is_relayed_with_the_results_of_the_keys)
{
    start();
    auto program = client();
    node_link::Time time;
    time.nonce.bytes.fill(0x5a);
    time.key_count = 2;
    const auto answer = program.ask(time, 5s);
    ASSERT_TRUE(answer) << answer.error().what;
    const auto& told = std::get<node_link::TimeAnswer>(*answer);
    EXPECT_TRUE(same_bytes(told.token, time.nonce.bytes));
    EXPECT_EQ(told.result_count, 2U);
}

TEST_F(AgentTest, while_the_server_is_away_time_is_refused_and_the_program_stays_connected)
{
    start();
    ASSERT_TRUE(becomes(protocol::TrustTier::affirming));
    auto program = client();
    {
        const std::lock_guard lock(server.mutex);
        server.down = true;
    }
    EXPECT_EQ(program.ask(node_link::Time{}, 5s).error().kind, Kind::unavailable);
    EXPECT_TRUE(program.usable());
    {
        const std::lock_guard lock(server.mutex);
        server.down = false;
    }
    EXPECT_TRUE(happens([&] { return program.ask(node_link::Time{}, 5s).has_value(); }));
}

TEST_F(AgentTest, a_key_with_a_report_reaches_the_server_and_one_merely_named_does_not)
{
    start();
    ASSERT_TRUE(becomes(protocol::TrustTier::affirming));
    auto program = client();
    protocol::CurveKey key;
    key.bytes.fill(1);
    const auto report = enclave.report_over(key);
    auto other = key;
    other.bytes[0] = 2;
    EXPECT_EQ(program.ask(node_link::Register{other, report}, 5s).error().kind, Kind::unauthentic);
    ASSERT_TRUE(program.ask(node_link::Register{key, report}, 5s));
    EXPECT_TRUE(happens([&] {
        const std::lock_guard lock(server.mutex);
        return server.last_head.key_count == 1 && server.last_head.keys[0].key == key;
    }));
}

TEST_F(AgentTest, programs_that_went_make_room_for_the_keys_of_others_and_living_ones_do_not)
{
    start();
    const auto key_of = [](std::size_t number) {
        protocol::CurveKey key;
        key.bytes.fill(static_cast<std::uint8_t>(number));
        return key;
    };
    const auto registers = [&](host::net::NodeLinkClient& program, std::size_t number) {
        return program.ask(node_link::Register{key_of(number), enclave.report_over(key_of(number))}, 5s);
    };
    auto living = client();
    for (std::size_t number = 1; number < protocol::curve_claims_max; ++number) {
        ASSERT_TRUE(registers(living, number));
    }
    {
        auto passing = client();
        ASSERT_TRUE(registers(passing, 100));
        EXPECT_EQ(registers(living, 101).error().kind, Kind::exhausted);
    }
    EXPECT_TRUE(happens([&] { return registers(living, 101).has_value(); }));
    EXPECT_EQ(registers(living, 102).error().kind, Kind::exhausted);
    EXPECT_EQ(state.view().keys, protocol::curve_claims_max);
}

TEST_F(AgentTest, the_witness_target_is_told)
{
    start();
    auto program = client();
    const auto answer = program.ask(node_link::WitnessTarget{}, 5s);
    ASSERT_TRUE(answer);
    EXPECT_EQ(std::get<node_link::WitnessTargetAnswer>(*answer).target_info[0], 0xe2);
}

TEST_F(AgentTest, status_tells_the_verdict_and_its_reasons)
{
    put("evil");
    start();
    ASSERT_TRUE(becomes(protocol::TrustTier::contraindicated));
    auto program = client();
    const auto answer = program.ask(node_link::Status{}, 5s);
    ASSERT_TRUE(answer);
    const auto& status = std::get<node_link::StatusAnswer>(*answer);
    EXPECT_EQ(status.node, "alpha");
    EXPECT_EQ(status.tier, protocol::TrustTier::contraindicated);
    EXPECT_EQ(status.text, "the file changed\n");
}

// [MEASURE-15]
TEST_F(AgentTest, a_program_that_sends_rubbish_loses_its_connection_and_nobody_else_does)
{
    start();
    auto program = client();
    for (const Buffer& rubbish :
         {Buffer{0xff, 0xff, 0xff, 0xff}, Buffer{0, 0, 0, 1, 0xff}, Buffer{0, 0, 0, 3, 0x82, 0x18, 0x65}}) {
        const int raw = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const auto path = (agent_folder(home) / "agent.sock").string();
        std::memcpy(address.sun_path, path.data(), path.size());
        ASSERT_EQ(::connect(raw, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        ASSERT_GT(::send(raw, rubbish.data(), rubbish.size(), MSG_NOSIGNAL), 0);
        char byte = 0;
        EXPECT_LE(::recv(raw, &byte, 1, 0), 0);
        ::close(raw);
    }
    EXPECT_TRUE(program.ask(node_link::Status{}, 5s));
}

// [MEASURE-18]
TEST_F(AgentTest, another_user_is_not_served_even_where_the_folder_lets_him_in)
{
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root can become somebody else";
    }
    start();
    const auto path = (agent_folder(home) / "agent.sock").string();
    EXPECT_EQ(::chmod(home.c_str(), 0755), 0);
    EXPECT_EQ(::chmod(agent_folder(home).c_str(), 0755), 0);
    EXPECT_EQ(::chmod(path.c_str(), 0666), 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const auto child = ::fork();
    if (child == 0) {
        char byte = 0;
        const int raw = ::socket(AF_UNIX, SOCK_STREAM, 0);
        const bool connected =
            ::setuid(65534) == 0 && ::connect(raw, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        ::_exit(!connected ? 2 : ::recv(raw, &byte, 1, 0) <= 0 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_TRUE(client().ask(node_link::Status{}, 5s));
}

TEST_F(AgentTest, answers_are_no_requests)
{
    start();
    auto program = client();
    EXPECT_FALSE(program.ask(node_link::RegisterAnswer{}, 5s));
    EXPECT_FALSE(program.usable());
}

} // namespace
} // namespace caisson::services::agent
