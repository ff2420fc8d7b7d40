// TlsClient: one connection to the attestation server. TLS 1.3 only, the fabric's own CA only, mutual once enrolled.
// Every wait is bounded. Not safe for concurrent use.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace caisson::host::net {

struct TlsCredentials {
    std::string ca_pem;          // the only root
    std::string certificate_pem; // with its key: empty before enrolment
    std::string key_pem;
};

class TlsClient {
  public:
    // `address` is HOST:PORT or [HOST]:PORT. Fails: malformed (address, credentials), unavailable (no connection, or
    // not in time), unauthentic (the peer is no server of this CA).
    static Outcome<TlsClient> connect(const std::string& address, const TlsCredentials& credentials,
                                      std::chrono::milliseconds wait);
    TlsClient(TlsClient&&) noexcept;
    TlsClient& operator=(TlsClient&&) noexcept;
    ~TlsClient();

    // RFC 8446, section 7.5, without a context.
    Outcome<ByteArray<32>> exporter(std::string_view label);

    // All of it, within `wait`. Fails: unavailable; the connection is then of no more use.
    Done send(Bytes bytes, std::chrono::milliseconds wait);
    Done receive(MutableBytes bytes, std::chrono::milliseconds wait);

  private:
    struct Inside;
    explicit TlsClient(std::unique_ptr<Inside> inside) noexcept;
    std::unique_ptr<Inside> inside_;
};

} // namespace caisson::host::net
