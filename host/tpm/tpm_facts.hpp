// Where a TPM is and what it says of itself. Without the library's headers: everybody may include it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace caisson::host::tpm {

inline constexpr const char* default_tpm_address = "device:/dev/tpmrm0";

struct TpmAddress {
    std::string address = default_tpm_address;  // "device:PATH" or "swtpm:path=PATH"
    std::chrono::milliseconds deadline{60'000}; // of one command; making an RSA key takes a slow chip half a minute
};

struct TpmFacts {
    std::string manufacturer; // four letters: "IFX", "STM", "NTC", "IBM"
    std::string vendor;       // the vendor strings, joined
    std::uint64_t firmware = 0;
    bool software = false; // an emulation: it proves nothing about hardware
    bool in_lockout = false;
    std::uint32_t lockout_failures = 0;
    std::uint32_t lockout_failures_max = 0;
    std::uint32_t lockout_recovery_seconds = 0; // until one failure is forgotten
    bool owner_set = false;                     // an owner secret is needed for changes
};

} // namespace caisson::host::tpm
