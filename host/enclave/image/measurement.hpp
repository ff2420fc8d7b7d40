// Measurement: MRENCLAVE from the records ECREATE, EADD and EEXTEND (SDM vol. 3D), as they come.
// For tools: OpenSSL's SHA-256, which hashes a gigabyte of enclave in a second. The loader hashes a whole SGXS stream.
#pragma once

#include "core/bytes.hpp"
#include "host/enclave/image/sgxs.hpp"

#include <memory>

namespace caisson::host::enclave::image {

class Measurement {
  public:
    explicit Measurement(const SgxsHeader& header);
    ~Measurement();
    Measurement(const Measurement&) = delete;
    Measurement& operator=(const Measurement&) = delete;

    void add_page(std::uint64_t offset, std::uint64_t secinfo);
    // Requires: chunk.size() == eextend_bytes.
    void extend(std::uint64_t offset, Bytes chunk);
    // Once.
    [[nodiscard]] Digest finish();

  private:
    struct Hash;
    std::unique_ptr<Hash> hash_;
};

} // namespace caisson::host::enclave::image
