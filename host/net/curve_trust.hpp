// CurveTrust: the few requests of a curve chamber that carry trust to it. It judges; this only carries.
#pragma once

#include "host/enclave/enclave.hpp"
#include "host/fault.hpp"
#include "protocol/time_token.hpp"

#include <vector>

namespace caisson::host::net {

class CurveTrust {
  public:
    explicit CurveTrust(enclave::Enclave& enclave) noexcept
        : enclave_(enclave)
    {
    }
    // REPORT over the key, for the witness with this TARGETINFO.
    Outcome<std::vector<std::uint8_t>> report_key(std::uint32_t key, Bytes target_info);
    Outcome<protocol::TimeNonce> time_nonce();
    Done accept_time_token(Bytes token);
    Done accept_result(Bytes result);

  private:
    enclave::Enclave& enclave_;
};

} // namespace caisson::host::net
