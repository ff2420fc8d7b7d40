// The TPM root when its TPM is gone, dead, hung, cleared or another one.
#include "tests/unit/host/tpm/tpm_root_world.hpp"

#include "host/tpm/root_record.hpp"

namespace caisson::host::tpm {
namespace {

TEST_F(TpmRootTest, an_absent_tpm_is_missing)
{
    provision(wish());
    tpm_->stop();
    const auto gone = unseal();
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().kind, Kind::missing) << gone.error().what;

    auto provision = wish();
    provision.tpm.address = "device:" + (folder_ / "tpmrm9").string();
    const auto no_device = TpmRoot::provision(other_home(), provision);
    ASSERT_FALSE(no_device);
    EXPECT_EQ(no_device.error().kind, Kind::missing);
    EXPECT_NE(no_device.error().what.find("there is none"), std::string::npos) << no_device.error().what;

    provision.tpm.address = "mssim:host=localhost";
    const auto no_address = TpmRoot::provision(other_home(), provision);
    ASSERT_FALSE(no_address);
    EXPECT_EQ(no_address.error().kind, Kind::malformed);
}

TEST_F(TpmRootTest, a_tpm_that_dies_meanwhile_is_unavailable)
{
    provision(wish());
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    tpm_->stop();
    const auto dead = root->unseal();
    ASSERT_FALSE(dead);
    EXPECT_EQ(dead.error().kind, Kind::unavailable);
    EXPECT_NE(dead.error().what.find("ended the connection"), std::string::npos) << dead.error().what;
}

TEST_F(TpmRootTest, a_tpm_that_hangs_is_given_up)
{
    provision(wish());
    {
        auto root = TpmRoot::open(home(), 2s);
        ASSERT_TRUE(root) << root.error().what;
        tpm_->freeze();
        const auto hung = root->unseal();
        ASSERT_FALSE(hung);
        EXPECT_EQ(hung.error().kind, Kind::unavailable);
        EXPECT_NE(hung.error().what.find("did not answer in time"), std::string::npos) << hung.error().what;
        tpm_->thaw();
        EXPECT_FALSE(root->unseal()); // a late answer is not taken for the next one
    }
    EXPECT_TRUE(unseal());
}

// [TPM-11]
TEST_F(TpmRootTest, another_tpm_is_a_wrong_root)
{
    provision(wish());
    tpm_.reset();
    std::filesystem::rename(folder_ / "tpm", folder_ / "old");
    tpm_ = std::make_unique<tests::SoftwareTpm>(folder_ / "tpm");
    const auto blank = unseal();
    ASSERT_FALSE(blank);
    EXPECT_EQ(blank.error().kind, Kind::missing);
    EXPECT_NE(blank.error().what.find("another TPM"), std::string::npos) << blank.error().what;

    ASSERT_TRUE(TpmRoot::provision(other_home(), wish()));
    const auto foreign = unseal();
    ASSERT_FALSE(foreign);
    EXPECT_EQ(foreign.error().kind, Kind::unauthentic);
    EXPECT_NE(foreign.error().what.find("another TPM"), std::string::npos) << foreign.error().what;

    // Even with the pins forged the other TPM does not open it.
    auto forged = *load_record(home());
    const auto theirs = *load_record(other_home());
    forged.srk_name = theirs.srk_name;
    forged.ak_name = theirs.ak_name;
    ASSERT_TRUE(store_record(home(), forged));
    const auto opened = unseal();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, Kind::unauthentic) << opened.error().what;
    EXPECT_NE(opened.error().what.find("TPM_RC_INTEGRITY"), std::string::npos) << opened.error().what;
}

TEST_F(TpmRootTest, a_cleared_tpm_is_another_one)
{
    provision(wish());
    ASSERT_EQ(tpm_->tool("tpm2_clear -c platform"), 0);
    const auto cleared = unseal();
    ASSERT_FALSE(cleared);
    EXPECT_EQ(cleared.error().kind, Kind::missing);
}

// [TPM-7]
TEST_F(TpmRootTest, nobody_but_the_owner_clears_it_from_the_running_system)
{
    provision(wish());
    EXPECT_NE(tpm_->tool("tpm2_clear -c lockout"), 0);
    EXPECT_TRUE(unseal());
}

TEST_F(TpmRootTest, an_altered_sealed_root_does_not_open)
{
    provision(wish());
    auto record = *load_record(home());
    record.release.secret.back() ^= 1U;
    ASSERT_TRUE(store_record(home(), record));
    const auto altered = unseal();
    ASSERT_FALSE(altered);
    EXPECT_EQ(altered.error().kind, Kind::unauthentic) << altered.error().what;
}

} // namespace
} // namespace caisson::host::tpm
