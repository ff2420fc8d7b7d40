// Platforms and roots in the words every screen uses: what is simulated is never shown as hardware trust.
#pragma once

#include "host/enclave/enclave.hpp"

#include <string>

namespace caisson::host::enclave {

const char* platform_name(protocol::sgx::Platform platform) noexcept;    // "process"
const char* platform_meaning(protocol::sgx::Platform platform) noexcept; // "a locked-down process, ..."
const char* root_name(protocol::sgx::RootKind root) noexcept;            // "file"
const char* root_meaning(protocol::sgx::RootKind root) noexcept;         // "development root, no hardware trust"

// The three things that are on every screen: what guards a chamber, what its root is, and whether the host may look in.
struct Guard {
    protocol::sgx::Platform platform{};
    protocol::sgx::RootKind root{};
    bool debug = false;
};
[[nodiscard]] Guard guard_of(const EnclaveFacts& facts) noexcept;
// "platform process (a locked-down process that emulates SGX), root file (development root, no hardware trust)"
std::string guard_text(const Guard& guard);

// The guard of a chamber that this home would start on the platform `process`, without starting it.
// Fails: missing, malformed (the image's signature, the record of a TPM root).
Outcome<Guard> guard_at(const std::filesystem::path& home, ChamberKind chamber);

// What an image was compiled with against speculation: "none (...)", "LFENCE after loads, ...".
std::string hardening_text(const protocol::ImageNote& note);

} // namespace caisson::host::enclave
