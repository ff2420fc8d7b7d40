#include "host/enclave/image/pages.hpp"

#include "core/wire.hpp"
#include "host/enclave/image/measurement.hpp"

#include <optional>

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::eextend_bytes;
using protocol::sgx::page_bytes;

constexpr std::size_t field_bytes = 56; // of a record, behind its tag
constexpr ByteArray<8> unmeasured_tag{'U', 'N', 'M', 'E', 'A', 'S', 'R', 'D'};

std::string at_byte(std::size_t at)
{
    return " (byte " + std::to_string(at) + " of the file)";
}

// The stream while it is walked: the page whose chunks come, and what was measured so far.
class Walk {
  public:
    Walk(const SgxsHeader& header, const VisitPage& visit)
        : header_(header)
        , visit_(visit)
        , measurement_(header)
    {
    }

    Done add(Reader& fields, std::size_t at)
    {
        leave_page();
        if (++page_count_ > examined_pages_max) {
            return fault(Kind::exhausted, "the enclave has more than " + std::to_string(examined_pages_max) + " pages");
        }
        auto& page = page_.emplace();
        page.offset = TRY(fields.read_le<std::uint64_t>());
        page.secinfo = TRY(fields.read_le<std::uint64_t>());
        if (page.offset % page_bytes != 0 || page.offset >= header_.size) {
            return fault(Kind::malformed, "a page lies outside the enclave's range" + at_byte(at));
        }
        measurement_.add_page(page.offset, page.secinfo);
        return {};
    }

    Done extend(Reader& fields, Bytes chunk, bool measured, std::size_t at)
    {
        const auto offset = TRY(fields.read_le<std::uint64_t>());
        if (!page_ || offset % eextend_bytes != 0 || offset < page_->offset || offset - page_->offset >= page_bytes) {
            return fault(Kind::malformed, "a chunk belongs to no page before it" + at_byte(at));
        }
        copy_bytes(MutableBytes(page_->content).subspan(offset - page_->offset), chunk);
        if (measured) {
            const auto index = (offset - page_->offset) / eextend_bytes;
            page_->measured_chunks = static_cast<std::uint16_t>(page_->measured_chunks | (1U << index));
            measurement_.extend(offset, chunk);
        }
        return {};
    }

    Digest finish()
    {
        leave_page();
        return measurement_.finish();
    }

  private:
    void leave_page()
    {
        if (page_ && visit_) {
            visit_(*page_);
        }
    }

    SgxsHeader header_;
    const VisitPage& visit_;
    Measurement measurement_;
    std::optional<Page> page_;
    std::uint64_t page_count_ = 0;
};

} // namespace

Outcome<Walked> walk_sgxs(Bytes stream, const VisitPage& visit)
{
    Walked walked;
    walked.header = TRY(SgxsReader::open(stream)).header();
    Walk walk(walked.header, visit);
    Reader reader(stream.subspan(ecreate_tag.size() + field_bytes));
    while (!reader.rest().empty()) {
        const auto at = stream.size() - reader.rest().size();
        const auto tag = TRY(reader.read_array<8>());
        Reader fields(TRY(reader.read_bytes(field_bytes)));
        const bool measured = tag == eextend_tag;
        if (tag == eadd_tag) {
            TRY(walk.add(fields, at));
        } else if (measured || tag == unmeasured_tag) {
            const auto chunk = TRY(reader.read_bytes(eextend_bytes));
            TRY(walk.extend(fields, chunk, measured, at));
        } else {
            return fault(Kind::malformed, "an unknown record stands in the stream" + at_byte(at));
        }
    }
    walked.mrenclave = walk.finish();
    return walked;
}

} // namespace caisson::host::enclave::image
