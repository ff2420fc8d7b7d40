// A TPM root on a software TPM of the test's own.
#pragma once

#include "host/text.hpp"
#include "host/tpm/tpm_root.hpp"
#include "protocol/evidence/tpm_policy.hpp"
#include "tests/support/software_tpm.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace caisson::host::tpm {

namespace evidence = protocol::evidence;
using namespace std::chrono_literals;

inline constexpr Digest first_image{1};
inline constexpr Digest second_image{2};
inline constexpr const char* extend_pcr_7 =
    "tpm2_pcrextend 7:sha256=abababababababababababababababababababababababababababababababab";

class TpmRootTest : public testing::Test {
  protected:
    void SetUp() override
    {
        if (!tests::SoftwareTpm::is_installed()) {
            GTEST_SKIP() << "swtpm is not installed (packages/check.txt)";
        }
        std::string pattern = (std::filesystem::temp_directory_path() / "caisson-tpm-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        tpm_ = std::make_unique<tests::SoftwareTpm>(folder_ / "tpm");
    }
    void TearDown() override
    {
        tpm_.reset();
        std::error_code error;
        std::filesystem::remove_all(folder_, error);
    }

    [[nodiscard]] Provision wish() const
    {
        Provision provision;
        provision.tpm.address = tpm_->address();
        provision.owner = folder_ / "owner";
        return provision;
    }
    // Provisions and lets go of the TPM: a software TPM serves one connection at a time.
    void provision(const Provision& wish) const
    {
        const auto root = TpmRoot::provision(home(), wish);
        ASSERT_TRUE(root) << root.error().what;
    }
    [[nodiscard]] std::filesystem::path home() const { return folder_ / "home"; }
    [[nodiscard]] std::filesystem::path other_home() const { return folder_ / "other"; }

    [[nodiscard]] Outcome<MachineRoot> unseal() const
    {
        auto root = TRY(TpmRoot::open(home(), 5s));
        return root.unseal();
    }
    [[nodiscard]] std::string unsealed() const
    {
        const auto root = unseal();
        return root ? hex(root->expose()) : root.error().what;
    }
    // A P-256 key pair; returns the secret key as PEM.
    [[nodiscard]] std::string make_signer(const std::string& name) const
    {
        const auto file = folder_ / (name + ".pem");
        const auto line =
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + file.string() + " 2>/dev/null";
        EXPECT_EQ(std::system(line.c_str()), 0);
        std::ifstream stream(file);
        return {std::istreambuf_iterator<char>(stream), {}};
    }
    Done approve(const std::string& signer_pem) const
    {
        auto root = TRY(TpmRoot::open(home()));
        const auto policy = TRY(root.policy_of_now());
        const auto signature = TRY(evidence::approve_policy(signer_pem, policy));
        return root.accept_approval(policy, signature);
    }

    std::filesystem::path folder_;
    std::unique_ptr<tests::SoftwareTpm> tpm_;
};

} // namespace caisson::host::tpm
