// An image as the loader takes it in: copied by portions, each measured and then parsed where it was copied to.
#pragma once

#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/image/sha256.hpp"

#include <unistd.h>

namespace caisson::host::enclave::loader {

class ImageStream {
  public:
    // Reads `descriptor` from its beginning.
    explicit ImageStream(int descriptor) noexcept
        : descriptor_(descriptor)
    {
    }

    // The first record. Fails: truncated, malformed, unavailable.
    [[nodiscard]] Result<image::SgxsReader> open() noexcept { return image::SgxsReader::open(TRY(read(header_bytes))); }

    // The next pages, none at the end; the portion before is overwritten.
    [[nodiscard]] Result<Bytes> next() noexcept { return read(portion_.size()); }

    // MRENCLAVE of what was read. Once, at the end.
    [[nodiscard]] Digest measurement() noexcept { return hash_.finish(); }

  private:
    static constexpr std::size_t header_bytes = image::SgxsReader::header_bytes;
    static constexpr std::size_t pages_at_once = 8;

    [[nodiscard]] Result<Bytes> read(std::size_t bytes_max) noexcept
    {
        std::size_t size = 0;
        while (size < bytes_max) {
            const auto got = ::pread(descriptor_, portion_.data() + size, bytes_max - size, static_cast<off_t>(at_));
            if (got < 0) {
                return fail(Kind::unavailable, "the loader cannot read its image");
            }
            if (got == 0) {
                break;
            }
            size += static_cast<std::size_t>(got);
            at_ += static_cast<std::uint64_t>(got);
        }
        const auto portion = Bytes(portion_).first(size);
        hash_.absorb(portion);
        return portion;
    }

    int descriptor_;
    std::uint64_t at_ = 0;
    image::Sha256 hash_;
    ByteArray<pages_at_once * image::SgxsReader::page_record_bytes> portion_{};
};

} // namespace caisson::host::enclave::loader
