// The SGX DCAP quote, version 3 (Intel's "SGX ECDSA quote" format): what it says, before anything is believed.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "protocol/sgx.hpp"

#include <string_view>

namespace caisson::protocol::evidence {

inline constexpr std::size_t quote_bytes_max = 65536;
inline constexpr std::size_t quote_header_bytes = 48;
inline constexpr std::size_t report_body_bytes = 384;
inline constexpr ByteArray<16> intel_qe_vendor{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                               0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

// The body of a REPORT: sgx::Report without key id and MAC.
struct ReportBody {
    ByteArray<16> cpusvn{};
    std::uint32_t miscselect = 0;
    sgx::Attributes attributes{};
    Digest mrenclave{};
    Digest mrsigner{};
    std::uint16_t isv_prod_id = 0;
    std::uint16_t isv_svn = 0;
    sgx::ReportData report_data{};
};

// Views into the quote's bytes.
struct SgxQuote {
    Bytes signed_part; // header and body
    ReportBody body;
    Bytes signature;
    Bytes attestation_key;
    Bytes qe_report_bytes;
    ReportBody qe_report;
    Bytes qe_report_signature;
    Bytes authentication_data;
    std::string_view certificate_chain; // PEM
};

// What follows the quote in its buffer is ignored: real buffers carry zeros there.
// Fails: truncated, malformed (version, key type, TEE, vendor, certification data of another type).
[[nodiscard]] Result<SgxQuote> read_sgx_quote(Bytes bytes) noexcept;

// Fails: truncated.
[[nodiscard]] Result<ReportBody> read_report_body(Bytes bytes) noexcept;

} // namespace caisson::protocol::evidence
