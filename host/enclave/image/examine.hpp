// Everything a file says about an enclave, recomputed: our own images, SGXS streams of others, enclaves signed with
// Intel's SDK, and SIGSTRUCTs alone.
#pragma once

#include "host/enclave/image/pages.hpp"
#include "protocol/image_note.hpp"
#include "protocol/sgx.hpp"

#include <filesystem>
#include <optional>
#include <vector>

namespace caisson::host::enclave::image {

inline constexpr std::size_t image_file_bytes_max = std::size_t{1} << 30U;

enum class ImageFormat : std::uint8_t { sgxs, sdk_elf, sigstruct };

// Neighbouring pages with the same SECINFO, measured alike.
struct PageRun {
    std::uint64_t offset = 0;
    std::uint64_t page_count = 0;
    std::uint64_t secinfo = 0;
    std::uint16_t measured_chunks = 0;
};

struct PageDigest {
    std::uint64_t offset = 0;
    std::uint64_t secinfo = 0;
    std::uint16_t measured_chunks = 0;
    Digest content{}; // SHA-256
};

struct ThreadEntry {
    std::uint64_t offset = 0;
    protocol::sgx::Tcs tcs{};
};

struct SignatureFacts {
    protocol::sgx::Sigstruct sigstruct{};
    Digest mrsigner{};
    std::optional<Error> flaw; // why the CPU would not take the signature
    bool names_image = false;  // it signs this MRENCLAVE; false as well for a SIGSTRUCT alone
};

struct Examined {
    ImageFormat format = ImageFormat::sgxs;
    std::vector<std::string> metadata_versions; // of the SDK, the newest first; each gave the same MRENCLAVE
    Digest mrenclave{};                         // none for a SIGSTRUCT alone
    SgxsHeader header;
    std::uint64_t page_count = 0;
    std::uint64_t unmeasured_pages = 0; // pages of which at least one chunk is not part of MRENCLAVE
    std::vector<PageRun> runs;
    std::vector<PageDigest> pages; // only when asked for
    std::vector<ThreadEntry> threads;
    std::optional<protocol::ImageNote> note; // an image of ours says how it was built
    std::optional<SignatureFacts> signature;

    // An image, and a signature that a CPU would take for it.
    [[nodiscard]] bool is_signed() const noexcept { return signature && !signature->flaw && signature->names_image; }
};

struct ExamineOptions {
    std::filesystem::path signature; // empty: NAME.sig beside an SGXS stream, if it is there
    bool each_page = false;
};

// Fails: missing, truncated, malformed (what and where), exhausted (beyond the limits). A bad signature is no failure
// but a finding.
[[nodiscard]] Outcome<Examined> examine(const std::filesystem::path& image, const ExamineOptions& options);

} // namespace caisson::host::enclave::image
