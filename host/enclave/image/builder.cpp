#include "host/enclave/image/builder.hpp"

#include <elf.h>

#include <algorithm>

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::page_bytes;
using protocol::sgx::PageType;
using protocol::sgx::secinfo_flags;

constexpr std::uint64_t regular_rw =
    secinfo_flags(PageType::PT_REG, protocol::sgx::SECINFO_R | protocol::sgx::SECINFO_W);
constexpr std::uint64_t guard_pages = 16;

template <typename T>
Result<T> structure_at(Bytes bytes, std::uint64_t offset) noexcept
{
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) {
        return fail(Kind::truncated, "the chamber's ELF file ends too early");
    }
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

Result<Elf64_Ehdr> read_header(Bytes elf) noexcept
{
    const auto header = TRY(structure_at<Elf64_Ehdr>(elf, 0));
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_machine != EM_X86_64 || header.e_type != ET_DYN || header.e_phentsize != sizeof(Elf64_Phdr)) {
        return fail(Kind::malformed, "the chamber is not a position-independent x86-64 ELF file");
    }
    return header;
}

std::uint64_t permissions_of(const Elf64_Phdr& segment) noexcept
{
    std::uint64_t permissions = 0;
    permissions |= (segment.p_flags & PF_R) != 0 ? protocol::sgx::SECINFO_R : 0;
    permissions |= (segment.p_flags & PF_W) != 0 ? protocol::sgx::SECINFO_W : 0;
    permissions |= (segment.p_flags & PF_X) != 0 ? protocol::sgx::SECINFO_X : 0;
    return permissions;
}

// Writes the pages of one segment; returns the offset behind it.
Result<std::uint64_t> add_segment(SgxsWriter& writer, Bytes elf, const Elf64_Phdr& segment,
                                  std::uint64_t next_page) noexcept
{
    if (segment.p_vaddr % page_bytes != 0 || segment.p_vaddr < next_page || segment.p_filesz > segment.p_memsz ||
        segment.p_offset > elf.size() || segment.p_filesz > elf.size() - segment.p_offset ||
        segment.p_memsz > enclave_bytes_max) {
        return fail(Kind::malformed, "a segment of the chamber's ELF file is out of place");
    }
    const auto permissions = permissions_of(segment);
    if ((permissions & protocol::sgx::SECINFO_W) != 0 && (permissions & protocol::sgx::SECINFO_X) != 0) {
        return fail(Kind::malformed, "a segment of the chamber is writable and executable");
    }
    const auto content = elf.subspan(segment.p_offset, segment.p_filesz);
    std::uint64_t at = 0;
    for (; at < segment.p_memsz; at += page_bytes) {
        const auto from = std::min<std::uint64_t>(at, content.size());
        const auto count = std::min<std::uint64_t>(page_bytes, content.size() - from);
        writer.write_page(segment.p_vaddr + at, secinfo_flags(PageType::PT_REG, permissions),
                          content.subspan(from, count));
    }
    return segment.p_vaddr + at;
}

// Stack, thread page, TCS, SSA frames: what the entry code in trusted/runtime/image_main.cpp expects around the TCS.
std::uint64_t add_thread(SgxsWriter& writer, const Layout& layout, std::uint64_t at, std::uint64_t entry)
{
    for (std::uint32_t page = 0; page < layout.stack_pages; ++page, at += page_bytes) {
        writer.write_page(at, regular_rw, {});
    }
    const auto thread_page = at;
    writer.write_page(thread_page, regular_rw, {});
    const auto tcs_page = thread_page + page_bytes;
    const auto ssa = tcs_page + page_bytes;
    protocol::sgx::Tcs tcs{};
    tcs.ossa = ssa;
    tcs.nssa = layout.ssa_frames;
    tcs.oentry = entry;
    tcs.ofsbase = thread_page;
    tcs.ogsbase = thread_page;
    tcs.fslimit = page_bytes - 1;
    tcs.gslimit = page_bytes - 1;
    writer.write_page(tcs_page, secinfo_flags(PageType::PT_TCS, 0),
                      {reinterpret_cast<const std::uint8_t*>(&tcs), sizeof tcs});
    at = ssa;
    for (std::uint32_t page = 0; page < layout.ssa_frames * layout.ssa_frame_pages; ++page, at += page_bytes) {
        writer.write_page(at, regular_rw, {});
    }
    return at;
}

} // namespace

Outcome<std::vector<std::uint8_t>> build_image(Bytes elf, const Layout& layout)
{
    const auto header = TRY(read_header(elf));
    SgxsWriter writer({layout.ssa_frame_pages, layout.range_bytes});
    std::uint64_t end = 0;
    for (std::size_t index = 0; index < header.e_phnum; ++index) {
        const auto segment = TRY(structure_at<Elf64_Phdr>(elf, header.e_phoff + index * sizeof(Elf64_Phdr)));
        if (segment.p_type == PT_LOAD && segment.p_memsz != 0) {
            end = TRY(add_segment(writer, elf, segment, end));
        }
    }
    for (std::uint32_t thread = 0; thread < layout.threads; ++thread) {
        end = add_thread(writer, layout, end + guard_pages * page_bytes, header.e_entry);
    }
    if (end > layout.range_bytes) {
        return fault(Kind::malformed, "the chamber needs " + std::to_string(end) + " bytes, its range has " +
                                          std::to_string(layout.range_bytes));
    }
    return writer.stream();
}

} // namespace caisson::host::enclave::image
