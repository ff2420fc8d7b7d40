#include "host/enclave/image/sdk_elf.hpp"

#include "core/wire.hpp"
#include "host/enclave/image/measurement.hpp"
#include "host/enclave/image/sigstruct.hpp"

#include <algorithm>
#include <set>

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::eextend_bytes;
using protocol::sgx::page_bytes;
using protocol::sgx::PageType;
using protocol::sgx::secinfo_flags;
using protocol::sgx::Sigstruct;

constexpr std::uint64_t metadata_magic = 0x86A80294635D0E4C;
constexpr std::string_view metadata_section = ".note.sgxmeta";
constexpr std::string_view metadata_name = "sgx_metadata";
constexpr std::size_t metadata_forms_max = 8;
constexpr std::uint64_t applied_entries_max = std::uint64_t{1} << 20U;
constexpr std::uint64_t page_mask = page_bytes - 1;

constexpr std::uint64_t page_of(std::uint64_t address) noexcept
{
    return address & ~page_mask;
}

// A patch to the file: bytes of the metadata that belong at an offset of the ELF file.
struct Patch {
    std::uint64_t target;
    std::uint32_t source;
    std::uint32_t size;
    ByteArray<16> reserved;
};
static_assert(sizeof(Patch) == 32);

// A row of the layout. A group repeats the rows before it and uses the fields otherwise: attributes is their number,
// page_count how often, address by how much further each time.
struct Layout {
    std::uint16_t id;
    std::uint16_t attributes;
    std::uint32_t page_count;
    std::uint64_t address;
    std::uint32_t content_size; // without a content_offset: a word that fills the pages
    std::uint32_t content_offset;
    std::uint64_t secinfo;
};
static_assert(sizeof(Layout) == 32);
constexpr std::uint16_t layout_group = 0x1000;
constexpr std::uint16_t layout_eadd = 1;
constexpr std::uint16_t layout_eextend = 2;

template <typename Row>
std::vector<Row> rows_of(Bytes table)
{
    std::vector<Row> rows(table.size() / sizeof(Row));
    if (!rows.empty()) {
        std::memcpy(rows.data(), table.data(), rows.size() * sizeof(Row));
    }
    return rows;
}

Result<Bytes> part_of(Bytes whole, std::uint64_t offset, std::uint64_t size) noexcept
{
    if (offset > whole.size() || size > whole.size() - offset) {
        return fail(Kind::malformed, "the SDK's metadata points outside the file");
    }
    return whole.subspan(offset, size);
}

// Fields in the order of the SDK's metadata_t, which all versions share up to here.
Outcome<std::size_t> read_metadata(Bytes bytes, SdkMetadata& metadata)
{
    Reader reader(bytes);
    static_cast<void>(TRY(reader.read_le<std::uint64_t>())); // magic number
    const auto version = TRY(reader.read_le<std::uint64_t>());
    const auto size = TRY(reader.read_le<std::uint32_t>());
    static_cast<void>(TRY(reader.read_le<std::uint32_t>())); // TCS policy
    metadata.header.ssa_frame_pages = TRY(reader.read_le<std::uint32_t>());
    static_cast<void>(TRY(reader.read_bytes(12))); // XSAVE size, MISCSELECT wished for, TCS pool
    metadata.header.size = TRY(reader.read_le<std::uint64_t>());
    static_cast<void>(TRY(reader.read_bytes(sizeof(protocol::sgx::Attributes))));
    const auto sigstruct = TRY(reader.read_bytes(sizeof(Sigstruct)));
    metadata.sigstruct = TRY(read_sigstruct(sigstruct));
    metadata.major = static_cast<std::uint32_t>(version >> 32U);
    metadata.minor = static_cast<std::uint32_t>(version);
    if (metadata.major < 1 || metadata.major > 2) {
        return fault(Kind::malformed, "the SDK's metadata has version " + std::to_string(metadata.major) + "." +
                                          std::to_string(metadata.minor) + "; 1.x and 2.x can be read");
    }
    TRY(check_header(metadata.header));
    metadata.bytes = bytes;
    for (auto* table : {&metadata.patches, &metadata.layout}) {
        const auto offset = TRY(reader.read_le<std::uint32_t>());
        const auto table_size = TRY(reader.read_le<std::uint32_t>());
        *table = TRY(part_of(bytes, offset, table_size));
    }
    return size;
}

