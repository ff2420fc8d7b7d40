// The agent's end of the verifier link against servers that are right, wrong, silent and gone.
#include "host/net/tls_client.hpp"

#include "host/net/certificate.hpp"
#include "host/net/tls_key.hpp"
#include "host/net/tls_server.hpp"

#include <gtest/gtest.h>

#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace caisson::host::net {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view label = "EXPORTER-caisson-v1";

// One accepted connection, served by `serve` in a thread.
class OneServer {
  public:
    OneServer(const CertifiedKey& own, const std::string& authority_pem, std::function<void(TlsConnection&)> serve)
        : server_(TlsServer::listen("127.0.0.1:0", own, authority_pem))
    {
        EXPECT_TRUE(server_) << server_.error().what;
        thread_ = std::thread([this, serve = std::move(serve)] {
            const auto descriptor = server_->accept(10s);
            if (!descriptor) {
                return;
            }
            auto connection = server_->secure(*descriptor, 5s);
            if (connection) {
                serve(*connection);
            }
        });
    }
    ~OneServer() { thread_.join(); }
    OneServer(const OneServer&) = delete;
    OneServer& operator=(const OneServer&) = delete;
    [[nodiscard]] const std::string& address() const { return server_->address(); }

  private:
    Outcome<TlsServer> server_;
    std::thread thread_;
};

class TlsClientTest : public testing::Test {
  protected:
    CertifiedKey authority = *make_authority("test");
    CertifiedKey server_key = *make_server_certificate(authority, "127.0.0.1");
    TlsKey node_key = *make_tls_key("alpha");
    NodeCertificate node = *certify_node(authority, node_key.csr, "alpha");

    [[nodiscard]] TlsCredentials credentials() const
    {
        return {authority.certificate_pem, node.certificate_pem, node_key.pem};
    }
    [[nodiscard]] TlsCredentials without_certificate() const { return {authority.certificate_pem, {}, {}}; }
};

TEST_F(TlsClientTest, both_ends_know_the_same_exporter_and_the_server_the_nodes_key)
{
    ByteArray<32> theirs{};
    std::optional<Digest> spki;
    ByteArray<32> ours{};
    {
        OneServer server(server_key, authority.certificate_pem, [&](TlsConnection& connection) {
            theirs = *connection.exporter(label);
            spki = connection.client_spki_sha256();
            ByteArray<5> heard{};
            EXPECT_TRUE(connection.receive(heard, 5s));
            EXPECT_TRUE(connection.send(heard, 5s));
        });
        auto client = TlsClient::connect(server.address(), credentials(), 5s);
        ASSERT_TRUE(client) << client.error().what;
        ours = *client->exporter(label);
        ASSERT_TRUE(client->send(bytes_of("hello"), 5s));
        ByteArray<5> echoed{};
        ASSERT_TRUE(client->receive(echoed, 5s));
        EXPECT_EQ(text_of(echoed), "hello");
    }
    EXPECT_EQ(ours, theirs);
    EXPECT_EQ(spki, node_key.spki_sha256);
    EXPECT_EQ(*spki_sha256_of_key(node_key.pem), node_key.spki_sha256);
}

TEST_F(TlsClientTest, before_enrolment_it_connects_without_a_certificate)
{
    std::optional<Digest> spki = Digest{};
    {
        OneServer server(server_key, authority.certificate_pem,
                         [&](TlsConnection& connection) { spki = connection.client_spki_sha256(); });
        EXPECT_TRUE(TlsClient::connect(server.address(), without_certificate(), 5s));
    }
    EXPECT_FALSE(spki);
}

// [MEASURE-17]
TEST_F(TlsClientTest, a_server_of_another_authority_is_unauthentic)
{
    const auto other = *make_authority("test");
    const auto other_key = *make_server_certificate(other, "127.0.0.1");
    OneServer server(other_key, other.certificate_pem, [](TlsConnection&) {});
    const auto client = TlsClient::connect(server.address(), without_certificate(), 5s);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind, Kind::unauthentic);
}

// [MEASURE-17]
TEST_F(TlsClientTest, a_node_of_the_same_authority_is_no_server)
{
    OneServer server({node_key.pem, node.certificate_pem}, authority.certificate_pem, [](TlsConnection&) {});
    const auto client = TlsClient::connect(server.address(), without_certificate(), 5s);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().kind, Kind::unauthentic);
}

TEST_F(TlsClientTest, a_server_that_is_silent_is_left_in_time)
{
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    const auto where = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    EXPECT_EQ(TlsClient::connect(where, without_certificate(), 100ms).error().kind, Kind::unavailable);
    ::close(listener);
    EXPECT_EQ(TlsClient::connect(where, without_certificate(), 1s).error().kind, Kind::unavailable);
}

TEST_F(TlsClientTest, a_connection_that_ends_is_unavailable)
{
    OneServer server(server_key, authority.certificate_pem, [](TlsConnection&) {});
    auto client = TlsClient::connect(server.address(), credentials(), 5s);
    ASSERT_TRUE(client);
    ByteArray<1> byte{};
    EXPECT_EQ(client->receive(byte, 5s).error().kind, Kind::unavailable);
}

TEST_F(TlsClientTest, an_answer_that_does_not_come_is_not_waited_for_for_ever)
{
    OneServer server(server_key, authority.certificate_pem, [](TlsConnection& connection) {
        ByteArray<1> byte{};
        static_cast<void>(connection.receive(byte, 5s));
    });
    auto client = TlsClient::connect(server.address(), credentials(), 5s);
    ASSERT_TRUE(client);
    ByteArray<1> byte{};
    EXPECT_EQ(client->receive(byte, 50ms).error().kind, Kind::unavailable);
}

TEST_F(TlsClientTest, addresses_and_credentials_that_are_none_are_malformed)
{
    for (const auto* address : {"", "host", ":1", "host:"}) {
        EXPECT_EQ(TlsClient::connect(address, without_certificate(), 1s).error().kind, Kind::malformed) << address;
    }
    EXPECT_EQ(TlsClient::connect("127.0.0.1:1", {"nonsense", {}, {}}, 1s).error().kind, Kind::malformed);
    const auto other_key = *make_tls_key("beta");
    const TlsCredentials mixed{authority.certificate_pem, node.certificate_pem, other_key.pem};
    EXPECT_EQ(TlsClient::connect("127.0.0.1:1", mixed, 1s).error().kind, Kind::malformed);
    EXPECT_EQ(spki_sha256_of_key("nonsense").error().kind, Kind::malformed);
}

} // namespace
} // namespace caisson::host::net
