// Platforms and roots in the words every screen uses: what is simulated is never shown as hardware trust.
#pragma once

#include "protocol/sgx.hpp"

namespace caisson::cli {

const char* platform_name(protocol::sgx::Platform platform) noexcept;    // "process"
const char* platform_meaning(protocol::sgx::Platform platform) noexcept; // "a locked-down process, ..."
const char* root_name(protocol::sgx::RootKind root) noexcept;            // "file"
const char* root_meaning(protocol::sgx::RootKind root) noexcept;         // "development root, no hardware trust"

} // namespace caisson::cli
