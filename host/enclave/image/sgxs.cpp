#include "host/enclave/image/sgxs.hpp"

#include "host/enclave/image/sha256.hpp"

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::eextend_bytes;
using protocol::sgx::page_bytes;

constexpr std::size_t record_bytes = 64;

Status expect_zeros(Reader& reader, std::size_t count) noexcept
{
    for (const auto byte : TRY(reader.read_bytes(count))) {
        if (byte != 0) {
            return fail(Kind::malformed, "an enclave image has bytes where zeros belong");
        }
    }
    return {};
}

Status expect_tag(Reader& reader, const ByteArray<8>& tag) noexcept
{
    if (!same_bytes(TRY(reader.read_bytes(tag.size())), tag)) {
        return fail(Kind::malformed, "an enclave image has an unknown record");
    }
    return {};
}

bool next_is(const Reader& reader, const ByteArray<8>& tag) noexcept
{
    return reader.rest().size() >= tag.size() && same_bytes(reader.rest().first(tag.size()), tag);
}

} // namespace

Status check_header(const SgxsHeader& header) noexcept
{
    const auto size = header.size;
    if (size < 2 * page_bytes || size > enclave_bytes_max || (size & (size - 1)) != 0) {
        return fail(Kind::malformed, "an enclave's size must be a power of two, up to 64 GiB");
    }
    if (header.ssa_frame_pages == 0 || header.ssa_frame_pages > 16) {
        return fail(Kind::malformed, "an enclave's SSA frame must have 1 to 16 pages");
    }
    return {};
}

Result<SgxsReader> SgxsReader::open(Bytes stream) noexcept
{
    SgxsReader out(stream);
    TRY(expect_tag(out.reader_, ecreate_tag));
    out.header_.ssa_frame_pages = TRY(out.reader_.read_le<std::uint32_t>());
    out.header_.size = TRY(out.reader_.read_le<std::uint64_t>());
    TRY(expect_zeros(out.reader_, record_bytes - 20));
    TRY(check_header(out.header_));
    return out;
}

// [IMAGE-2]
Result<SgxsPage> SgxsReader::read_page() noexcept
{
    SgxsPage page;
    TRY(expect_tag(reader_, eadd_tag));
    page.offset = TRY(reader_.read_le<std::uint64_t>());
    page.secinfo = TRY(reader_.read_le<std::uint64_t>());
    TRY(expect_zeros(reader_, record_bytes - 24));
    if (page.offset % page_bytes != 0 || page.offset >= header_.size || page.offset < next_offset_) {
        return fail(Kind::malformed, "an enclave page lies outside the enclave or twice in it");
    }
    next_offset_ = page.offset + page_bytes;
    const auto type = static_cast<protocol::sgx::PageType>(page.secinfo >> 8U);
    const auto permissions = page.secinfo & 0xffU;
    const bool tcs = type == protocol::sgx::PageType::PT_TCS && permissions == 0;
    const bool regular = type == protocol::sgx::PageType::PT_REG && permissions <= 7 && (permissions & 1U) != 0;
    if (!tcs && !regular) {
        return fail(Kind::malformed, "an enclave page has an unknown type or permissions");
    }
    if (!next_is(reader_, eextend_tag)) {
        return page;
    }
    for (std::size_t index = 0; index < page.chunks.size(); ++index) {
        TRY(expect_tag(reader_, eextend_tag));
        if (TRY(reader_.read_le<std::uint64_t>()) != page.offset + index * eextend_bytes) {
            return fail(Kind::malformed, "an enclave page is not measured whole and in order");
        }
        TRY(expect_zeros(reader_, record_bytes - 16));
        page.chunks[index] = TRY(reader_.read_bytes(eextend_bytes)).data();
    }
    page.measured = true;
    return page;
}

SgxsWriter::SgxsWriter(const SgxsHeader& header)
{
    ByteArray<record_bytes> record{};
    Writer writer(record);
    writer.write_bytes(ecreate_tag);
    writer.write_le(header.ssa_frame_pages);
    writer.write_le(header.size);
    stream_.insert(stream_.end(), record.begin(), record.end());
}

void SgxsWriter::write_page(std::uint64_t offset, std::uint64_t secinfo, Bytes content)
{
    ByteArray<record_bytes> record{};
    Writer add(record);
    add.write_bytes(eadd_tag);
    add.write_le(offset);
    add.write_le(secinfo);
    stream_.insert(stream_.end(), record.begin(), record.end());
    ByteArray<page_bytes> page{};
    copy_bytes(page, content);
    for (std::size_t at = 0; at < page_bytes; at += eextend_bytes) {
        record.fill(0);
        Writer extend(record);
        extend.write_bytes(eextend_tag);
        extend.write_le(offset + at);
        stream_.insert(stream_.end(), record.begin(), record.end());
        stream_.insert(stream_.end(), page.begin() + static_cast<std::ptrdiff_t>(at),
                       page.begin() + static_cast<std::ptrdiff_t>(at + eextend_bytes));
    }
}

Digest measurement_of(Bytes stream) noexcept
{
    return sha256(stream);
}

std::optional<protocol::ImageNote> note_of(Bytes stream) noexcept
{
    auto reader = SgxsReader::open(stream);
    if (!reader || reader->done()) {
        return std::nullopt;
    }
    const auto page = reader->read_page();
    if (!page || !page->measured || page->offset != 0) {
        return std::nullopt;
    }
    return protocol::read_image_note({page->chunks[0], protocol::sgx::eextend_bytes});
}

} // namespace caisson::host::enclave::image
