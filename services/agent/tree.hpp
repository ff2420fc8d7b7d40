// Reading for the witness: folders and files as they are, without following links out of a tree, without waiting on
// pipes or touching devices, and bounded whatever happens to them meanwhile.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace caisson::services::agent {

// errno, as the witness signs it.
template <typename T>
using Read = std::expected<T, int>;

// A descriptor, closed when it goes.
class Descriptor {
  public:
    explicit Descriptor(int number = -1) noexcept
        : number_(number)
    {
    }
    Descriptor(Descriptor&& other) noexcept;
    Descriptor& operator=(Descriptor&& other) noexcept;
    ~Descriptor();
    [[nodiscard]] int number() const noexcept { return number_; }
    [[nodiscard]] bool open() const noexcept { return number_ >= 0; }

  private:
    int number_;
};

struct ListedEntry {
    std::string path; // relative to the tree
    ::mode_t mode = 0;
};

struct Listing {
    ::mode_t mode = 0; // of the tree's own folder
    std::vector<ListedEntry> entries;
};

// Every entry below `tree`, in ascending order of the path's bytes. Stops after `entries_max`.
[[nodiscard]] Read<Listing> list_tree(const std::string& tree, std::size_t entries_max);

// A regular file, opened for reading; `below` is the tree that `path` lies in (its prefix), or empty. No component
// below the tree is followed if it is a link; without a tree only the last component is not.
struct OpenedFile {
    Descriptor file;
    ::mode_t mode = 0;
    std::uint64_t size = 0;
};
[[nodiscard]] Read<OpenedFile> open_regular(const std::string& path, const std::string& below);

// The text of a symbolic link.
[[nodiscard]] Read<std::string> read_link(const std::string& path, const std::string& below);

// Fills `buffer` as far as the file goes: fewer bytes mean its end.
[[nodiscard]] Read<std::size_t> read_full(int file, MutableBytes buffer);

} // namespace caisson::services::agent
