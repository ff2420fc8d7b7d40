// The SGXS stream: an enclave as the exact bytes its MRENCLAVE is the SHA-256 of (SDM vol. 3D, ECREATE, EADD, EEXTEND).
// The reader takes hostile input: strict, bounded, no heap; the loader uses it without OpenSSL.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/wire.hpp"
#include "protocol/image_note.hpp"
#include "protocol/sgx.hpp"

#include <optional>
#include <vector>

namespace caisson::host::enclave::image {

inline constexpr std::uint64_t enclave_bytes_max = std::uint64_t{1} << 36U;

// The records of a stream: a tag and 56 bytes of fields; EEXTEND is followed by the chunk.
inline constexpr ByteArray<8> ecreate_tag{'E', 'C', 'R', 'E', 'A', 'T', 'E', 0};
inline constexpr ByteArray<8> eadd_tag{'E', 'A', 'D', 'D', 0, 0, 0, 0};
inline constexpr ByteArray<8> eextend_tag{'E', 'E', 'X', 'T', 'E', 'N', 'D', 0};

struct SgxsHeader {
    std::uint32_t ssa_frame_pages = 0;
    std::uint64_t size = 0; // of the enclave's address range: a power of two
};

// Fails: malformed (the size is no power of two or above enclave_bytes_max, or the SSA frame not 1 to 16 pages).
[[nodiscard]] Status check_header(const SgxsHeader& header) noexcept;

struct SgxsPage {
    std::uint64_t offset = 0;
    std::uint64_t secinfo = 0;
    bool measured = false; // all sixteen chunks; a page with only some of them is refused: the driver has no such pages
    std::array<const std::uint8_t*, protocol::sgx::page_bytes / protocol::sgx::eextend_bytes> chunks{}; // when measured
};

class SgxsReader {
  public:
    // How much of a stream its first record takes, and a page that is measured whole.
    static constexpr std::size_t header_bytes = 64;
    static constexpr std::size_t page_record_bytes =
        64 + protocol::sgx::page_bytes / protocol::sgx::eextend_bytes * (64 + protocol::sgx::eextend_bytes);

    // Fails: truncated, malformed.
    [[nodiscard]] static Result<SgxsReader> open(Bytes stream) noexcept;

    // What follows in the stream, where it comes in portions of whole records. Requires: done().
    void go_on_with(Bytes portion) noexcept { reader_ = Reader(portion); }

    [[nodiscard]] const SgxsHeader& header() const noexcept { return header_; }
    [[nodiscard]] bool done() const noexcept { return reader_.rest().empty(); }

    // Pages come in rising order of offset. Requires: !done(). Fails: truncated, malformed.
    [[nodiscard]] Result<SgxsPage> read_page() noexcept;

  private:
    explicit SgxsReader(Bytes stream) noexcept
        : reader_(stream)
    {
    }

    Reader reader_;
    SgxsHeader header_;
    std::uint64_t next_offset_ = 0;
};

// Builds a stream; every page measured.
class SgxsWriter {
  public:
    explicit SgxsWriter(const SgxsHeader& header);
    // Requires: content has at most one page; the rest is zeros.
    void write_page(std::uint64_t offset, std::uint64_t secinfo, Bytes content);
    [[nodiscard]] const std::vector<std::uint8_t>& stream() const noexcept { return stream_; }

  private:
    std::vector<std::uint8_t> stream_;
};

// MRENCLAVE of a stream in which every page is measured: its SHA-256.
[[nodiscard]] Digest measurement_of(Bytes stream) noexcept;

// [IMAGE-5] What the image says of how it was built; nothing when it is no chamber of ours.
[[nodiscard]] std::optional<protocol::ImageNote> note_of(Bytes stream) noexcept;

} // namespace caisson::host::enclave::image
