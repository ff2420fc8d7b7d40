#include "host/enclave/platform_text.hpp"

namespace caisson::host::enclave {

using protocol::sgx::Platform;
using protocol::sgx::RootKind;

const char* platform_name(Platform platform) noexcept
{
    switch (platform) {
    case Platform::inproc: return "inproc";
    case Platform::process: return "process";
    case Platform::sgx: return "sgx";
    }
    return "unknown";
}

const char* platform_meaning(Platform platform) noexcept
{
    switch (platform) {
    case Platform::inproc: return "no isolation, for tests";
    case Platform::process: return "a locked-down process that emulates SGX";
    case Platform::sgx: return "an SGX enclave of the CPU";
    }
    return "unknown";
}

const char* root_name(RootKind root) noexcept
{
    switch (root) {
    case RootKind::file: return "file";
    case RootKind::tpm: return "tpm";
    case RootKind::cpu: return "cpu";
    case RootKind::software_tpm: return "software-tpm";
    }
    return "unknown";
}

const char* root_meaning(RootKind root) noexcept
{
    switch (root) {
    case RootKind::file: return "development root, no hardware trust";
    case RootKind::tpm: return "a TPM 2.0 of this machine";
    case RootKind::cpu: return "the CPU's own keys";
    case RootKind::software_tpm: return "a simulated TPM, no hardware trust";
    }
    return "unknown";
}

Guard guard_of(const EnclaveFacts& facts) noexcept
{
    return {facts.platform, facts.root, facts.debug};
}

std::string guard_text(const Guard& guard)
{
    return std::string("platform ") + platform_name(guard.platform) + " (" + platform_meaning(guard.platform) +
           "), root " + root_name(guard.root) + " (" + root_meaning(guard.root) + ")" +
           (guard.debug ? ", DEBUG: the host can read it" : "");
}

std::string hardening_text(const protocol::ImageNote& note)
{
    using protocol::ImageHardening;
    std::string text;
    text += note.has(ImageHardening::lfence) ? "LFENCE after loads" : "";
    text += note.has(ImageHardening::verw) ? std::string(text.empty() ? "" : ", ") + "VERW on the way out" : "";
    return text.empty() ? "none (CAISSON_IMAGE_HARDENING was off)" : text;
}

} // namespace caisson::host::enclave
