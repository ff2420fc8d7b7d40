// What `caisson enclave measure` and `inspect` print, for people and for programs.
#pragma once

#include "host/enclave/image/examine.hpp"

namespace caisson::cli {

enum class EnclaveDetail : std::uint8_t { identity, layout };

[[nodiscard]] std::string enclave_text(const host::enclave::image::Examined& examined, EnclaveDetail detail);
[[nodiscard]] std::string enclave_json(const host::enclave::image::Examined& examined, EnclaveDetail detail);

} // namespace caisson::cli
