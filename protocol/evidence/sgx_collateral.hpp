// Intel's statements about platforms: TCB info and QE identity (PCS v3 and v4), and the SGX extension of a PCK
// certificate that they are held against.
#pragma once

#include "protocol/evidence/certificate.hpp"
#include "protocol/evidence/sgx_quote.hpp"

#include <string>
#include <vector>

namespace caisson::protocol::evidence {

// From good to bad within each kind of trouble; names as in Intel's JSON.
// NOLINTBEGIN(readability-identifier-naming)
enum class TcbStatus : std::uint8_t {
    UpToDate,
    SWHardeningNeeded,
    ConfigurationNeeded,
    ConfigurationAndSWHardeningNeeded,
    OutOfDate,
    OutOfDateConfigurationNeeded,
    Revoked,
};
// NOLINTEND(readability-identifier-naming)
[[nodiscard]] const char* tcb_status_name(TcbStatus status) noexcept;

// What Intel put into a PCK certificate (1.2.840.113741.1.13.1).
struct PckFacts {
    ByteArray<16> components{}; // SVNs
    std::uint16_t pcesvn = 0;
    ByteArray<6> fmspc{};
    ByteArray<2> pce_id{};
};
// Fails: missing, malformed.
[[nodiscard]] Result<PckFacts> read_pck_facts(const Certificate& pck);

struct TcbLevel {
    ByteArray<16> components{}; // of the platform
    std::uint16_t svn = 0;      // PCESVN of the platform, ISVSVN of a QE
    TcbStatus status = TcbStatus::Revoked;
    std::string date;
    std::vector<std::string> advisories;
};

struct TcbInfo {
    ByteArray<6> fmspc{};
    ByteArray<2> pce_id{};
    std::uint64_t evaluation = 0;
    std::vector<TcbLevel> levels; // the first that fits counts

    // Fails: unacceptable (no level fits, or the platform is another one).
    [[nodiscard]] Result<const TcbLevel*> level_of(const PckFacts& platform) const noexcept;
};

struct QeIdentity {
    std::uint32_t miscselect = 0;
    std::uint32_t miscselect_mask = 0;
    sgx::Attributes attributes{};
    sgx::Attributes attributes_mask{};
    Digest mrsigner{};
    std::uint16_t isv_prod_id = 0;
    std::uint64_t evaluation = 0;
    std::vector<TcbLevel> levels;

    // Fails: unacceptable (another enclave than Intel's QE, or no level fits).
    [[nodiscard]] Result<const TcbLevel*> level_of(const ReportBody& qe) const noexcept;
};

// The signature over the exact bytes by the holder of the chain, the times, then the content.
// Fails: malformed, unauthentic, expired.
[[nodiscard]] Result<TcbInfo> read_tcb_info(std::string_view json, const Certificate& signer, std::int64_t now);
[[nodiscard]] Result<QeIdentity> read_qe_identity(std::string_view json, const Certificate& signer, std::int64_t now);

} // namespace caisson::protocol::evidence
