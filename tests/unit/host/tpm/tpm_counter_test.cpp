// The rollback counters of a TPM root.
#include "tests/unit/host/tpm/tpm_root_world.hpp"

#include "host/tpm/nv.hpp"
#include "host/tpm/root_record.hpp"

namespace caisson::host::tpm {
namespace {

// [TPM-13]
TEST_F(TpmRootTest, counters_rise_and_never_fall)
{
    provision(wish());
    const auto machine_root = unseal();
    ASSERT_TRUE(machine_root);
    std::uint64_t first = 0;
    {
        auto root = TpmRoot::open(home());
        ASSERT_TRUE(root);
        const auto before = root->counter(CounterOf::curve, *machine_root);
        const auto other = root->counter(CounterOf::witness, *machine_root);
        ASSERT_TRUE(before) << before.error().what;
        ASSERT_TRUE(other);
        first = *before;
        ASSERT_TRUE(root->raise_counter(CounterOf::curve, *machine_root));
        EXPECT_EQ(*root->counter(CounterOf::curve, *machine_root), first + 1);
        EXPECT_EQ(*root->counter(CounterOf::witness, *machine_root), *other);
    }
    tpm_->restart();
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    EXPECT_EQ(*root->counter(CounterOf::curve, *machine_root), first + 1);
}

TEST_F(TpmRootTest, a_counter_is_not_anothers_to_raise)
{
    provision(wish());
    auto root = TpmRoot::open(home());
    ASSERT_TRUE(root);
    MachineRoot stranger;
    const auto raised = root->raise_counter(CounterOf::curve, stranger);
    ASSERT_FALSE(raised);
    EXPECT_EQ(raised.error().kind, Kind::forbidden) << raised.error().what;
    EXPECT_FALSE(root->counter(CounterOf::curve, stranger));
    EXPECT_FALSE(root->facts()->tpm.in_lockout);
}

TEST_F(TpmRootTest, a_removed_counter_is_missing_and_a_remade_one_is_anothers)
{
    provision(wish());
    const auto machine_root = unseal();
    ASSERT_TRUE(machine_root);
    std::ifstream owner_file(folder_ / "owner");
    std::string owner;
    owner_file >> owner;
    const auto index = std::to_string(Slot{load_record(home())->slot}.counter(0));
    ASSERT_EQ(tpm_->tool("tpm2_nvundefine -C o -P hex:" + owner + " " + index), 0);
    const auto counter = [&]() -> Outcome<std::uint64_t> {
        auto root = TRY(TpmRoot::open(home()));
        return root.counter(CounterOf::curve, *machine_root);
    };
    const auto removed = counter();
    ASSERT_FALSE(removed);
    EXPECT_EQ(removed.error().kind, Kind::missing) << removed.error().what;

    ASSERT_EQ(tpm_->tool("tpm2_nvdefine -C o -P hex:" + owner +
                         " -s 8 -p theirs -a "
                         "'nt=counter|authread|authwrite|no_da' " +
                         index),
              0);
    ASSERT_EQ(tpm_->tool("tpm2_nvincrement -C " + index + " -P theirs " + index), 0);
    const auto remade = counter();
    ASSERT_FALSE(remade);
    EXPECT_NE(remade.error().kind, Kind::missing) << remade.error().what;
}

} // namespace
} // namespace caisson::host::tpm
