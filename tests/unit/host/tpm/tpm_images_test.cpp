// The register of images, and states that a signer approves.
#include "tests/unit/host/tpm/tpm_root_world.hpp"

#include "host/tpm/nv.hpp"
#include "host/tpm/root_record.hpp"

namespace caisson::host::tpm {
namespace {

// [TPM-8]
TEST_F(TpmRootTest, the_register_takes_each_image_once_and_is_empty_after_a_restart)
{
    provision(wish());
    const std::array both{first_image, second_image};
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        const auto one = root->register_images(std::span(both).first(1));
        ASSERT_TRUE(one) << one.error().what;
        EXPECT_EQ(one->size(), 1U);
        const auto two = root->register_images(both);
        ASSERT_TRUE(two) << two.error().what;
        EXPECT_EQ(*two, std::vector<Digest>(both.begin(), both.end()));
        EXPECT_EQ(*root->register_images(both), *two);
    }
    tpm_->restart();
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const auto after = root->register_images(std::span(both).last(1));
    ASSERT_TRUE(after) << after.error().what;
    EXPECT_EQ(*after, std::vector<Digest>{second_image});
}

TEST_F(TpmRootTest, a_register_that_somebody_else_extended_is_a_conflict)
{
    provision(wish());
    const auto slot = load_record(home())->slot;
    std::ofstream(tpm_->folder() / "digest") << std::string(32, 'x');
    ASSERT_EQ(tpm_->tool("tpm2_nvextend -C " + std::to_string(slot) + " -i digest " + std::to_string(slot)), 0);
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const auto images = root->register_images(std::span(&first_image, 1));
    ASSERT_FALSE(images);
    EXPECT_EQ(images.error().kind, Kind::conflict);
}

TEST_F(TpmRootTest, a_crash_between_log_and_register_is_mended)
{
    provision(wish());
    const std::array both{first_image, second_image};
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    ASSERT_TRUE(root->register_images(std::span(both).first(1)));
    ASSERT_TRUE(store_image_log(home(), both)); // written, but not extended
    const auto mended = root->register_images(both);
    ASSERT_TRUE(mended) << mended.error().what;
    EXPECT_EQ(*mended, std::vector<Digest>(both.begin(), both.end()));
}

// [TPM-12]
TEST_F(TpmRootTest, a_root_bound_to_images_is_refused_after_a_second_extension)
{
    auto provision_wish = wish();
    provision_wish.approved_register = register_after(std::span(&first_image, 1));
    provision(provision_wish);
    const auto before_launch = unseal();
    ASSERT_FALSE(before_launch); // nothing is registered yet
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        ASSERT_TRUE(root->register_images(std::span(&first_image, 1)));
    }
    ASSERT_TRUE(unseal()) << unsealed();
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        ASSERT_TRUE(root->register_images(std::span(&second_image, 1)));
    }
    const auto refused = unseal();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unacceptable);
    EXPECT_NE(refused.error().what.find("TPM_RC_POLICY:"), std::string::npos) << refused.error().what;
}

TEST_F(TpmRootTest, an_approved_state_releases_the_root_and_a_new_one_after_a_new_approval)
{
    const auto signer = make_signer("vendor");
    auto provision_wish = wish();
    provision_wish.signer_pem = signer;
    provision(provision_wish);
    const auto early = unseal();
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().kind, Kind::unacceptable);
    const auto accepted = approve(signer);
    ASSERT_TRUE(accepted) << accepted.error().what;
    const auto before = unsealed();
    EXPECT_EQ(before.size(), 64U) << before;
    const auto sealed_before = load_record(home())->release.secret;

    ASSERT_EQ(tpm_->tool(extend_pcr_7), 0); // a new boot loader
    const auto unapproved = unseal();
    ASSERT_FALSE(unapproved);
    EXPECT_EQ(unapproved.error().kind, Kind::unacceptable);
    EXPECT_NE(unapproved.error().what.find("approved other PCRs"), std::string::npos) << unapproved.error().what;
    ASSERT_TRUE(approve(signer));
    EXPECT_EQ(unsealed(), before);
    EXPECT_EQ(load_record(home())->release.secret, sealed_before); // nothing was sealed anew
}

TEST_F(TpmRootTest, another_signers_approval_is_refused_and_changes_nothing)
{
    auto provision_wish = wish();
    provision_wish.signer_pem = make_signer("vendor");
    provision(provision_wish);
    ASSERT_TRUE(approve(provision_wish.signer_pem));
    const auto before = record_text(*load_record(home()));
    const auto refused = approve(make_signer("stranger"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unauthentic) << refused.error().what;
    EXPECT_EQ(record_text(*load_record(home())), before);
}

TEST_F(TpmRootTest, the_signers_approval_of_another_state_is_refused)
{
    const auto signer = make_signer("vendor");
    auto provision_wish = wish();
    provision_wish.signer_pem = signer;
    provision(provision_wish);
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const Digest other{9};
    const auto signature = evidence::approve_policy(signer, other);
    ASSERT_TRUE(signature);
    const auto refused = root->accept_approval(other, *signature);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unacceptable) << refused.error().what;
}

} // namespace
} // namespace caisson::host::tpm
