// A stand-in for Intel: root, PCK and collateral signer, CRLs, TCB info, QE identity, and a quoting enclave that signs
// quotes over whatever report it is given. Made anew with fresh keys by each test; every part can be spoiled.
#pragma once

#include "protocol/evidence/sgx_verify.hpp"

#include <memory>
#include <string>
#include <vector>

namespace caisson::tests {

inline constexpr std::int64_t sgx_pki_now = 1'800'000'000; // 2027-01-15, in the middle of everything's life

struct SgxPkiOptions {
    std::string platform_status = "UpToDate";
    std::string qe_status = "UpToDate";
    std::string signer_name = "Test SGX TCB Signing";
    std::string pck_name = "Test SGX PCK Certificate";
    std::uint8_t component = 5;         // each of the PCK's; the TCB level needs 5
    std::string fmspc = "00906ED50000"; // of the TCB info; the PCK has this one
    bool revoke_pck = false;
    bool revoke_intermediate = false;
    bool intermediate_is_ca = true;
    bool long_chain = false; // one certificate too many
    std::string tcb_next_update = "2027-02-01T00:00:00Z";
};

class SgxPki {
  public:
    explicit SgxPki(const SgxPkiOptions& options = {});
    ~SgxPki();
    SgxPki(const SgxPki&) = delete;
    SgxPki& operator=(const SgxPki&) = delete;

    [[nodiscard]] std::vector<std::uint8_t> quote(const protocol::sgx::Report& report) const;
    [[nodiscard]] protocol::evidence::SgxCollateral collateral() const;
    [[nodiscard]] protocol::evidence::RootPin pin() const;

    std::string tcb_info;
    std::string qe_identity;
    std::string signer_chain;
    std::string pck_chain;
    std::vector<std::uint8_t> pck_crl;
    std::vector<std::uint8_t> root_crl;

  private:
    struct Keys;
    std::unique_ptr<Keys> keys_;
};

} // namespace caisson::tests
