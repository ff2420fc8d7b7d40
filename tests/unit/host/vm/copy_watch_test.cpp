#include "host/vm/copy_watch.hpp"

#include <gtest/gtest.h>

namespace caisson::host::vm {
namespace {

constexpr Clocks start{10'000, 12'000, 1'700'000'000'000};

constexpr Clocks later(std::int64_t monotonic_ms, std::int64_t boottime_ms, std::int64_t realtime_ms)
{
    return {start.monotonic_ms + monotonic_ms, start.boottime_ms + boottime_ms, start.realtime_ms + realtime_ms};
}

TEST(CopyWatchTest, time_that_all_clocks_have_counted_is_no_pause)
{
    CopyWatch watch(start);
    EXPECT_FALSE(watch.stood_still(later(500, 500, 500)));
    EXPECT_FALSE(watch.stood_still(later(3'600'500, 3'600'500, 3'600'500))); // nobody looked for an hour
}

TEST(CopyWatchTest, a_machine_that_was_suspended_stood_still) // [CURVE-50]
{
    CopyWatch watch(start);
    EXPECT_TRUE(watch.stood_still(later(500, 5'500, 500)));
    EXPECT_FALSE(watch.stood_still(later(1'000, 6'000, 1'000))); // it is told once
}

TEST(CopyWatchTest, a_restored_machine_stood_still_when_its_time_is_set_right) // [CURVE-50]
{
    CopyWatch watch(start);
    EXPECT_FALSE(watch.stood_still(later(500, 500, 500)));
    EXPECT_TRUE(watch.stood_still(later(1'000, 1'000, 60'000)));
}

TEST(CopyWatchTest, small_steps_and_steps_back_say_nothing)
{
    CopyWatch watch(start);
    EXPECT_FALSE(watch.stood_still(later(500, 500, 1'400)));
    EXPECT_FALSE(watch.stood_still(later(1'000, 1'000, -60'000)));
    EXPECT_FALSE(watch.stood_still(later(1'500, 1'500, -59'500)));
}

TEST(CopyWatchTest, the_clocks_of_a_running_machine_show_no_pause)
{
    CopyWatch watch(read_clocks());
    EXPECT_FALSE(watch.stood_still(read_clocks()));
}

} // namespace
} // namespace caisson::host::vm
