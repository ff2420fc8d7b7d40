// FolderLock: one process at a time works in a folder. Given up when it goes, also when its process dies.
#pragma once

#include "host/fault.hpp"

#include <chrono>
#include <filesystem>

namespace caisson::host::store {

class FolderLock {
  public:
    // Fails: missing (no such folder), unavailable (somebody else has it and does not let go within `wait`).
    [[nodiscard]] static Outcome<FolderLock> take(const std::filesystem::path& folder, std::chrono::milliseconds wait);
    FolderLock(FolderLock&& other) noexcept;
    FolderLock& operator=(FolderLock&& other) noexcept;
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;
    ~FolderLock();

  private:
    explicit FolderLock(int descriptor) noexcept
        : descriptor_(descriptor)
    {
    }
    int descriptor_;
};

} // namespace caisson::host::store
