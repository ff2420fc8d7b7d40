#include "host/enclave/cpu_features.hpp"

#include <gtest/gtest.h>

#include <sched.h>

#include <vector>

namespace caisson::host::enclave {
namespace {

// The CPUs this thread may run on, as many of them as a test wants, and all of them again when it ends.
class SpinBudget : public testing::Test {
  protected:
    void SetUp() override { ASSERT_EQ(::sched_getaffinity(0, sizeof all_, &all_), 0); }
    void TearDown() override { EXPECT_EQ(::sched_setaffinity(0, sizeof all_, &all_), 0); }

    void run_on(int count)
    {
        cpu_set_t some{};
        for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&some) < count; ++cpu) {
            if (CPU_ISSET(cpu, &all_)) {
                CPU_SET(cpu, &some);
            }
        }
        ASSERT_EQ(::sched_setaffinity(0, sizeof some, &some), 0);
    }

    cpu_set_t all_{};
};

TEST_F(SpinBudget, on_one_cpu_nobody_spins)
{
    run_on(1);
    EXPECT_EQ(spin_budget_ticks(), 0U);
}

TEST_F(SpinBudget, on_two_it_is_ten_microseconds_of_the_time_stamp_counter)
{
    if (CPU_COUNT(&all_) < 2) {
        GTEST_SKIP() << "there is one CPU here";
    }
    run_on(2);
    constexpr std::uint32_t least = 5'000;  // 0.5 GHz: slower than any counter of a CPU of today
    constexpr std::uint32_t most = 100'000; // 10 GHz
    EXPECT_GE(spin_budget_ticks(), least);
    EXPECT_LE(spin_budget_ticks(), most);
}

TEST_F(SpinBudget, a_thread_that_is_left_one_cpu_stops_spinning)
{
    static_cast<void>(spin_budget_ticks()); // measured once, asked for each time
    run_on(1);
    EXPECT_EQ(spin_budget_ticks(), 0U);
}

} // namespace
} // namespace caisson::host::enclave
