// Bytes and the time as screens, logs and files show them. Outside only: chambers write into rooms they have
// (core/text.hpp).
#pragma once

#include "core/bytes.hpp"

#include <cstdint>
#include <string>

namespace caisson::host {

// Lower-case hexadecimal.
std::string hex(Bytes bytes);

// Z85 (ZeroMQ RFC 32). Requires: bytes.size() % 4 == 0.
std::string z85(Bytes bytes);

// Milliseconds of Unix time, as this machine's clock has it.
std::uint64_t unix_ms();

} // namespace caisson::host
