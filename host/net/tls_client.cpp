#include "host/net/tls_client.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace caisson::host::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

template <auto Free>
struct Freer {
    template <typename T>
    void operator()(T* object) const noexcept
    {
        Free(object);
    }
};
using Context = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using Connection = std::unique_ptr<SSL, Freer<SSL_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Memory = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using Addresses = std::unique_ptr<addrinfo, Freer<freeaddrinfo>>;

class Socket {
  public:
    explicit Socket(int number = -1) noexcept
        : number_(number)
    {
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { reset(-1); }
    void reset(int number) noexcept
    {
        if (number_ >= 0) {
            ::close(number_);
        }
        number_ = number;
    }
    [[nodiscard]] int number() const noexcept { return number_; }

  private:
    int number_;
};

Memory memory_of(const std::string& text)
{
    return Memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Certificate certificate_of(const std::string& pem)
{
    const auto memory = memory_of(pem);
    return Certificate(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
}

std::string openssl_reason()
{
    const auto code = ERR_get_error();
    const char* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    ERR_clear_error();
    return reason == nullptr ? "the connection ended" : reason;
}

// [MEASURE-17] TLS 1.3 only, one root, a chain of depth 1, the peer's certificate made for servers.
Outcome<Context> make_context(const TlsCredentials& credentials)
{
    Context context(SSL_CTX_new(TLS_client_method()));
    const auto root = certificate_of(credentials.ca_pem);
    if (!context || !root || X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), root.get()) != 1) {
        return fault(Kind::malformed, "TLS: the CA certificate is not one in PEM; join the server again");
    }
    SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_verify_depth(context.get(), 1);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
    if (credentials.certificate_pem.empty()) {
        return context;
    }
    const auto own = certificate_of(credentials.certificate_pem);
    const auto memory = memory_of(credentials.key_pem);
    const Key key(PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr));
    if (!own || !key || SSL_CTX_use_certificate(context.get(), own.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
        ERR_clear_error();
        return fault(Kind::malformed, "TLS: the node's certificate and key do not belong together; join again");
    }
    return context;
}

Done wait_for(int socket, short events, Clock::time_point until)
{
    while (true) {
        const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
        pollfd descriptor{socket, events, 0};
        const auto ready = ::poll(&descriptor, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
        if (ready > 0) {
            return {};
        }
        if (ready < 0 && errno != EINTR) {
            return std::unexpected(system_fault("waiting for the server", errno));
        }
        if (ready == 0 && Clock::now() >= until) {
            return fault(Kind::unavailable, "the server did not answer in time");
        }
    }
}

Outcome<std::pair<std::string, std::string>> split_address(const std::string& address)
{
    const auto colon = address.rfind(':');
    auto host = address.substr(0, colon);
    if (colon == std::string::npos || colon + 1 == address.size() || host.empty()) {
        return fault(Kind::malformed, "server address \"" + address + "\": HOST:PORT is expected");
    }
    if (host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    return std::pair{host, address.substr(colon + 1)};
}

Done connect_one(Socket& socket, const addrinfo& target, Clock::time_point until)
{
    socket.reset(::socket(target.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.number() < 0) {
        return std::unexpected(system_fault("making a socket", errno));
    }
    const int on = 1;
    ::setsockopt(socket.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket.number(), target.ai_addr, target.ai_addrlen) == 0) {
        return {};
    }
    if (errno != EINPROGRESS) {
        return std::unexpected(system_fault("connecting", errno));
    }
    TRY(wait_for(socket.number(), POLLOUT, until));
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.number(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        return std::unexpected(system_fault("connecting", error));
    }
    return {};
}

Done connect_to(Socket& socket, const std::string& address, Clock::time_point until)
{
    const auto [host, port] = TRY(split_address(address));
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
        return fault(Kind::unavailable, "server " + address + ": " + ::gai_strerror(error));
    }
    const Addresses addresses(found);
    Done last = fault(Kind::unavailable, "no address");
    for (const auto* target = found; target != nullptr; target = target->ai_next) {
        last = connect_one(socket, *target, until);
        if (last) {
            return {};
        }
    }
    return fault(Kind::unavailable, "server " + address + ": " + last.error().what);
}

} // namespace

struct TlsClient::Inside {
    Socket socket;
    Context context;
    Connection connection;

    // Runs one OpenSSL step until it is done or `until`.
    template <typename Step>
    Done drive(const char* doing, Clock::time_point until, Step step)
    {
        while (true) {
            ERR_clear_error();
            const int outcome = step();
            if (outcome > 0) {
                return {};
            }
            const int error = SSL_get_error(connection.get(), outcome);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
                TRY(wait_for(socket.number(), error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until));
                continue;
            }
            if (SSL_get_verify_result(connection.get()) != X509_V_OK) {
                return fault(Kind::unauthentic,
                             std::string("TLS: the server is not the one this node joined: ") +
                                 X509_verify_cert_error_string(SSL_get_verify_result(connection.get())));
            }
            return fault(Kind::unavailable, std::string("TLS: ") + doing + ": " + openssl_reason());
        }
    }
};

TlsClient::TlsClient(std::unique_ptr<Inside> inside) noexcept
    : inside_(std::move(inside))
{
}
TlsClient::TlsClient(TlsClient&&) noexcept = default;
TlsClient& TlsClient::operator=(TlsClient&&) noexcept = default;
TlsClient::~TlsClient() = default;

Outcome<TlsClient> TlsClient::connect(const std::string& address, const TlsCredentials& credentials, milliseconds wait)
{
    // OpenSSL writes without MSG_NOSIGNAL: a peer that goes away must not end the process.
    static const auto ignored = std::signal(SIGPIPE, SIG_IGN);
    static_cast<void>(ignored);
    const auto until = Clock::now() + wait;
    auto inside = std::make_unique<Inside>();
    inside->context = TRY(make_context(credentials));
    TRY(connect_to(inside->socket, address, until));
    inside->connection.reset(SSL_new(inside->context.get()));
    if (!inside->connection || SSL_set_fd(inside->connection.get(), inside->socket.number()) != 1) {
        return fault(Kind::exhausted, "TLS: no memory for a connection");
    }
    TRY(inside->drive("handshake", until, [&] { return SSL_connect(inside->connection.get()); }));
    return TlsClient(std::move(inside));
}

Outcome<ByteArray<32>> TlsClient::exporter(std::string_view label)
{
    ByteArray<32> bytes;
    if (SSL_export_keying_material(inside_->connection.get(), bytes.data(), bytes.size(), label.data(), label.size(),
                                   nullptr, 0, 0) != 1) {
        return fault(Kind::unavailable, "TLS: no exporter");
    }
    return bytes;
}

Done TlsClient::send(Bytes bytes, milliseconds wait)
{
    const auto until = Clock::now() + wait;
    std::size_t done = 0;
    while (done < bytes.size()) {
        std::size_t count = 0;
        TRY(inside_->drive("sending", until, [&] {
            return SSL_write_ex(inside_->connection.get(), bytes.data() + done, bytes.size() - done, &count);
        }));
        done += count;
    }
    return {};
}

Done TlsClient::receive(MutableBytes bytes, milliseconds wait)
{
    const auto until = Clock::now() + wait;
    std::size_t done = 0;
    while (done < bytes.size()) {
        std::size_t count = 0;
        TRY(inside_->drive("receiving", until, [&] {
            return SSL_read_ex(inside_->connection.get(), bytes.data() + done, bytes.size() - done, &count);
        }));
        done += count;
    }
    return {};
}

} // namespace caisson::host::net
