#include "protocol/evidence/sgx_verify.hpp"

#include <openssl/sha.h>

#include <algorithm>

namespace caisson::protocol::evidence {
namespace {

constexpr std::size_t pck_chain_length = 3;
constexpr std::size_t signer_chain_length = 2;

// [EVIDENCE-6]
Result<Certificate> signer_of(std::string_view pem, const SgxCollateral& collateral, const RootPin& root,
                              std::int64_t now)
{
    const auto chain = TRY(Certificate::read_chain(pem));
    TRY(verify_chain(chain, signer_chain_length, root, now));
    if (!chain[0].common_name().ends_with(" SGX TCB Signing")) {
        return fail(Kind::unauthentic, "collateral is signed by another key than Intel's for collateral");
    }
    TRY(verify_not_revoked(collateral.root_crl, chain[1], chain[0], now));
    return chain[0];
}

// [EVIDENCE-9] A quoting enclave that is behind makes the platform's status no better than "out of date".
TcbStatus combined(TcbStatus platform, TcbStatus qe) noexcept
{
    if (platform == TcbStatus::Revoked || qe == TcbStatus::Revoked) {
        return TcbStatus::Revoked;
    }
    if (qe != TcbStatus::OutOfDate) {
        return std::max(platform, qe);
    }
    switch (platform) {
    case TcbStatus::UpToDate:
    case TcbStatus::SWHardeningNeeded:
    case TcbStatus::OutOfDate: return TcbStatus::OutOfDate;
    default: return TcbStatus::OutOfDateConfigurationNeeded;
    }
}

void add_advisories(SgxVerdict& verdict, const TcbLevel& level)
{
    for (const auto& advisory : level.advisories) {
        if (std::find(verdict.advisories.begin(), verdict.advisories.end(), advisory) == verdict.advisories.end()) {
            verdict.advisories.push_back(advisory);
        }
    }
}

} // namespace

const RootPin intel_sgx_root{0xa0, 0xaf, 0x03, 0x12, 0x89, 0xf5, 0xd5, 0xd4, 0x13, 0x2f, 0x91,
                             0x86, 0x06, 0x8a, 0x7f, 0xc1, 0x36, 0x28, 0x63, 0x3b, 0xa2, 0x35,
                             0x77, 0x74, 0x72, 0xe2, 0x9b, 0x6b, 0x6c, 0x67, 0xa4, 0x9e};

// [EVIDENCE-3]
Status verify_sgx_signatures(const SgxQuote& quote, const Certificate& pck)
{
    TRY(pck.verify(quote.qe_report_bytes, quote.qe_report_signature));
    std::vector<std::uint8_t> vouched(quote.attestation_key.begin(), quote.attestation_key.end());
    vouched.insert(vouched.end(), quote.authentication_data.begin(), quote.authentication_data.end());
    sgx::ReportData expected{}; // the digest, then zeros
    SHA256(vouched.data(), vouched.size(), expected.data());
    if (quote.qe_report.report_data != expected) {
        return fail(Kind::unauthentic, "the quoting enclave did not vouch for the key of this quote");
    }
    return verify_p256(quote.attestation_key, quote.signed_part, quote.signature);
}

Result<VerifiedCollateral> verify_sgx_collateral(const SgxCollateral& collateral, const RootPin& root, std::int64_t now)
{
    const auto tcb_signer = TRY(signer_of(collateral.tcb_info_chain, collateral, root, now));
    const auto qe_signer = TRY(signer_of(collateral.qe_identity_chain, collateral, root, now));
    VerifiedCollateral verified;
    verified.tcb_info = TRY(read_tcb_info(collateral.tcb_info, tcb_signer, now));
    verified.qe_identity = TRY(read_qe_identity(collateral.qe_identity, qe_signer, now));
    return verified;
}

Result<SgxVerdict> verify_sgx_quote(Bytes bytes, const SgxCollateral& collateral, const RootPin& root, std::int64_t now)
{
    const auto quote = TRY(read_sgx_quote(bytes));
    const auto chain = TRY(Certificate::read_chain(quote.certificate_chain));
    TRY(verify_chain(chain, pck_chain_length, root, now));
    if (!chain[0].common_name().ends_with(" SGX PCK Certificate")) {
        return fail(Kind::unauthentic, "a quote is signed by another key than a platform's");
    }
    TRY(verify_not_revoked(collateral.root_crl, chain[2], chain[1], now));
    TRY(verify_not_revoked(collateral.pck_crl, chain[1], chain[0], now));
    TRY(verify_sgx_signatures(quote, chain[0]));

    const auto [tcb_info, qe_identity] = TRY(verify_sgx_collateral(collateral, root, now));
    SgxVerdict verdict;
    verdict.body = quote.body;
    verdict.debug = (quote.body.attributes.flags & sgx::ATTRIBUTES_DEBUG) != 0;
    verdict.platform = TRY(read_pck_facts(chain[0]));
    const auto* platform = TRY(tcb_info.level_of(verdict.platform));
    const auto* qe = TRY(qe_identity.level_of(quote.qe_report));
    verdict.platform_status = platform->status;
    verdict.platform_date = platform->date;
    verdict.qe_status = qe->status;
    verdict.status = combined(platform->status, qe->status);
    verdict.tcb_evaluation = tcb_info.evaluation;
    verdict.qe_evaluation = qe_identity.evaluation;
    add_advisories(verdict, *platform);
    add_advisories(verdict, *qe);
    return verdict;
}

} // namespace caisson::protocol::evidence
