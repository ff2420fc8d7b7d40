// In and out by the trap and without it: the same to whoever is inside and whoever is outside.
#include "tests/unit/host/enclave/loader/emulated_machine.hpp"

#include <pthread.h>

#include <thread>

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::EENTER;
using protocol::sgx::vector_gp;
using protocol::sgx::vector_pf;
using protocol::sgx::vector_ud;

class EmulatorCrossing : public EmulatedMachine, public testing::WithParamInterface<Crossing> {
  protected:
    void SetUp() override
    {
        const auto loaded = load(enclave_, built(), keys_, protocol::sgx::ATTRIBUTES_MODE64BIT, GetParam());
        ASSERT_TRUE(loaded) << loaded.error().what;
    }

    // In and out where a trap would be the end: the kernel kills who raises SIGILL while it is blocked.
    [[noreturn]] void cross_without_sigill()
    {
        sigset_t only;
        sigemptyset(&only);
        sigaddset(&only, SIGILL);
        ::pthread_sigmask(SIG_BLOCK, &only, nullptr);
        const auto exit = run(Command::echo, 40, 2);
        std::_Exit(exit.by_exception ? 1 : static_cast<int>(exit.rdi));
    }
};

INSTANTIATE_TEST_SUITE_P(both, EmulatorCrossing, testing::Values(Crossing::by_trap, Crossing::direct),
                         [](const auto& which) { return which.param == Crossing::direct ? "direct" : "by_trap"; });

TEST_P(EmulatorCrossing, takes_a_trap_only_where_it_is_not_direct)
{
    if (GetParam() == Crossing::direct) {
        EXPECT_EXIT(cross_without_sigill(), testing::ExitedWithCode(42), "");
    } else {
        EXPECT_EXIT(cross_without_sigill(), testing::KilledBySignal(SIGILL), "");
    }
}

TEST_P(EmulatorCrossing, arguments_go_in_an_answer_comes_out_and_fs_is_the_hosts_again)
{
    static thread_local int in_fs = 7;
    EXPECT_EQ(answer(Command::thread_base, 0, 0, 1), enclave_.tcs(1) - protocol::sgx::page_bytes);
    for (std::uint64_t count = 0; count < 1'000; ++count) {
        ASSERT_EQ(answer(Command::echo, count, 2), count + 2);
    }
    EXPECT_EQ(in_fs, 7);
    EXPECT_EQ(answer(Command::cssa), 0U);
}

TEST_P(EmulatorCrossing, the_measurement_is_of_the_image_as_it_was_signed)
{
    EXPECT_EQ(enclave_.identity().mrenclave, image::measurement_of(built().image));
}

TEST_P(EmulatorCrossing, an_exception_is_handled_and_the_code_goes_on_and_leaves)
{
    for (int round = 0; round < 3; ++round) {
        EXPECT_FAULT(run(Command::patterns_fault), vector_ud);
        answer(Command::skip, 2);
        const auto exit = resume();
        EXPECT_FALSE(exit.by_exception);
        EXPECT_EQ(exit.rdi, 1U);
    }
    EXPECT_EQ(answer(Command::echo, 1, 1), 2U);
}

TEST_P(EmulatorCrossing, no_entry_while_every_frame_for_its_state_is_used)
{
    EXPECT_FAULT(run(Command::undefined), vector_ud);
    EXPECT_FAULT(run(Command::nested_fault), vector_ud);
    EXPECT_FAULT(run(Command::nested_fault), vector_ud);
    EXPECT_FAULT(run(Command::echo, 1, 1), vector_gp);
    EXPECT_EQ(answer(Command::echo, 1, 1, 1), 2U);
}

TEST_P(EmulatorCrossing, what_is_no_thread_is_not_entered)
{
    EXPECT_FAULT(enclave_.enter({enclave_.base(), EENTER}), vector_pf);
    EXPECT_FAULT(enclave_.enter({0, EENTER}), vector_gp);
}

TEST_P(EmulatorCrossing, interrupts_at_any_place_of_the_way_in_and_out_change_nothing)
{
    std::atomic<bool> ended = false;
    const auto inside = ::pthread_self();
    std::thread interrupts([&] {
        while (!ended) {
            ::pthread_kill(inside, interrupt_signal);
        }
    });
    std::uint64_t wrong = 0;
    for (std::uint64_t count = 0; count < 4'000; ++count) {
        const auto exit = run(Command::echo, count, count);
        wrong += exit.by_exception || exit.rdi != 2 * count ? 1 : 0;
    }
    ended = true;
    interrupts.join();
    EXPECT_EQ(wrong, 0U);
}

TEST_P(EmulatorCrossing, three_threads_are_inside_at_once)
{
    std::vector<std::thread> threads;
    std::array<Exit, 3> exits;
    for (std::size_t index = 0; index < exits.size(); ++index) {
        threads.emplace_back([&, index] {
            ASSERT_TRUE(enclave_.attach_thread());
            exits[index] = run(Command::meet, exits.size(), 0, index);
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    for (const auto& exit : exits) {
        EXPECT_FALSE(exit.by_exception);
        EXPECT_EQ(exit.rdi, exits.size());
    }
}

} // namespace
} // namespace caisson::host::enclave::loader
