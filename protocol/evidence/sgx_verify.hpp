// Is an SGX quote genuine, and what does Intel say about the platform that made it? A verdict with a status is not yet
// trust: whoever relies on it compares measurement, debug flag, report data and status with what he wants.
// Spec: docs/spec/evidence.md.
#pragma once

#include "protocol/evidence/certificate_chain.hpp"
#include "protocol/evidence/sgx_collateral.hpp"

namespace caisson::protocol::evidence {

// SHA-256 of the public key of "Intel SGX Root CA".
extern const RootPin intel_sgx_root;

// As PCS serves it: JSON, PEM, DER.
struct SgxCollateral {
    std::string_view tcb_info;
    std::string_view tcb_info_chain;
    std::string_view qe_identity;
    std::string_view qe_identity_chain;
    Bytes pck_crl;
    Bytes root_crl;
};

struct VerifiedCollateral {
    TcbInfo tcb_info;
    QeIdentity qe_identity;
};

// The collateral alone, for whoever keeps it; whether the PCK CRL is good shows with the first quote.
// Fails: malformed, unauthentic, expired.
[[nodiscard]] Result<VerifiedCollateral> verify_sgx_collateral(const SgxCollateral& collateral, const RootPin& root,
                                                               std::int64_t now);

struct SgxVerdict {
    ReportBody body;
    bool debug = false;
    TcbStatus status = TcbStatus::Revoked; // the worst of the two, combined
    TcbStatus platform_status = TcbStatus::Revoked;
    TcbStatus qe_status = TcbStatus::Revoked;
    std::string platform_date; // of the TCB level that fits
    std::vector<std::string> advisories;
    PckFacts platform;
    std::uint64_t tcb_evaluation = 0;
    std::uint64_t qe_evaluation = 0;
};

// Everything: the quote's signatures, the PCK chain to `root`, revocation, collateral in force at `now` (seconds since
// 1970). Fails: truncated, malformed, unauthentic, expired, unacceptable (no TCB level fits), exhausted.
[[nodiscard]] Result<SgxVerdict> verify_sgx_quote(Bytes quote, const SgxCollateral& collateral, const RootPin& root,
                                                  std::int64_t now);

// The quote's own signatures alone, from the key that its PCK certificate names; proves nothing about that certificate.
[[nodiscard]] Status verify_sgx_signatures(const SgxQuote& quote, const Certificate& pck);

} // namespace caisson::protocol::evidence
