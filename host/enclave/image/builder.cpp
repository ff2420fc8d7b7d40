#include "host/enclave/image/builder.hpp"

#include "host/enclave/image/elf_file.hpp"

#include <algorithm>

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::page_bytes;
using protocol::sgx::PageType;
using protocol::sgx::secinfo_flags;

constexpr std::uint64_t regular_rw =
    secinfo_flags(PageType::PT_REG, protocol::sgx::SECINFO_R | protocol::sgx::SECINFO_W);
constexpr std::uint64_t guard_pages = 16;

std::uint64_t permissions_of(const Elf64_Phdr& segment) noexcept
{
    std::uint64_t permissions = 0;
    permissions |= (segment.p_flags & PF_R) != 0 ? protocol::sgx::SECINFO_R : 0;
    permissions |= (segment.p_flags & PF_W) != 0 ? protocol::sgx::SECINFO_W : 0;
    permissions |= (segment.p_flags & PF_X) != 0 ? protocol::sgx::SECINFO_X : 0;
    return permissions;
}

// Writes the pages of one segment; returns the offset behind it.
Outcome<std::uint64_t> add_segment(SgxsWriter& writer, const ElfFile& elf, const Elf64_Phdr& segment,
                                   std::uint64_t next_page, std::uint64_t range_bytes)
{
    if (segment.p_vaddr % page_bytes != 0 || segment.p_vaddr < next_page) {
        return fail(Kind::malformed, "a segment of the chamber's ELF file is out of place");
    }
    if (segment.p_memsz > range_bytes || segment.p_vaddr > range_bytes - segment.p_memsz) {
        return fault(Kind::malformed,
                     "a segment of the chamber lies outside its range of " + std::to_string(range_bytes) + " bytes");
    }
    const auto permissions = permissions_of(segment);
    if ((permissions & protocol::sgx::SECINFO_W) != 0 && (permissions & protocol::sgx::SECINFO_X) != 0) {
        return fail(Kind::malformed, "a segment of the chamber is writable and executable");
    }
    const auto content = TRY(elf.content(segment));
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

// [IMAGE-1]
Outcome<std::vector<std::uint8_t>> build_image(Bytes elf, const Layout& layout)
{
    const auto file = TRY(ElfFile::open(elf));
    const SgxsHeader header{layout.ssa_frame_pages, layout.range_bytes};
    TRY(check_header(header));
    SgxsWriter writer(header);
    std::uint64_t end = 0;
    for (std::size_t index = 0; index < file.segment_count(); ++index) {
        const auto segment = TRY(file.segment(index));
        if (segment.p_type == PT_LOAD && segment.p_memsz != 0) {
            end = TRY(add_segment(writer, file, segment, end, layout.range_bytes));
        }
    }
    if (end == 0) {
        return fault(Kind::malformed, "the chamber's ELF file has nothing to load");
    }
    for (std::uint32_t thread = 0; thread < layout.threads; ++thread) {
        end = add_thread(writer, layout, end + guard_pages * page_bytes, file.entry());
    }
    if (end > layout.range_bytes) {
        return fault(Kind::malformed, "the chamber needs " + std::to_string(end) + " bytes, its range has " +
                                          std::to_string(layout.range_bytes));
    }
    return writer.stream();
}

} // namespace caisson::host::enclave::image
