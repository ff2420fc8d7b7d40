#include "host/net/tls_server.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace caisson::host::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

template <auto Function>
struct FreeWith {
    template <typename T>
    void operator()(T* object) const
    {
        Function(object);
    }
};
using Context = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, FreeWith<SSL_free>>;
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using Addresses = std::unique_ptr<addrinfo, FreeWith<freeaddrinfo>>;

constexpr int backlog = 128;
constexpr int verify_depth = 1;

Bio reader_of(const std::string& pem)
{
    return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Outcome<Context> make_context(const CertifiedKey& own, const std::string& authority_pem)
{
    const Certificate certificate(PEM_read_bio_X509(reader_of(own.certificate_pem).get(), nullptr, nullptr, nullptr));
    const Key key(PEM_read_bio_PrivateKey(reader_of(own.key_pem).get(), nullptr, nullptr, nullptr));
    const Certificate authority(PEM_read_bio_X509(reader_of(authority_pem).get(), nullptr, nullptr, nullptr));
    Context context(SSL_CTX_new(TLS_server_method()));
    auto* ssl = context.get();
    if (!certificate || !key || !authority || ssl == nullptr || SSL_CTX_use_certificate(ssl, certificate.get()) != 1 ||
        SSL_CTX_use_PrivateKey(ssl, key.get()) != 1 || SSL_CTX_check_private_key(ssl) != 1) {
        return fault(Kind::malformed, "the server's TLS key and certificates do not fit; restore them from a backup");
    }
    SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), authority.get());
    SSL_CTX_add_client_CA(ssl, authority.get());
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, nullptr); // a wrong certificate is refused, a missing one is seen later
    SSL_CTX_set_verify_depth(ssl, verify_depth);
    SSL_CTX_set_purpose(ssl, X509_PURPOSE_SSL_CLIENT);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET); // each connection proves itself anew
    SSL_CTX_set_num_tickets(ssl, 0);
    return context;
}

struct HostPort {
    std::string host;
    std::string port;
};

Outcome<HostPort> split(const std::string& address)
{
    const auto colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
        return fault(Kind::malformed, "the address \"" + address + "\" is not HOST:PORT");
    }
    HostPort out{address.substr(0, colon), address.substr(colon + 1)};
    if (out.host.front() == '[' && out.host.back() == ']') {
        out.host = out.host.substr(1, out.host.size() - 2);
    }
    return out;
}

std::string text_of_address(const sockaddr* address, socklen_t size)
{
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    if (getnameinfo(address, size, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return "?";
    }
    const std::string name(host.data());
    return (name.find(':') != std::string::npos ? "[" + name + "]" : name) + ":" + port.data();
}

Outcome<int> listening_socket(const std::string& address)
{
    const auto parts = TRY(split(address));
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found); error != 0) {
        return fault(Kind::malformed, "the address \"" + address + "\": " + gai_strerror(error));
    }
    const Addresses addresses(found);
    const int descriptor = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (descriptor < 0 || ::bind(descriptor, found->ai_addr, found->ai_addrlen) != 0 ||
        ::listen(descriptor, backlog) != 0) {
        const int error = errno;
        if (descriptor >= 0) {
            ::close(descriptor);
        }
        if (error == EADDRINUSE) {
            return fault(Kind::conflict, "listening on " + address + ": another program listens there already");
        }
        return std::unexpected(system_fault("listening on " + address, error));
    }
    return descriptor;
}

// Waits for what the TLS engine wants; false when the time is over.
bool wait_for(int descriptor, short events, Clock::time_point deadline)
{
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    pollfd wanted{descriptor, events, 0};
    return left > 0 && ::poll(&wanted, 1, static_cast<int>(left)) > 0;
}

std::optional<Digest> spki_of_peer(SSL* ssl)
{
    const Certificate certificate(SSL_get1_peer_certificate(ssl));
    if (!certificate) {
        return std::nullopt;
    }
    unsigned char* encoded = nullptr;
    const int size = i2d_PUBKEY(X509_get0_pubkey(certificate.get()), &encoded);
    Digest digest{};
    SHA256(encoded, static_cast<std::size_t>(size), digest.data());
    OPENSSL_free(encoded);
    return digest;
}

} // namespace

struct TlsConnection::Inside {
    int descriptor = -1;
    Session ssl;
    std::optional<Digest> spki;
    std::string peer;
    bool broken = false;

    ~Inside()
    {
        if (ssl && !broken) {
            SSL_shutdown(ssl.get());
        }
        if (descriptor >= 0) {
            ::close(descriptor);
        }
    }