// Pages that a relocation writes to while the enclave starts: the SDK's loader makes those of the text writable.
Outcome<std::set<std::uint64_t>> relocated_pages(const ElfFile& file)
{
    struct Table {
        std::uint64_t address = 0;
        std::uint64_t size = 0;
    };
    Table relocations;
    Table jump_slots;
    bool text_relocated = false;
    for (std::size_t index = 0; index < file.segment_count(); ++index) {
        const auto segment = TRY(file.segment(index));
        const auto entries = segment.p_type == PT_DYNAMIC ? TRY(file.content(segment)) : Bytes{};
        for (const auto& entry : rows_of<Elf64_Dyn>(entries)) {
            const auto value = entry.d_un.d_val;
            switch (entry.d_tag) {
            case DT_TEXTREL: text_relocated = true; break;
            case DT_RELA: relocations.address = value; break;
            case DT_RELASZ: relocations.size = value; break;
            case DT_JMPREL: jump_slots.address = value; break;
            case DT_PLTRELSZ: jump_slots.size = value; break;
            default: break;
            }
        }
    }
    std::set<std::uint64_t> pages;
    for (std::size_t index = 0; text_relocated && index < file.segment_count(); ++index) {
        const auto segment = TRY(file.segment(index));
        for (const auto& table : {relocations, jump_slots}) {
            if (segment.p_type != PT_LOAD || table.size == 0 || table.address < segment.p_vaddr ||
                table.address - segment.p_vaddr >= segment.p_filesz) {
                continue;
            }
            const auto content = TRY(file.content(segment));
            const auto entries = TRY(part_of(content, table.address - segment.p_vaddr, table.size));
            for (const auto& entry : rows_of<Elf64_Rela>(entries)) {
                if (ELF64_R_TYPE(entry.r_info) != R_X86_64_NONE) {
                    pages.insert(page_of(entry.r_offset));
                    pages.insert(page_of(entry.r_offset + sizeof(std::uint64_t) - 1));
                }
            }
        }
    }
    return pages;
}

// What the SDK's loader does, as far as it is measured.
class Loading {
  public:
    Loading(const SdkMetadata& metadata, const VisitPage& visit)
        : metadata_(metadata)
        , visit_(visit)
        , measurement_(metadata.header)
    {
    }

    // `size` bytes in memory from `address`, the first of them `content`, the rest zeros.
    Done add_range(std::uint64_t address, Bytes content, std::uint64_t size, std::uint64_t secinfo,
                   const std::set<std::uint64_t>& relocated)
    {
        if (address >= metadata_.header.size || size > metadata_.header.size - address) {
            return fault(Kind::malformed, "pages lie outside the enclave's range");
        }
        std::uint64_t at = page_of(address);
        const auto end = address + size;
        std::size_t used = 0;
        for (; at < end; at += page_bytes) {
            Page page{at, secinfo, all_chunks, {}};
            const auto inside = at < address ? address - at : 0;
            const auto count = std::min<std::size_t>(page_bytes - inside, content.size() - used);
            if (count != 0) {
                copy_bytes(MutableBytes(page.content).subspan(inside), content.subspan(used, count));
                page.secinfo |= relocated.contains(at) ? protocol::sgx::SECINFO_W : 0;
                used += count;
            }
            TRY(add(page));
        }
        return {};
    }

    Done apply(const Layout& row, std::uint64_t delta)
    {
        if (++applied_ > applied_entries_max) {
            return fault(Kind::exhausted, "the SDK's metadata repeats its pages beyond all measure");
        }
        if ((row.attributes & layout_eadd) == 0) {
            return {}; // added after the enclave has started, and not measured
        }
        const auto address = row.address + delta;
        const auto size = std::uint64_t{row.page_count} * page_bytes;
        const bool tcs = row.secinfo == secinfo_flags(PageType::PT_TCS, 0);
        if (row.content_offset != 0 && !tcs) {
            return add_range(address, TRY(part_of(metadata_.bytes, row.content_offset, row.content_size)), size,
                             row.secinfo, {});
        }
        if (row.secinfo == 0) {
            return {}; // a gap
        }
        Page page{address, row.secinfo, {}, {}};
        page.measured_chunks = (row.attributes & layout_eextend) != 0 ? all_chunks : 0;
        if (row.content_offset != 0) {
            TRY(fill_tcs(page, row));
        } else {
            for (std::size_t at = 0; at < page_bytes; at += sizeof row.content_size) {
                std::memcpy(page.content.data() + at, &row.content_size, sizeof row.content_size);
            }
        }
        for (std::uint32_t index = 0; index < row.page_count; ++index, page.offset += page_bytes) {
            TRY(add(page));
        }
        return {};
    }

    Digest finish() { return measurement_.finish(); }

  private:
    // The template of a TCS has its offsets relative to itself.
    Done fill_tcs(Page& page, const Layout& row) const
    {
        if (row.content_size > page_bytes) {
            return fault(Kind::malformed, "the SDK's metadata has a TCS above a page");
        }
        copy_bytes(page.content, TRY(part_of(metadata_.bytes, row.content_offset, row.content_size)));
        protocol::sgx::Tcs tcs;
        std::memcpy(&tcs, page.content.data(), sizeof tcs);
        tcs.ossa += page.offset;
        tcs.ofsbase += page.offset;
        tcs.ogsbase += page.offset;
        std::memcpy(page.content.data(), &tcs, sizeof tcs);
        return {};
    }

    Done add(const Page& page)
    {
        if (page.offset % page_bytes != 0 || page.offset >= metadata_.header.size) {
            return fault(Kind::malformed, "a page lies outside the enclave's range");
        }
        if (++page_count_ > examined_pages_max) {
            return fault(Kind::exhausted, "the enclave has more than " + std::to_string(examined_pages_max) + " pages");
        }
        measurement_.add_page(page.offset, page.secinfo);
        if (page.measured_chunks != 0) {
            for (std::size_t at = 0; at < page_bytes; at += eextend_bytes) {
                measurement_.extend(page.offset + at, Bytes(page.content).subspan(at, eextend_bytes));
            }
        }
        if (visit_) {
            visit_(page);
        }
        return {};
    }

