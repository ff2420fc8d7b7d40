// A folder of its own under the system's temporary one, gone with this object: a chamber is really started, under a
// root that is thrown away, and nothing of a home is touched.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace caisson::host::store {

class ThrowawayFolder {
  public:
    explicit ThrowawayFolder(const std::string& name)
    {
        std::string pattern = (std::filesystem::temp_directory_path() / ("caisson-" + name + "-XXXXXX")).string();
        if (::mkdtemp(pattern.data()) != nullptr) {
            path_ = pattern;
        }
    }
    ~ThrowawayFolder()
    {
        std::error_code error;
        if (!path_.empty()) {
            std::filesystem::remove_all(path_, error);
        }
    }
    ThrowawayFolder(const ThrowawayFolder&) = delete;
    ThrowawayFolder& operator=(const ThrowawayFolder&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; } // empty: it could not be made

  private:
    std::filesystem::path path_;
};

} // namespace caisson::host::store
