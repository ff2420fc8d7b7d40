// The TPM root: what it gives back, and to whom it is sealed.
#include "tests/unit/host/tpm/tpm_root_world.hpp"

#include "host/store/durable_file.hpp"
#include "host/tpm/root_record.hpp"
#include "host/tpm/tpm_keys.hpp"
#include "tests/support/recording_wire.hpp"

#include <algorithm>

namespace caisson::host::tpm {
namespace {

TEST_F(TpmRootTest, a_root_comes_back_the_same_as_often_as_it_is_asked_for)
{
    provision(wish());
    const auto first = unsealed();
    EXPECT_EQ(first.size(), 64U) << first;
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    for (int turn = 0; turn < 8; ++turn) { // more than a TPM has room for, if anything stayed
        const auto again = root->unseal();
        ASSERT_TRUE(again) << again.error().what;
        EXPECT_EQ(hex(again->expose()), first);
    }
}

std::uint32_t word_at(const std::vector<std::uint8_t>& message, std::size_t offset)
{
    std::uint32_t word = 0;
    for (std::size_t index = offset; index < std::min(offset + sizeof word, message.size()); ++index) {
        word = word << 8U | message[index];
    }
    return word;
}

// What crosses the bus while a root is sealed and unsealed: each time the tpmKey of the session that carries it.
std::vector<std::uint32_t> salts_of_sessions_with_the_root(const std::vector<std::vector<std::uint8_t>>& commands)
{
    constexpr std::size_t code_offset = 6;
    constexpr std::size_t handle_offset = 10;
    std::vector<std::uint32_t> found;
    std::uint32_t salt = 0;
    for (const auto& command : commands) {
        const auto code = word_at(command, code_offset);
        const auto handle = word_at(command, handle_offset);
        if (code == TPM2_CC_StartAuthSession) {
            salt = handle;
        } else if (code == TPM2_CC_Unseal || (code == TPM2_CC_Create && handle == srk_handle)) {
            found.push_back(salt);
        }
    }
    return found;
}

// Whoever listens on the bus: the root is not there, and what hides it is a salt only the pinned key opens. [TPM-20]
TEST_F(TpmRootTest, sessions_are_salted_to_the_pinned_key_and_the_root_is_not_on_the_bus)
{
    tests::RecordingWire wire(folder_ / "wire.sock", folder_ / "tpm" / "tpm.sock");
    auto through_wire = wish();
    through_wire.tpm.address = wire.address();
    provision(through_wire);
    const auto root = unseal();
    ASSERT_TRUE(root) << root.error().what;
    wire.stop();
    const auto salts = salts_of_sessions_with_the_root(wire.commands());
    EXPECT_GE(salts.size(), 3U); // sealed for its policy and for its owner, and unsealed
    EXPECT_EQ(salts, std::vector<std::uint32_t>(salts.size(), srk_handle));
    const auto is_in = [&root](const std::vector<std::uint8_t>& passed) {
        return std::search(passed.begin(), passed.end(), root->expose().begin(), root->expose().end()) != passed.end();
    };
    for (const auto& command : wire.commands()) {
        EXPECT_FALSE(is_in(command)) << "command " << std::hex << word_at(command, 6);
    }
    EXPECT_FALSE(is_in(wire.responses()));
}

TEST_F(TpmRootTest, it_survives_a_restart_of_the_tpm)
{
    provision(wish());
    const auto before = unsealed();
    tpm_->restart();
    EXPECT_EQ(unsealed(), before);
}

TEST_F(TpmRootTest, nothing_on_disk_holds_the_root)
{
    provision(wish());
    const auto root = unsealed();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(home())) {
        if (entry.is_regular_file()) {
            std::ifstream file(entry.path());
            const std::string text(std::istreambuf_iterator<char>(file), {});
            EXPECT_EQ(text.find(root), std::string::npos) << entry.path();
        }
    }
}

TEST_F(TpmRootTest, a_software_tpm_says_so)
{
    provision(wish());
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const auto facts = root->facts();
    ASSERT_TRUE(facts);
    EXPECT_TRUE(facts->tpm.software);
    EXPECT_EQ(facts->tpm.manufacturer, "IBM");
    EXPECT_TRUE(facts->tpm.owner_set);
    EXPECT_FALSE(facts->tpm.in_lockout);
}

// [TPM-10]
TEST_F(TpmRootTest, after_a_pcr_was_extended_the_root_stays_sealed)
{
    provision(wish());
    ASSERT_EQ(tpm_->tool(extend_pcr_7), 0);
    const auto refused = unseal();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unacceptable);
    EXPECT_NE(refused.error().what.find("TPM_RC_POLICY_FAIL"), std::string::npos) << refused.error().what;
    EXPECT_NE(refused.error().what.find("caisson root reseal"), std::string::npos) << refused.error().what;
}

