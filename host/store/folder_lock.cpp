#include "host/store/folder_lock.hpp"

#include <cerrno>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace caisson::host::store {

Outcome<FolderLock> FolderLock::take(const std::filesystem::path& folder, std::chrono::milliseconds wait)
{
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return std::unexpected(system_fault("opening the folder " + folder.string(), errno));
    }
    FolderLock lock(descriptor);
    const auto until = std::chrono::steady_clock::now() + wait;
    while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return std::unexpected(system_fault("locking the folder " + folder.string(), errno));
        }
        if (std::chrono::steady_clock::now() > until) {
            return fault(Kind::unavailable, folder.string() + ": another process works in this folder and does not "
                                                              "come to an end; stop it, then try again");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return lock;
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1))
{
}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept
{
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

FolderLock::~FolderLock()
{
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

} // namespace caisson::host::store