    // Repeats `step` until it succeeds, fails for good, or the time is over.
    template <typename Step>
    [[nodiscard]] bool drive(milliseconds wait, Step step)
    {
        const auto deadline = Clock::now() + wait;
        while (true) {
            ERR_clear_error();
            const int result = step();
            if (result > 0) {
                return true;
            }
            const int why = SSL_get_error(ssl.get(), result);
            const short events = why == SSL_ERROR_WANT_READ ? POLLIN : why == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
            broken = events == 0;
            if (broken || !wait_for(descriptor, events, deadline)) {
                return false;
            }
        }
    }
};

TlsConnection::TlsConnection(std::unique_ptr<Inside> inside) noexcept
    : inside_(std::move(inside))
{
}
TlsConnection::TlsConnection(TlsConnection&&) noexcept = default;
TlsConnection& TlsConnection::operator=(TlsConnection&&) noexcept = default;
TlsConnection::~TlsConnection() = default;

const std::optional<Digest>& TlsConnection::client_spki_sha256() const noexcept
{
    return inside_->spki;
}

const std::string& TlsConnection::peer() const noexcept
{
    return inside_->peer;
}

Outcome<ByteArray<32>> TlsConnection::exporter(std::string_view label)
{
    ByteArray<32> out;
    if (SSL_export_keying_material(inside_->ssl.get(), out.data(), out.size(), label.data(), label.size(), nullptr, 0,
                                   0) != 1) {
        return fault(Kind::unavailable, "the TLS connection gives no exporter");
    }
    return out;
}

Done TlsConnection::send(Bytes bytes, milliseconds wait)
{
    std::size_t done = 0;
    while (done < bytes.size()) {
        std::size_t written = 0;
        if (!inside_->drive(wait, [&] {
                return SSL_write_ex(inside_->ssl.get(), bytes.data() + done, bytes.size() - done, &written);
            })) {
            return fault(Kind::unavailable, "the peer is gone or takes nothing");
        }
        done += written;
    }
    return {};
}

Done TlsConnection::receive(MutableBytes bytes, milliseconds wait)
{
    std::size_t done = 0;
    while (done < bytes.size()) {
        std::size_t got = 0;
        if (!inside_->drive(wait, [&] {
                return SSL_read_ex(inside_->ssl.get(), bytes.data() + done, bytes.size() - done, &got);
            })) {
            return fault(Kind::unavailable, "the peer is gone or says nothing");
        }
        done += got;
    }
    return {};
}

bool TlsConnection::usable() const noexcept
{
    return !inside_->broken;
}

struct TlsServer::Inside {
    int descriptor = -1;
    Context context;
    std::string address;

    ~Inside()
    {
        if (descriptor >= 0) {
            ::close(descriptor);
        }
    }
};

TlsServer::TlsServer(std::unique_ptr<Inside> inside) noexcept
    : inside_(std::move(inside))
{
}
TlsServer::TlsServer(TlsServer&&) noexcept = default;
TlsServer& TlsServer::operator=(TlsServer&&) noexcept = default;
TlsServer::~TlsServer() = default;

Outcome<TlsServer> TlsServer::listen(const std::string& address, const CertifiedKey& own,
                                     const std::string& authority_pem)
{
    auto inside = std::make_unique<Inside>();
    inside->context = TRY(make_context(own, authority_pem));
    inside->descriptor = TRY(listening_socket(address));
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    ::getsockname(inside->descriptor, reinterpret_cast<sockaddr*>(&bound), &size);
    inside->address = text_of_address(reinterpret_cast<sockaddr*>(&bound), size);
    return TlsServer(std::move(inside));
}

const std::string& TlsServer::address() const noexcept
{
    return inside_->address;
}

std::optional<int> TlsServer::accept(milliseconds wait)
{
    pollfd wanted{inside_->descriptor, POLLIN, 0};
    if (::poll(&wanted, 1, static_cast<int>(wait.count())) <= 0) {
        return std::nullopt;
    }
    const int descriptor = ::accept4(inside_->descriptor, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return descriptor < 0 ? std::nullopt : std::optional(descriptor);
}

Outcome<TlsConnection> TlsServer::secure(int descriptor, milliseconds wait)
{
    auto inside = std::make_unique<TlsConnection::Inside>();
    inside->descriptor = descriptor;
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size);
    inside->peer = text_of_address(reinterpret_cast<sockaddr*>(&peer), size);
    inside->ssl.reset(SSL_new(inside_->context.get()));
    if (!inside->ssl || SSL_set_fd(inside->ssl.get(), descriptor) != 1) {
        return fault(Kind::unavailable, "OpenSSL gives no connection");
    }
    if (!inside->drive(wait, [&inside] { return SSL_accept(inside->ssl.get()); })) {
        return fault(Kind::unauthentic, inside->peer + ": no TLS 1.3 handshake with a certificate of this fabric");
    }
    inside->spki = spki_of_peer(inside->ssl.get());
    return TlsConnection(std::move(inside));
}

} // namespace caisson::host::net
