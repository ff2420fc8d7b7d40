#include "shim/door.hpp"

#include "tests/unit/shim/fake_chamber.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>

namespace caisson::shim {
namespace {

using airlock::SlotStatus;
using Output = std::vector<std::uint8_t>;

FakeChamber::Answer echo(std::uint32_t, Output input)
{
    return {SlotStatus::answered, std::move(input)};
}

TEST(Door, a_request_without_a_ring_is_unavailable)
{
    Door door{RingPlace{}};
    EXPECT_EQ(door.ask(1, {}, {}).error().kind, Kind::unavailable);
}

TEST(Door, a_descriptor_that_is_no_ring_is_unavailable)
{
    const int fd = ::memfd_create("other", MFD_CLOEXEC);
    ASSERT_EQ(::ftruncate(fd, sizeof(airlock::Ring)), 0);
    EXPECT_EQ(Door(RingPlace{fd, -1}).ask(1, {}, {}).error().kind, Kind::unavailable) << "no magic";
    ASSERT_EQ(::ftruncate(fd, 4096), 0);
    EXPECT_EQ(Door(RingPlace{fd, -1}).ask(1, {}, {}).error().kind, Kind::unavailable) << "another size";
    ::close(fd);
    EXPECT_EQ(Door(RingPlace{fd, -1}).ask(1, {}, {}).error().kind, Kind::unavailable) << "closed";
    EXPECT_EQ(Door(RingPlace{STDIN_FILENO, 1}).ask(1, {}, {}).error().kind, Kind::unavailable);
}

TEST(Door, parts_are_joined_and_the_answer_is_spread_over_the_outputs)
{
    FakeChamber chamber(echo);
    Door door{RingPlace{chamber.fd(), -1}};
    ByteArray<4> first{};
    ByteArray<6> second{};
    const auto size = door.ask(9, {bytes_of("abc"), bytes_of(""), bytes_of("defgh")}, {first, second});
    ASSERT_TRUE(size) << size.error().what;
    EXPECT_EQ(*size, 8U);
    EXPECT_EQ(text_of(first), "abcd");
    EXPECT_EQ(text_of(Bytes(second).first(4)), "efgh");
}

TEST(Door, the_output_may_lie_where_the_input_does)
{
    FakeChamber chamber([](std::uint32_t, Output input) {
        std::reverse(input.begin(), input.end());
        return FakeChamber::Answer{SlotStatus::answered, std::move(input)};
    });
    Door door{RingPlace{chamber.fd(), -1}};
    ByteArray<4> bytes{1, 2, 3, 4};
    ASSERT_TRUE(door.ask(9, {bytes}, {bytes}));
    EXPECT_EQ(bytes, (ByteArray<4>{4, 3, 2, 1}));
}

TEST(Door, each_refusal_keeps_its_kind)
{
    std::atomic<std::uint32_t> status = 0;
    FakeChamber chamber(
        [&](std::uint32_t, Output) { return FakeChamber::Answer{static_cast<SlotStatus>(status.load()), {}}; });
    Door door{RingPlace{chamber.fd(), -1}};
    for (status = 1; status <= 10; ++status) {
        EXPECT_EQ(door.ask(1, {}, {}).error().kind, static_cast<Kind>(status.load()));
    }
    for (const std::uint32_t other : {11U, 63U, 64U, 65U, 66U, 0xffffffffU}) {
        status = other;
        EXPECT_EQ(door.ask(1, {}, {}).error().kind, Kind::forbidden) << other;
    }
}

TEST(Door, an_answer_that_claims_more_than_there_was_room_for_is_refused)
{
    FakeChamber chamber([](std::uint32_t, Output) { return FakeChamber::Answer{SlotStatus::answered, Output(64)}; });
    Door door{RingPlace{chamber.fd(), -1}};
    ByteArray<8> output{};
    EXPECT_EQ(door.ask(1, {}, {output}).error().kind, Kind::unavailable);
}

TEST(Door, what_is_larger_than_the_chamber_takes_is_refused_before_it_is_copied)
{
    FakeChamber chamber(echo);
    Door door{RingPlace{chamber.fd(), -1}};
    Output large(airlock::payload_bytes_max + 1);
    EXPECT_EQ(door.ask(1, {large}, {}).error().kind, Kind::exhausted);
    EXPECT_EQ(door.ask(1, {}, {large}).error().kind, Kind::exhausted);
    large.resize(airlock::payload_bytes_max);
    EXPECT_EQ(*door.ask(1, {large}, {large}), airlock::payload_bytes_max);
}

TEST(Door, each_process_has_a_lane_and_one_more_has_none)
{
    FakeChamber chamber(echo);
    std::vector<std::unique_ptr<Door>> doors;
    for (std::uint32_t lane = 1; lane < airlock::lane_count; ++lane) {
        doors.push_back(std::make_unique<Door>(RingPlace{chamber.fd(), -1}));
        ASSERT_TRUE(doors.back()->ask(1, {}, {}));
        EXPECT_EQ(chamber.ring().lanes[lane].head, 1U);
    }
    Door late{RingPlace{chamber.fd(), -1}};
    EXPECT_EQ(late.ask(1, {}, {}).error().kind, Kind::unavailable);
    doors.front()->close();
    EXPECT_TRUE(late.ask(1, {}, {}));
    EXPECT_EQ(chamber.ring().lanes[0].head, 0U) << "lane 0 is the owner's";
}

TEST(Door, the_lane_of_a_process_that_has_died_is_free)
{
    FakeChamber chamber(echo);
    const auto dead = ::fork();
    if (dead == 0) {
        ::_exit(0);
    }
    ASSERT_EQ(::waitpid(dead, nullptr, 0), dead);
    for (std::uint32_t lane = 1; lane < airlock::lane_count; ++lane) {
        chamber.ring().lanes[lane].owner_pid = static_cast<std::uint32_t>(dead);
    }
    Door door{RingPlace{chamber.fd(), -1}};
    EXPECT_TRUE(door.ask(1, {}, {}));
}

TEST(Door, a_forked_child_takes_a_lane_of_its_own)
{
    FakeChamber chamber(echo);
    Door door{RingPlace{chamber.fd(), -1}};
    ASSERT_TRUE(door.ask(1, {}, {}));
    door.before_fork();
    const auto child = ::fork();
    if (child == 0) {
        door.after_fork_in_child();
        ByteArray<2> output{};
        const auto size = door.ask(1, {bytes_of("hi")}, {output});
        ::_exit(size && text_of(output) == "hi" ? 0 : 1);
    }
    door.after_fork_in_parent();
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(door.ask(1, {}, {}));
    EXPECT_EQ(chamber.ring().lanes[1].head, 2U);
    EXPECT_EQ(chamber.ring().lanes[2].head, 1U);
}

TEST(Door, many_threads_get_their_own_answers)
{
    FakeChamber chamber(echo);
    Door door{RingPlace{chamber.fd(), -1}};
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (std::uint8_t number = 0; number < 4; ++number) {
        threads.emplace_back([&, number] {
            const ByteArray<3> input{number, number, number};
            for (int turn = 0; turn < 200; ++turn) {
                ByteArray<3> output{};
                if (!door.ask(1, {input}, {output}) || output != input) {
                    ++wrong;
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(wrong, 0);
}

TEST(Door, a_chamber_that_has_ended_is_unavailable_for_good)
{
    FakeChamber chamber(echo);
    Door door{RingPlace{chamber.fd(), -1}};
    ASSERT_TRUE(door.ask(1, {}, {}));
    chamber.stop();
    EXPECT_EQ(door.ask(1, {}, {}).error().kind, Kind::unavailable);
    chamber.ring().stop = 0;
    EXPECT_EQ(door.ask(1, {}, {}).error().kind, Kind::unavailable);
}

TEST(Door, another_chamber_behind_the_ring_is_known_as_such) // [SHIM-15]
{
    FakeChamber chamber(echo);
    chamber.ring().lanes[0].owner_pid = 3; // before this process came
    Door door{RingPlace{chamber.fd(), -1}};
    EXPECT_FALSE(door.was_restarted()) << "nothing was asked yet";
    ASSERT_TRUE(door.ask(1, {}, {}));
    EXPECT_FALSE(door.was_restarted());
    chamber.ring().lanes[0].owner_pid = 4;
    EXPECT_TRUE(door.ask(1, {}, {})) << "it serves";
    EXPECT_TRUE(door.was_restarted());
    chamber.stop();
    EXPECT_FALSE(door.ask(1, {}, {}));
    EXPECT_FALSE(door.was_restarted()) << "that it has ended for good is something else";
}

TEST(Door, the_end_of_caisson_run_is_the_end_of_the_chamber)
{
    FakeChamber chamber(echo);
    chamber.stop();
    chamber.ring().stop = 0; // killed: nobody was left to say so
    const auto run = ::fork();
    if (run == 0) {
        ::_exit(0);
    }
    ASSERT_EQ(::waitpid(run, nullptr, 0), run);
    Door door{RingPlace{chamber.fd(), run}};
    EXPECT_EQ(door.ask(1, {}, {}).error().kind, Kind::unavailable);
}

TEST(Door, a_caisson_run_that_was_killed_and_is_not_reaped_is_gone) // [SHIM-7]
{
    FakeChamber chamber(echo);
    chamber.stop();
    chamber.ring().stop = 0;
    const auto run = ::fork();
    if (run == 0) {
        ::_exit(0);
    }
    siginfo_t ended{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(run), &ended, WEXITED | WNOWAIT), 0);
    ASSERT_EQ(::kill(run, 0), 0) << "it is no zombie";
    Door door{RingPlace{chamber.fd(), run}};
    EXPECT_STREQ(door.ask(1, {}, {}).error().what, "the chamber has ended") << "it was waited for";
    ASSERT_EQ(::waitpid(run, nullptr, 0), run);
}

TEST(Door, the_environment_is_read_strictly)
{
    const auto place = [](const char* fd, const char* pid) {
        ::setenv("CAISSON_RING_FD", fd, 1);
        ::setenv("CAISSON_RUN_PID", pid, 1);
        return ring_place_from_environment();
    };
    EXPECT_EQ(place("7", "123").fd, 7);
    EXPECT_EQ(place("7", "123").run_pid, 123);
    for (const char* bad : {"", "-1", "x", "7x", " 7", "99999999999999999999"}) {
        EXPECT_EQ(place(bad, bad).fd, -1) << bad;
        EXPECT_EQ(place(bad, bad).run_pid, -1) << bad;
    }
    ::unsetenv("CAISSON_RING_FD");
    ::unsetenv("CAISSON_RUN_PID");
}

} // namespace
} // namespace caisson::shim
