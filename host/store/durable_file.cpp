#include "host/store/durable_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

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
    Descriptor(Descriptor&& other) noexcept
        : fd_(std::exchange(other.fd_, -1))
    {
    }
    Descriptor& operator=(Descriptor&&) = delete;
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

struct OpenFile {
    Descriptor descriptor;
    std::size_t expected_bytes = 0;
};

Outcome<OpenFile> open_regular(const std::filesystem::path& path, Writers writers, const std::string& doing)
{
    // O_NONBLOCK: a pipe put in the file's place must not hold us.
    Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct ::stat facts{};
    if (descriptor.get() < 0 || ::fstat(descriptor.get(), &facts) != 0) {
        return std::unexpected(system_fault(doing, errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return fault(Kind::malformed, doing + ": not a regular file");
    }
    if (writers == Writers::owner && (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fault(Kind::forbidden,
                     doing + ": others may write to it; chmod go-w it if its content is as it should be");
    }
    return OpenFile{std::move(descriptor), static_cast<std::size_t>(std::max<::off_t>(facts.st_size, 0))};
}

// 0: the end.
Outcome<std::size_t> read_some(const OpenFile& file, MutableBytes into, const std::string& doing)
{
    while (true) {
        const auto count = ::read(file.descriptor.get(), into.data(), into.size());
        if (count >= 0) {
            return static_cast<std::size_t>(count);
        }
        if (errno != EINTR) {
            return std::unexpected(system_fault(doing, errno));
        }
    }
}

std::unexpected<Fault> too_large(const std::string& doing, std::size_t bytes_max)
{
    return fault(Kind::malformed, doing + ": more than " + std::to_string(bytes_max) + " bytes");
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
    const auto file = TRY(open_regular(path, writers, doing));
    // As large as the file says it is, and one more to see its end; it may grow while it is read.
    std::vector<std::uint8_t> content(std::min(file.expected_bytes, bytes_max) + 1);
    std::size_t size = 0;
    while (size <= bytes_max) {
        if (size == content.size()) {
            content.resize(std::min(2 * size, bytes_max + 1));
        }
        const auto count = TRY(read_some(file, MutableBytes(content).subspan(size), doing));
        if (count == 0) {
            content.resize(size);
            return content;
        }
        size += count;
    }
    return too_large(doing, bytes_max);
}

Done copy_file(const std::filesystem::path& path, int descriptor, std::size_t bytes_max, Writers writers)
{
    const auto doing = "reading " + path.string();
    const auto file = TRY(open_regular(path, writers, doing));
    constexpr std::size_t portion_bytes = std::size_t{32} << 10U;
    std::vector<std::uint8_t> portion(std::min(portion_bytes, bytes_max + 1));
    for (std::size_t size = 0; size <= bytes_max;) {
        const auto count = TRY(read_some(file, portion, doing));
        if (count == 0) {
            return {};
        }
        size += count;
        if (size <= bytes_max) {
            TRY(write_all(descriptor, Bytes(portion).first(count), "copying " + path.string()));
        }
    }
    return too_large(doing, bytes_max);
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
