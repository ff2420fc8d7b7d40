#include "host/enclave/image/elf_file.hpp"

namespace caisson::host::enclave::image {

Result<ElfFile> ElfFile::open(Bytes bytes) noexcept
{
    ElfFile file(bytes);
    file.header_ = TRY(file.read<Elf64_Ehdr>(0));
    const auto& header = file.header_;
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_machine != EM_X86_64 || header.e_type != ET_DYN || header.e_phentsize != sizeof(Elf64_Phdr)) {
        return fail(Kind::malformed, "not a position-independent x86-64 ELF file, as enclaves are");
    }
    return file;
}

Result<Elf64_Phdr> ElfFile::segment(std::size_t index) const noexcept
{
    if (header_.e_phoff > bytes_.size()) {
        return fail(Kind::truncated, "the enclave's ELF file ends before its program headers");
    }
    return read<Elf64_Phdr>(header_.e_phoff + index * sizeof(Elf64_Phdr));
}

Result<Bytes> ElfFile::content(const Elf64_Phdr& segment) const noexcept
{
    if (segment.p_offset > bytes_.size() || segment.p_filesz > bytes_.size() - segment.p_offset ||
        segment.p_filesz > segment.p_memsz) {
        return fail(Kind::malformed, "a segment of the enclave's ELF file is out of place");
    }
    return bytes_.subspan(segment.p_offset, segment.p_filesz);
}

Result<Bytes> ElfFile::section(std::string_view name) const noexcept
{
    if (header_.e_shoff == 0 || header_.e_shnum == 0) {
        return Bytes{};
    }
    if (header_.e_shoff > bytes_.size() || header_.e_shentsize != sizeof(Elf64_Shdr) ||
        header_.e_shstrndx >= header_.e_shnum) {
        return fail(Kind::malformed, "the enclave's ELF file has no readable section headers");
    }
    const auto header_at = [this](std::size_t index) {
        return read<Elf64_Shdr>(header_.e_shoff + index * sizeof(Elf64_Shdr));
    };
    const auto strings = TRY(header_at(header_.e_shstrndx));
    for (std::size_t index = 0; index < header_.e_shnum; ++index) {
        const auto section = TRY(header_at(index));
        const auto name_at = strings.sh_offset + section.sh_name; // may wrap: then it is past the end or another name
        if (name_at >= bytes_.size() || bytes_.size() - name_at <= name.size() ||
            !same_bytes(bytes_.subspan(name_at, name.size()), bytes_of(name)) || bytes_[name_at + name.size()] != 0) {
            continue;
        }
        if (section.sh_offset > bytes_.size() || section.sh_size > bytes_.size() - section.sh_offset) {
            return fail(Kind::malformed, "a section of the enclave's ELF file is out of place");
        }
        return bytes_.subspan(section.sh_offset, section.sh_size);
    }
    return Bytes{};
}

} // namespace caisson::host::enclave::image