TEST_F(TpmRootTest, a_pcr_that_it_is_not_sealed_to_may_change)
{
    provision(wish());
    const auto before = unsealed();
    ASSERT_EQ(tpm_->tool("tpm2_pcrextend 12:sha256=" + std::string(64, 'c')), 0);
    EXPECT_EQ(unsealed(), before);
}

TEST_F(TpmRootTest, the_owner_seals_it_anew_to_what_the_machine_is_now)
{
    provision(wish());
    const auto before = unsealed();
    ASSERT_EQ(tpm_->tool(extend_pcr_7), 0);
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        const auto done = root->reseal(folder_ / "owner", {});
        ASSERT_TRUE(done) << done.error().what;
    }
    EXPECT_EQ(unsealed(), before);
}

TEST_F(TpmRootTest, a_wrong_owner_seals_nothing_anew)
{
    provision(wish());
    ASSERT_EQ(tpm_->tool(extend_pcr_7), 0);
    const auto record_before = record_text(*load_record(home()));
    const auto wrong = folder_ / "wrong";
    ASSERT_TRUE(store::store_file(wrong, bytes_of(std::string(64, 'd') + "\n"), 0600, store::Existing::replace));
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    const auto done = root->reseal(wrong, {});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, Kind::forbidden) << done.error().what;
    EXPECT_EQ(record_text(*load_record(home())), record_before);
}

TEST_F(TpmRootTest, an_owner_file_that_is_none_is_malformed)
{
    for (const auto& text : {std::string(), std::string(63, 'a'), std::string(66, 'a'), std::string(64, 'x')}) {
        ASSERT_TRUE(store::store_file(folder_ / "owner", bytes_of(text), 0600, store::Existing::replace));
        const auto root = TpmRoot::provision(home(), wish());
        ASSERT_FALSE(root);
        EXPECT_EQ(root.error().kind, Kind::malformed);
    }
}

TEST_F(TpmRootTest, a_tpm_with_another_owner_is_left_alone)
{
    ASSERT_EQ(tpm_->tool("tpm2_changeauth -c owner secret"), 0);
    const auto without = TpmRoot::provision(home(), wish());
    ASSERT_FALSE(without);
    EXPECT_EQ(without.error().kind, Kind::forbidden);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "owner"));
    ASSERT_TRUE(store::store_file(folder_ / "owner", bytes_of(std::string(64, 'a')), 0600, store::Existing::keep));
    const auto wrong = TpmRoot::provision(home(), wish());
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().kind, Kind::forbidden) << wrong.error().what;
    EXPECT_FALSE(TpmRoot::is_in(home()));
}

TEST_F(TpmRootTest, a_second_home_gets_a_root_of_its_own)
{
    provision(wish());
    const auto first = unsealed();
    {
        auto other = TpmRoot::provision(other_home(), wish());
        ASSERT_TRUE(other) << other.error().what;
        const auto second = other->unseal();
        ASSERT_TRUE(second);
        EXPECT_NE(hex(second->expose()), first);
    }
    EXPECT_EQ(unsealed(), first);
}

TEST_F(TpmRootTest, a_home_that_has_a_root_gets_no_other)
{
    provision(wish());
    const auto before = unsealed();
    const auto again = TpmRoot::provision(home(), wish());
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind, Kind::conflict);
    EXPECT_EQ(unsealed(), before);
}

} // namespace
} // namespace caisson::host::tpm
