// An enclave as Intel's SDK writes it: an ELF file that holds, in a note, one or several forms of metadata (1.4
// to 2.4): the SIGSTRUCT, patches to the file, and a table of the pages that its loader adds behind the segments.
#pragma once

#include "host/enclave/image/elf_file.hpp"
#include "host/enclave/image/pages.hpp"

namespace caisson::host::enclave::image {

// One form of the metadata. They differ in what they let a loader do later; all of a file give one MRENCLAVE.
struct SdkMetadata {
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
    SgxsHeader header;
    protocol::sgx::Sigstruct sigstruct{};
    Bytes bytes; // from its magic number on: what the offsets in it count from
    Bytes patches;
    Bytes layout;
};

class SdkElf {
  public:
    // Requires: `bytes` outlives it. Fails: truncated, malformed, missing (an ELF file without this metadata).
    [[nodiscard]] static Outcome<SdkElf> open(Bytes bytes);

    // At least one, the newest first.
    [[nodiscard]] const std::vector<SdkMetadata>& metadata() const noexcept { return metadata_; }

    // Fails: truncated, malformed, exhausted (more pages than examined_pages_max).
    [[nodiscard]] Outcome<Walked> walk(const SdkMetadata& metadata, const VisitPage& visit) const;

  private:
    explicit SdkElf(const ElfFile& file)
        : file_(file)
    {
    }

    ElfFile file_;
    std::vector<SdkMetadata> metadata_;
};

} // namespace caisson::host::enclave::image
