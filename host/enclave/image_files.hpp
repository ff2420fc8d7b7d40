// The chamber images that lie in a folder, by what they measure.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"

#include <filesystem>
#include <vector>

namespace caisson::host::enclave {

inline constexpr std::size_t image_file_bytes_max = std::size_t{64} << 20U;

// The MRENCLAVEs of the chambers that a home uses, in a fixed order; those that are not installed are left out.
[[nodiscard]] Outcome<std::vector<Digest>> installed_images(const std::filesystem::path& folder);

} // namespace caisson::host::enclave
