#include "host/store/durable_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace caisson::host::store {
namespace {

class Descriptor {
  public:
    explicit Descriptor(int fd) noexcept
        : fd_(fd)
    {
    }
    ~Descriptor()
    {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    [[nodiscard]] int get() const noexcept { return fd_; }

  private:
    int fd_;
};

Done write_all(int fd, Bytes content, const std::string& doing)
{
    while (!content.empty()) {
        const auto written = ::write(fd, content.data(), content.size());
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return std::unexpected(system_fault(doing, written < 0 ? errno : EIO));
        }
        content = content.subspan(static_cast<std::size_t>(written));
    }
    return {};
}

std::filesystem::path folder_of(const std::filesystem::path& path)
{
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

Done write_temporary(int fd, Bytes content, ::mode_t mode, const std::string& doing)
{
    if (::fchmod(fd, mode) != 0) { // mkostemp made it 0600; the umask must not decide
        return std::unexpected(system_fault(doing, errno));
    }
    TRY(write_all(fd, content, doing));
    if (::fsync(fd) != 0) {
        return std::unexpected(system_fault(doing, errno));
    }
    return {};
}

// Gives the temporary its name; `link` fails where `rename` would replace.
Done publish(const std::string& temporary, const std::filesystem::path& path, Existing existing)
{
    const auto doing = "writing " + path.string();
    if (existing == Existing::replace) {
        if (::rename(temporary.c_str(), path.c_str()) != 0) {
            return std::unexpected(system_fault(doing, errno));
        }
        return {};
    }
    if (::link(temporary.c_str(), path.c_str()) != 0) {
        return std::unexpected(system_fault(doing, errno));
    }
    ::unlink(temporary.c_str());
    return {};
}

} // namespace

Done sync_folder(const std::filesystem::path& folder)
{
    const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() < 0 || ::fsync(directory.get()) != 0) {
        return std::unexpected(system_fault("syncing " + folder.string(), errno));
    }
    return {};
}

Done store_file(const std::filesystem::path& path, Bytes content, ::mode_t mode, Existing existing)
{
    const auto doing = "writing " + path.string();
    auto temporary = (folder_of(path) / ("." + path.filename().string() + ".XXXXXX")).string();
    const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
    if (file.get() < 0) {
        return std::unexpected(system_fault(doing, errno));
    }
    auto done = write_temporary(file.get(), content, mode, doing);
    if (done) {
        done = publish(temporary, path, existing);
    }
    if (!done) {
        ::unlink(temporary.c_str());
        return done;
    }
    return sync_folder(folder_of(path));
}

Outcome<std::vector<std::uint8_t>> load_file(const std::filesystem::path& path, std::size_t bytes_max, Writers writers)
{
    const auto doing = "reading " + path.string();
    // O_NONBLOCK: a pipe put in the file's place must not hold us.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct ::stat facts{};
    if (file.get() < 0 || ::fstat(file.get(), &facts) != 0) {
        return std::unexpected(system_fault(doing, errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return fault(Kind::malformed, doing + ": not a regular file");
    }
    if (writers == Writers::owner && (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fault(Kind::forbidden,
                     doing + ": others may write to it; chmod go-w it if its content is as it should be");
    }
    // As large as the file says it is, and one more to see its end; it may grow while it is read.
    const auto expected = static_cast<std::size_t>(std::max<::off_t>(facts.st_size, 0));
    std::vector<std::uint8_t> content(std::min(expected, bytes_max) + 1);
    std::size_t size = 0;
    while (size <= bytes_max) {
        if (size == content.size()) {
            content.resize(std::min(2 * size, bytes_max + 1));
        }
        const auto count = ::read(file.get(), content.data() + size, content.size() - size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return std::unexpected(system_fault(doing, errno));
        }
        if (count == 0) {
            content.resize(size);
            return content;
        }
        size += static_cast<std::size_t>(count);
    }
    return fault(Kind::malformed, doing + ": more than " + std::to_string(bytes_max) + " bytes");
}

Done make_folder(const std::filesystem::path& path, ::mode_t mode)
{
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
        return {};
    }
    if (path.has_parent_path()) {
        std::filesystem::create_directories(path.parent_path(), error);
        if (error) {
            return std::unexpected(system_fault("making the folder " + path.parent_path().string(), error.value()));
        }
    }
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
        return std::unexpected(system_fault("making the folder " + path.string(), errno));
    }
    if (!std::filesystem::is_directory(path, error)) {
        return fault(Kind::malformed, "making the folder " + path.string() + ": something else has that name");
    }
    return sync_folder(folder_of(path));
}

} // namespace caisson::host::store
