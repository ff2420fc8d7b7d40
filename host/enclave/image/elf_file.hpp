// An ELF file of the kind enclaves are linked as: x86-64, position-independent. Every read is bounded by the file.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"

#include <elf.h>

namespace caisson::host::enclave::image {

class ElfFile {
  public:
    // Fails: truncated, malformed (another kind of file).
    [[nodiscard]] static Result<ElfFile> open(Bytes bytes) noexcept;

    [[nodiscard]] Bytes bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::uint64_t entry() const noexcept { return header_.e_entry; }
    [[nodiscard]] std::size_t segment_count() const noexcept { return header_.e_phnum; }
    // Requires: index < segment_count(). Fails: truncated.
    [[nodiscard]] Result<Elf64_Phdr> segment(std::size_t index) const noexcept;
    // The part of the file that fills the segment. Fails: malformed (outside the file, or more than it takes in
    // memory).
    [[nodiscard]] Result<Bytes> content(const Elf64_Phdr& segment) const noexcept;
    // The bytes of the section of this name, or none. Fails: truncated, malformed.
    [[nodiscard]] Result<Bytes> section(std::string_view name) const noexcept;

    // Fails: truncated (it does not lie within the file).
    template <typename T>
    [[nodiscard]] Result<T> read(std::uint64_t offset) const noexcept
    {
        if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) {
            return fail(Kind::truncated, "the enclave's ELF file ends too early");
        }
        T value;
        std::memcpy(&value, bytes_.data() + offset, sizeof value);
        return value;
    }

  private:
    explicit ElfFile(Bytes bytes) noexcept
        : bytes_(bytes)
    {
    }

    Bytes bytes_;
    Elf64_Ehdr header_{};
};

} // namespace caisson::host::enclave::image
