// The kernel's SGX driver, as far as a loader needs it: a seam, so that everything up to the ioctl is tested without
// SGX.
#pragma once

#include "host/enclave/enclave_entry.hpp"
#include "host/fault.hpp"
#include "protocol/sgx.hpp"

#include <memory>

namespace caisson::host::enclave {

class SgxDevice {
  public:
    SgxDevice() = default;
    virtual ~SgxDevice() = default;
    SgxDevice(const SgxDevice&) = delete;
    SgxDevice& operator=(const SgxDevice&) = delete;

    // ECREATE of an enclave with this SECS, but for its base, which the device chooses: naturally aligned.
    virtual Done create(const protocol::sgx::Secs& secs) = 0;
    // EADD and EEXTEND of one whole page. Requires: create.
    virtual Done add_page(std::uint64_t offset, std::uint64_t secinfo_flags, Bytes page) = 0;
    // EINIT. Fails: unauthentic (the CPU or the kernel refuses the signature).
    virtual Done initialise(const protocol::sgx::Sigstruct& sigstruct) = 0;
    // Makes `bytes` from `offset` on reachable with these SECINFO permissions. Requires: initialise.
    virtual Done map(std::uint64_t offset, std::uint64_t bytes, std::uint64_t permissions) = 0;

    // Dynamic memory (SGX2); what is added comes by itself, when the enclave accepts it and the kernel's fault handler
    // adds it. Fails: unavailable (no SGX2).
    virtual Done restrict_permissions(std::uint64_t offset, std::uint64_t bytes, std::uint64_t permissions) = 0;
    virtual Done trim(std::uint64_t offset, std::uint64_t bytes) = 0;
    virtual Done remove(std::uint64_t offset, std::uint64_t bytes) = 0;

    [[nodiscard]] virtual std::uint64_t base() const noexcept = 0;
    [[nodiscard]] virtual EnterFunction entry() const noexcept = 0;
};

// /dev/sgx_enclave and the vDSO's entry. Fails: unavailable, naming what is missing and what to do.
[[nodiscard]] Outcome<std::unique_ptr<SgxDevice>> open_sgx_device();

} // namespace caisson::host::enclave