    const SdkMetadata& metadata_;
    const VisitPage& visit_;
    Measurement measurement_;
    std::uint64_t page_count_ = 0;
    std::uint64_t applied_ = 0;
};

std::uint64_t permissions_of(const Elf64_Phdr& segment) noexcept
{
    std::uint64_t permissions = 0;
    permissions |= (segment.p_flags & PF_R) != 0 ? protocol::sgx::SECINFO_R : 0;
    permissions |= (segment.p_flags & PF_W) != 0 ? protocol::sgx::SECINFO_W : 0;
    permissions |= (segment.p_flags & PF_X) != 0 ? protocol::sgx::SECINFO_X : 0;
    return permissions;
}

Outcome<std::vector<std::uint8_t>> patched(const ElfFile& file, const SdkMetadata& metadata)
{
    std::vector<std::uint8_t> bytes(file.bytes().begin(), file.bytes().end());
    for (const auto& patch : rows_of<Patch>(metadata.patches)) {
        const auto source = TRY(part_of(metadata.bytes, patch.source, patch.size));
        if (patch.target > bytes.size() || patch.size > bytes.size() - patch.target) {
            return fault(Kind::malformed, "the SDK's metadata patches bytes outside the file");
        }
        copy_bytes(MutableBytes(bytes).subspan(patch.target), source);
    }
    return bytes;
}

Done load_layout(Loading& loading, const std::vector<Layout>& rows)
{
    for (std::size_t index = 0; index < rows.size(); ++index) {
        const auto& row = rows[index];
        if ((row.id & layout_group) == 0) {
            TRY(loading.apply(row, 0));
            continue;
        }
        const std::size_t repeated = row.attributes;
        const auto first = rows.begin() + static_cast<std::ptrdiff_t>(index - std::min(repeated, index));
        const auto last = rows.begin() + static_cast<std::ptrdiff_t>(index);
        const auto is_group = [](const Layout& other) { return (other.id & layout_group) != 0; };
        if (repeated == 0 || repeated > index || std::any_of(first, last, is_group)) {
            return fault(Kind::malformed, "the SDK's metadata repeats rows that are not there, or a repetition");
        }
        for (std::uint64_t time = 1; time <= row.page_count; ++time) {
            for (auto other = first; other != last; ++other) {
                TRY(loading.apply(*other, row.address * time));
            }
        }
    }
    return {};
}

} // namespace

Outcome<SdkElf> SdkElf::open(Bytes bytes)
{
    SdkElf out(TRY(ElfFile::open(bytes)));
    const auto section = TRY(out.file_.section(metadata_section));
    if (section.empty()) {
        return fault(Kind::missing, "an ELF file without the SDK's metadata: it was not signed with sgx_sign");
    }
    Reader note(section);
    const auto name_size = TRY(note.read_le<std::uint32_t>());
    const auto size = TRY(note.read_le<std::uint32_t>());
    static_cast<void>(TRY(note.read_le<std::uint32_t>())); // type
    const auto name = TRY(note.read_bytes(name_size));
    if (name.size() < metadata_name.size() || !same_bytes(name.first(metadata_name.size()), bytes_of(metadata_name))) {
        return fault(Kind::malformed, "the note of the enclave's metadata has another name");
    }
    auto rest = TRY(note.read_bytes(size));
    while (out.metadata_.size() < metadata_forms_max && rest.size() >= sizeof metadata_magic &&
           TRY(Reader(rest).read_le<std::uint64_t>()) == metadata_magic) {
        SdkMetadata metadata;
        const auto used = TRY(read_metadata(rest, metadata));
        out.metadata_.push_back(metadata);
        if (used == 0 || used > rest.size()) {
            break;
        }
        rest = rest.subspan(used);
    }
    if (out.metadata_.empty()) {
        return fault(Kind::malformed, "the note of the enclave's metadata does not begin as the SDK's does");
    }
    return out;
}

Outcome<Walked> SdkElf::walk(const SdkMetadata& metadata, const VisitPage& visit) const
{
    const auto relocated = TRY(relocated_pages(file_));
    const auto bytes = TRY(patched(file_, metadata));
    const auto file = TRY(ElfFile::open(bytes));
    Loading loading(metadata, visit);
    for (std::size_t index = 0; index < file.segment_count(); ++index) {
        const auto segment = TRY(file.segment(index));
        if (segment.p_type == PT_LOAD) {
            const auto content = TRY(file.content(segment));
            TRY(loading.add_range(segment.p_vaddr, content, segment.p_memsz,
                                  secinfo_flags(PageType::PT_REG, permissions_of(segment)), relocated));
        }
    }
    TRY(load_layout(loading, rows_of<Layout>(metadata.layout)));
    return Walked{metadata.header, loading.finish()};
}

} // namespace caisson::host::enclave::image
