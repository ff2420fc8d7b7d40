#include "services/run/program.hpp"

#include <gtest/gtest.h>

#include <array>

#include <fcntl.h>
#include <unistd.h>

namespace caisson::services::run {
namespace {

host::Outcome<int> run_shell(const std::string& script, std::map<std::string, std::string> environment = {})
{
    const SignalGuard guard;
    return run_program({{"/bin/sh", "-c", script}, std::move(environment), -1}, guard, [] {});
}

TEST(Program, its_exit_status_is_ours)
{
    EXPECT_EQ(*run_shell("exit 0"), 0);
    EXPECT_EQ(*run_shell("exit 42"), 42);
}

TEST(Program, an_end_by_signal_is_told_as_a_shell_tells_it)
{
    EXPECT_EQ(*run_shell("kill -TERM $$"), 143);
}

TEST(Program, it_gets_the_variables_on_top_of_ours)
{
    EXPECT_EQ(*run_shell("test \"$CAISSON_A\" = 'x y' && test -n \"$PATH\"", {{"CAISSON_A", "x y"}}), 0);
}

TEST(Program, a_variable_that_was_there_is_replaced)
{
    ::setenv("CAISSON_B", "old", 1);
    EXPECT_EQ(*run_shell("test \"$(env | grep -c ^CAISSON_B=)\" = 1 && test $CAISSON_B = new", {{"CAISSON_B", "new"}}),
              0);
    ::unsetenv("CAISSON_B");
}

TEST(Program, one_that_is_not_there_is_missing_and_one_that_is_no_program_forbidden)
{
    const SignalGuard guard;
    EXPECT_EQ(run_program({{"/nonexistent/program"}, {}, -1}, guard, [] {}).error().kind, Kind::missing);
    EXPECT_EQ(run_program({{"no-such-program-in-path"}, {}, -1}, guard, [] {}).error().kind, Kind::missing);
    EXPECT_EQ(run_program({{"/etc/passwd"}, {}, -1}, guard, [] {}).error().kind, Kind::forbidden);
    EXPECT_EQ(run_program({{"/"}, {}, -1}, guard, [] {}).error().kind, Kind::forbidden);
}

TEST(Program, a_signal_sent_to_us_reaches_it)
{
    const SignalGuard guard;
    bool sent = false;
    const auto result =
        run_program({{"/bin/sh", "-c", "trap 'exit 7' USR1; while :; do sleep 0.05; done"}, {}, -1}, guard, [&] {
            if (!sent) {
                ::kill(::getpid(), SIGUSR1);
                sent = true;
            }
        });
    EXPECT_EQ(*result, 7);
}

TEST(Program, it_has_the_signal_mask_we_had)
{
    EXPECT_EQ(*run_shell("grep -q '^SigBlk:.*0000000000000000' /proc/self/status"), 0);
}

TEST(Program, only_the_shared_descriptor_stays_open)
{
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const SignalGuard guard;
    const auto script =
        "test -e /proc/self/fd/" + std::to_string(pipe[0]) + " && ! test -e /proc/self/fd/" + std::to_string(pipe[1]);
    EXPECT_EQ(*run_program({{"/bin/sh", "-c", script}, {}, pipe[0]}, guard, [] {}), 0);
    ::close(pipe[0]);
    ::close(pipe[1]);
}

} // namespace
} // namespace caisson::services::run
