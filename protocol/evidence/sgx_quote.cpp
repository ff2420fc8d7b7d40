#include "protocol/evidence/sgx_quote.hpp"

#include "core/wire.hpp"

namespace caisson::protocol::evidence {

Result<ReportBody> read_report_body(Bytes bytes) noexcept
{
    if (bytes.size() < report_body_bytes) {
        return fail(Kind::truncated, "a report body has 384 bytes");
    }
    static_assert(offsetof(sgx::Report, key_id) == report_body_bytes);
    sgx::Report report{};
    std::memcpy(&report, bytes.data(), report_body_bytes);
    ReportBody body;
    body.cpusvn = report.cpusvn;
    body.miscselect = report.miscselect;
    body.attributes = report.attributes;
    body.mrenclave = report.mrenclave;
    body.mrsigner = report.mrsigner;
    body.isv_prod_id = report.isv_prod_id;
    body.isv_svn = report.isv_svn;
    body.report_data = report.report_data;
    return body;
}

namespace {

// [EVIDENCE-1]
Status check_header(Bytes header) noexcept
{
    Reader reader(header);
    const auto version = TRY(reader.read_le<std::uint16_t>());
    const auto key_type = TRY(reader.read_le<std::uint16_t>());
    const auto tee = TRY(reader.read_le<std::uint32_t>());
    TRY(reader.read_bytes(4)); // the SVNs of QE and PCE: the QE report and the PCK certificate say them, signed
    const auto vendor = TRY(reader.read_array<16>());
    if (version != 3) {
        return fail(Kind::malformed, "a quote of another version than 3");
    }
    constexpr std::uint16_t ecdsa_p256 = 2;
    if (key_type != ecdsa_p256 || tee != 0 || vendor != intel_qe_vendor) {
        return fail(Kind::malformed, "a quote that is not by Intel's ECDSA quoting enclave for SGX");
    }
    return {};
}

// [EVIDENCE-2] The sizes inside must add up to the size outside.
Status read_signature_data(Bytes bytes, SgxQuote& quote) noexcept
{
    Reader reader(bytes);
    quote.signature = TRY(reader.read_bytes(64));
    quote.attestation_key = TRY(reader.read_bytes(64));
    quote.qe_report_bytes = TRY(reader.read_bytes(report_body_bytes));
    quote.qe_report = TRY(read_report_body(quote.qe_report_bytes));
    quote.qe_report_signature = TRY(reader.read_bytes(64));
    const auto authentication_bytes = TRY(reader.read_le<std::uint16_t>());
    quote.authentication_data = TRY(reader.read_bytes(authentication_bytes));
    const auto certification_type = TRY(reader.read_le<std::uint16_t>());
    const auto certification_bytes = TRY(reader.read_le<std::uint32_t>());
    constexpr std::uint16_t pck_chain = 5;
    if (certification_type != pck_chain) {
        return fail(Kind::malformed, "a quote without its PCK certificate chain (certification data of type 5)");
    }
    quote.certificate_chain = text_of(TRY(reader.read_bytes(certification_bytes)));
    return reader.finish();
}

} // namespace

Result<SgxQuote> read_sgx_quote(Bytes bytes) noexcept
{
    if (bytes.size() > quote_bytes_max) {
        return fail(Kind::exhausted, "a quote is longer than any that is used");
    }
    SgxQuote quote;
    Reader reader(bytes);
    quote.signed_part = TRY(reader.read_bytes(quote_header_bytes + report_body_bytes));
    TRY(check_header(quote.signed_part.first(quote_header_bytes)));
    quote.body = TRY(read_report_body(quote.signed_part.subspan(quote_header_bytes)));
    const auto signature_bytes = TRY(reader.read_le<std::uint32_t>());
    const auto signature_data = TRY(reader.read_bytes(signature_bytes));
    TRY(read_signature_data(signature_data, quote));
    return quote;
}

} // namespace caisson::protocol::evidence
