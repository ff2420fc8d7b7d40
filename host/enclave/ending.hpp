// Why a loader ended that could not say it itself.
#pragma once

#include <string>

#include <signal.h>

namespace caisson::host::enclave {

// What `waitid` said of it, with the likely cause and what to do.
[[nodiscard]] std::string ending_text(const ::siginfo_t& ended);

} // namespace caisson::host::enclave
