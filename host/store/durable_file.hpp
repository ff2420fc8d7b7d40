// Whole small files on disk: written so that a crash leaves the old or the new one, read only within a limit.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"

#include <filesystem>
#include <vector>

#include <sys/types.h>

namespace caisson::host::store {

enum class Existing : std::uint8_t { keep, replace };
enum class Writers : std::uint8_t { owner, anyone };

// Writes `content` beside `path`, syncs it, gives it the name and syncs the folder.
// Fails: conflict (the file is there and `existing` is keep), and what the disk says.
[[nodiscard]] Done store_file(const std::filesystem::path& path, Bytes content, ::mode_t mode, Existing existing);

// Fails: missing, forbidden (writers others than the owner, where only the owner may be one), malformed (no regular
// file, or above `bytes_max`), and what the disk says.
[[nodiscard]] Outcome<std::vector<std::uint8_t>> load_file(const std::filesystem::path& path, std::size_t bytes_max,
                                                           Writers writers = Writers::owner);

// The content into `descriptor` as it comes, without a copy of the whole in memory. Fails: as load_file; then a part of
// it may be there.
[[nodiscard]] Done copy_file(const std::filesystem::path& path, int descriptor, std::size_t bytes_max,
                             Writers writers = Writers::owner);

// Makes the folder and what is above it; the folder itself gets `mode` if it is new.
[[nodiscard]] Done make_folder(const std::filesystem::path& path, ::mode_t mode);

// Makes what happened to the names in `folder` last over a crash.
[[nodiscard]] Done sync_folder(const std::filesystem::path& folder);

} // namespace caisson::host::store
