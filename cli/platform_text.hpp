// Platforms and roots in the words every screen uses: what is simulated is never shown as hardware trust.
#pragma once

#include "protocol/image_note.hpp"
#include "protocol/sgx.hpp"

#include <string>

namespace caisson::cli {

const char* platform_name(protocol::sgx::Platform platform) noexcept;    // "process"
const char* platform_meaning(protocol::sgx::Platform platform) noexcept; // "a locked-down process, ..."
const char* root_name(protocol::sgx::RootKind root) noexcept;            // "file"
const char* root_meaning(protocol::sgx::RootKind root) noexcept;         // "development root, no hardware trust"

// What an image was compiled with against speculation: "none (...)", "LFENCE after loads, ...".
std::string hardening_text(const protocol::ImageNote& note);

} // namespace caisson::cli
