// TlsServer: the attestation server's end of the verifier link. TLS 1.3 only; a client certificate, when one is shown,
// must be of the fabric's own CA, directly (depth 1). Without one only enrolment is possible: that is the caller's
// rule.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"
#include "host/net/certificate.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace caisson::host::net {

// One accepted connection. Every wait is bounded. Not safe for concurrent use.
class TlsConnection {
  public:
    TlsConnection(TlsConnection&&) noexcept;
    TlsConnection& operator=(TlsConnection&&) noexcept;
    ~TlsConnection();

    // SHA-256 of the client certificate's SubjectPublicKeyInfo; none: it showed no certificate.
    [[nodiscard]] const std::optional<Digest>& client_spki_sha256() const noexcept;
    [[nodiscard]] const std::string& peer() const noexcept; // "127.0.0.1:41234", for the log
    // RFC 8446, section 7.5, without a context.
    Outcome<ByteArray<32>> exporter(std::string_view label);
    Done send(Bytes bytes, std::chrono::milliseconds wait);
    // Fails: unavailable (the peer is gone, or too slow).
    Done receive(MutableBytes bytes, std::chrono::milliseconds wait);
    // False once the peer is gone or broke the protocol: another receive is of no use.
    [[nodiscard]] bool usable() const noexcept;

  private:
    friend class TlsServer;
    struct Inside;
    explicit TlsConnection(std::unique_ptr<Inside> inside) noexcept;
    std::unique_ptr<Inside> inside_;
};

class TlsServer {
  public:
    // Listens on `address` (HOST:PORT; port 0: any). Fails: malformed, conflict (in use), and what the system says.
    static Outcome<TlsServer> listen(const std::string& address, const CertifiedKey& own,
                                     const std::string& authority_pem);
    TlsServer(TlsServer&&) noexcept;
    TlsServer& operator=(TlsServer&&) noexcept;
    ~TlsServer();

    [[nodiscard]] const std::string& address() const noexcept; // with the real port

    // A raw connection, or nothing within `wait`. The handshake is done by `secure`, in the connection's own thread.
    [[nodiscard]] std::optional<int> accept(std::chrono::milliseconds wait);
    // Takes the descriptor. Fails: unauthentic, unavailable (not in time).
    Outcome<TlsConnection> secure(int descriptor, std::chrono::milliseconds wait);

  private:
    struct Inside;
    explicit TlsServer(std::unique_ptr<Inside> inside) noexcept;
    std::unique_ptr<Inside> inside_;
};

} // namespace caisson::host::net
