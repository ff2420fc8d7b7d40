#include "host/enclave/enclave.hpp"

#include "host/enclave/root.hpp"
#include "host/enclave/sgx_enclave.hpp"

#include <cstdlib>

namespace caisson::host::enclave {

// host/enclave/process_enclave.cpp
Outcome<std::unique_ptr<Enclave>> open_process_enclave(const EnclaveOptions& options, const Root& root);

const char* chamber_name(ChamberKind kind) noexcept
{
    switch (kind) {
    case ChamberKind::curve: return "curve";
    case ChamberKind::witness: return "witness";
    case ChamberKind::null: return "null";
    }
    return "unknown";
}

Outcome<std::unique_ptr<Enclave>> Enclave::open(const EnclaveOptions& options, const Root& root)
{
    switch (options.platform) {
    case protocol::sgx::Platform::process: return open_process_enclave(options, root);
    case protocol::sgx::Platform::inproc:
        return fault(Kind::forbidden, "the platform inproc protects nothing and is for tests alone");
    case protocol::sgx::Platform::sgx:
        return open_sgx_enclave(options, TRY(open_sgx_device()), root.counters_for(options));
    }
    return fault(Kind::missing, "an unknown platform");
}

std::filesystem::path find_images()
{
    if (const char* given = std::getenv("CAISSON_IMAGES"); given != nullptr && *given != '\0') {
        return given;
    }
    std::error_code error;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
    auto beside = program.parent_path();
    if (std::filesystem::exists(beside / "caisson-loader", error)) {
        return beside;
    }
    return std::filesystem::path(beside.parent_path() / CAISSON_IMAGES_INSTALLED);
}

} // namespace caisson::host::enclave
