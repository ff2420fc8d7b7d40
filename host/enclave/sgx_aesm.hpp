// Intel's AESM service, as far as a quote needs it: the target of its quoting enclave, and a quote over a REPORT.
// Protobuf over a Unix socket, each message behind its length (u32, little-endian). Its answers are hostile: bounded
// and read strictly; a quote is worth what protocol/evidence says of it.
#pragma once

#include "host/fault.hpp"
#include "protocol/sgx.hpp"

#include <filesystem>
#include <functional>
#include <vector>

namespace caisson::host::enclave {

class Aesm {
  public:
    static constexpr const char* usual_socket = "/var/run/aesmd/aesm.socket";

    // A request's bytes to the answer's, without their lengths.
    using Exchange = std::function<Outcome<std::vector<std::uint8_t>>(Bytes request)>;

    explicit Aesm(std::filesystem::path socket = usual_socket)
        : exchange_([socket = std::move(socket)](Bytes request) { return over_socket(socket, request); })
    {
    }
    // Another way to the service: for tests.
    explicit Aesm(Exchange exchange)
        : exchange_(std::move(exchange))
    {
    }

    // Whom a REPORT must be for, that is to be quoted; makes the quoting enclave have a key.
    // Fails: unavailable (no service, or its own error code), malformed.
    [[nodiscard]] Outcome<protocol::sgx::TargetInfo> target() const;

    // Fails: as above; unauthentic is not decided here.
    [[nodiscard]] Outcome<std::vector<std::uint8_t>> quote(const protocol::sgx::Report& report) const;

  private:
    [[nodiscard]] static Outcome<std::vector<std::uint8_t>> over_socket(const std::filesystem::path& socket,
                                                                        Bytes request);

    Exchange exchange_;
};

} // namespace caisson::host::enclave
