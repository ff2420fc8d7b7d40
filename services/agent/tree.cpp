#include "services/agent/tree.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <optional>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace caisson::services::agent {
namespace {

constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

std::unexpected<int> last_error()
{
    return std::unexpected<int>(errno);
}

// The parent of `relative` below `tree`, walked without following links, and the last component.
struct Place {
    Descriptor folder;
    std::string name;
};

Read<Place> walk(Descriptor folder, std::string relative)
{
    while (true) {
        const auto slash = relative.find('/');
        if (slash == std::string::npos) {
            return Place{std::move(folder), std::move(relative)};
        }
        const auto component = relative.substr(0, slash);
        Descriptor next(::openat(folder.number(), component.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!next.open()) {
            return last_error();
        }
        folder = std::move(next);
        relative.erase(0, slash + 1);
    }
}

Read<Place> find(const std::string& path, const std::string& below)
{
    if (below.empty() || path.size() <= below.size() + 1) {
        return Place{Descriptor(AT_FDCWD), path};
    }
    Descriptor root(::open(below.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.open()) {
        return last_error();
    }
    return walk(std::move(root), path.substr(below.size() + 1));
}

using Folder = std::unique_ptr<DIR, int (*)(DIR*)>;

Read<Folder> open_folder(int root, const std::string& relative)
{
    Descriptor start(::dup(root));
    if (!start.open()) {
        return last_error();
    }
    int number = -1;
    if (relative.empty()) {
        number = ::openat(root, ".", folder_flags);
    } else {
        auto place = walk(std::move(start), relative);
        if (!place) {
            return std::unexpected<int>(place.error());
        }
        number = ::openat(place->folder.number(), place->name.c_str(), folder_flags | O_NOFOLLOW);
    }
    if (number < 0) {
        return last_error();
    }
    Folder folder(::fdopendir(number), ::closedir);
    if (folder == nullptr) {
        const int error = errno;
        ::close(number);
        return std::unexpected<int>(error);
    }
    return folder;
}

// One folder's entries; its subfolders go to `todo`.
Read<void> list_folder(DIR* folder, const std::string& relative, std::size_t entries_max, Listing& listing,
                       std::vector<std::string>& todo)
{
    while (listing.entries.size() < entries_max) {
        errno = 0;
        const auto* const entry = ::readdir(folder);
        if (entry == nullptr) {
            return errno == 0 ? Read<void>{} : last_error();
        }
        const std::string name = entry->d_name;
        if (name == "." || name == "..") {
            continue;
        }
        struct stat facts{};
        if (::fstatat(::dirfd(folder), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) {
                continue; // gone meanwhile
            }
            return last_error();
        }
        auto path = relative.empty() ? name : relative + "/" + name;
        if (S_ISDIR(facts.st_mode)) {
            todo.push_back(path);
        }
        listing.entries.push_back({std::move(path), facts.st_mode});
    }
    return {};
}

} // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept
    : number_(std::exchange(other.number_, -1))
{
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept
{
    std::swap(number_, other.number_);
    return *this;
}

Descriptor::~Descriptor()
{
    if (number_ >= 0) {
        ::close(number_);
    }
}

Read<Listing> list_tree(const std::string& tree, std::size_t entries_max)
{
    const Descriptor root(::open(tree.c_str(), folder_flags));
    struct stat facts{};
    if (!root.open() || ::fstat(root.number(), &facts) != 0) {
        return last_error();
    }
    Listing listing;
    listing.mode = facts.st_mode;
    std::vector<std::string> todo{""};
    while (!todo.empty() && listing.entries.size() < entries_max) {
        const auto relative = std::move(todo.back());
        todo.pop_back();
        const auto folder = open_folder(root.number(), relative);
        if (!folder && !relative.empty() &&
            (folder.error() == ENOENT || folder.error() == ENOTDIR || folder.error() == ELOOP)) {
            continue; // gone or replaced meanwhile: the next round sees what it is now
        }
        if (!folder) {
            return std::unexpected<int>(folder.error());
        }
        const auto listed = list_folder(folder->get(), relative, entries_max, listing, todo);
        if (!listed) {
            return std::unexpected<int>(listed.error());
        }
    }
    std::ranges::sort(listing.entries, {}, &ListedEntry::path);
    return listing;
}

Read<OpenedFile> open_regular(const std::string& path, const std::string& below)
{
    const auto place = find(path, below);
    if (!place) {
        return std::unexpected<int>(place.error());
    }
    // Looked at before it is opened: opening a device can already do something, opening a pipe can wait.
    const Descriptor looked(::openat(place->folder.number(), place->name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat facts{};
    if (!looked.open() || ::fstat(looked.number(), &facts) != 0) {
        return last_error();
    }
    if (!S_ISREG(facts.st_mode)) {
        return std::unexpected<int>(S_ISLNK(facts.st_mode) ? ELOOP : S_ISDIR(facts.st_mode) ? EISDIR : EINVAL);
    }
    const auto same = "/proc/self/fd/" + std::to_string(looked.number());
    OpenedFile opened;
    opened.file = Descriptor(::open(same.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!opened.file.open()) {
        return last_error();
    }
    opened.mode = facts.st_mode;
    opened.size = static_cast<std::uint64_t>(facts.st_size);
    return opened;
}

Read<std::string> read_link(const std::string& path, const std::string& below)
{
    const auto place = find(path, below);
    if (!place) {
        return std::unexpected<int>(place.error());
    }
    std::array<char, PATH_MAX> text{};
    const auto size = ::readlinkat(place->folder.number(), place->name.c_str(), text.data(), text.size());
    if (size < 0) {
        return last_error();
    }
    return std::string(text.data(), static_cast<std::size_t>(size));
}

Read<std::size_t> read_full(int file, MutableBytes buffer)
{
    std::size_t used = 0;
    while (used < buffer.size()) {
        const auto count = ::read(file, buffer.data() + used, buffer.size() - used);
        if (count > 0) {
            used += static_cast<std::size_t>(count);
        } else if (count == 0) {
            break;
        } else if (errno != EINTR) {
            return last_error();
        }
    }
    return used;
}

} // namespace caisson::services::agent
