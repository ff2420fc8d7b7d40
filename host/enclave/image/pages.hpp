// An enclave file read page by page, whoever made it: what is added, with which rights, and what of it is measured.
// For tools that examine files of strangers; the loader reads images with SgxsReader, which is stricter.
#pragma once

#include "host/enclave/image/sgxs.hpp"
#include "host/fault.hpp"

#include <functional>

namespace caisson::host::enclave::image {

// What a page adds to, whatever the file claims: 4 GiB of pages.
inline constexpr std::uint64_t examined_pages_max = std::uint64_t{1} << 20U;

struct Page {
    std::uint64_t offset = 0;
    std::uint64_t secinfo = 0;
    std::uint16_t measured_chunks = 0; // bit n: chunk n of 256 bytes is part of MRENCLAVE
    ByteArray<protocol::sgx::page_bytes> content{};
};
inline constexpr std::uint16_t all_chunks = 0xffff;

// Called for each page in the order it is added.
using VisitPage = std::function<void(const Page&)>;

struct Walked {
    SgxsHeader header;
    Digest mrenclave{};
};

// A stream as other tools write it: pages in any order, with all, some or none of their chunks measured (EEXTEND) or
// loaded unmeasured (UNMEASRD). Fails: truncated, malformed.
[[nodiscard]] Outcome<Walked> walk_sgxs(Bytes stream, const VisitPage& visit);

} // namespace caisson::host::enclave::image
