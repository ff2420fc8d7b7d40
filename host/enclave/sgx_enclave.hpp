// The platform `sgx`: the same image, guarded by the CPU. A thread of this process enters it and serves its ring.
#pragma once

#include "host/enclave/enclave.hpp"
#include "host/enclave/root.hpp"
#include "host/enclave/sgx_device.hpp"

namespace caisson::host::enclave {

// Builds the image through `device`, page by page as measured, and starts to serve. The root is the CPU.
// Fails: as Enclave::open; whatever the device says.
[[nodiscard]] Outcome<std::unique_ptr<Enclave>> open_sgx_enclave(const EnclaveOptions& options,
                                                                 std::unique_ptr<SgxDevice> device,
                                                                 const RollbackCounters& counters = {});

} // namespace caisson::host::enclave
