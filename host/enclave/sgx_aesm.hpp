// Intel's AESM service, as far as a quote needs it: the target of its quoting enclave, and a quote over a REPORT.
// Protobuf over a Unix socket, each message behind its length (u32, little-endian). Its answers are hostile: bounded
// and read strictly; a quote is worth what protocol/evidence says of it.
#pragma once

#include "host/fault.hpp"
#include "protocol/sgx.hpp"

#include <filesystem>
#include <vector>

namespace caisson::host::enclave {

class Aesm {
  public:
    static constexpr const char* usual_socket = "/var/run/aesmd/aesm.socket";

    explicit Aesm(std::filesystem::path socket = usual_socket)
        : socket_(std::move(socket))
    {
    }

    // Whom a REPORT must be for, that is to be quoted; makes the quoting enclave have a key.
    // Fails: unavailable (no service, or its own error code), malformed.
    [[nodiscard]] Outcome<protocol::sgx::TargetInfo> target() const;

    // Fails: as above; unauthentic is not decided here.
    [[nodiscard]] Outcome<std::vector<std::uint8_t>> quote(const protocol::sgx::Report& report) const;

  private:
    [[nodiscard]] Outcome<std::vector<std::uint8_t>> exchange(Bytes request) const;

    std::filesystem::path socket_;
};

} // namespace caisson::host::enclave
