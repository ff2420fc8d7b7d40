// Who has proved nothing yet, behind sessions: how many of them a turn hears, and how long they rest.
#include "services/gateway/strangers.hpp"

#include <gtest/gtest.h>

#include <array>
#include <list>

#include <sys/socket.h>
#include <unistd.h>

namespace caisson::services::gateway {
namespace {

using Clock = Strangers::Clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// A connection with an octet to be read, which it never is.
class Knocking final : public Watcher {
  public:
    explicit Knocking(const Loop& loop)
    {
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()), 0);
        EXPECT_EQ(::send(ends_[1], "x", 1, 0), 1);
        loop.watch(ends_[0], *this, wish_, true, false);
    }
    ~Knocking()
    {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    Knocking(const Knocking&) = delete;
    Knocking& operator=(const Knocking&) = delete;
    void on_ready(bool /*readable*/, bool /*writable*/) override { ++heard; }

    int heard = 0;

  private:
    std::array<int, 2> ends_{};
    Loop::Wish wish_;
};

class StrangersTest : public testing::Test {
  protected:
    void knock(int count)
    {
        for (int index = 0; index < count; ++index) {
            knocking_.emplace_back(*own_);
        }
        main_->wait(microseconds(0));
    }
    [[nodiscard]] int heard() const
    {
        int sum = 0;
        for (const auto& one : knocking_) {
            sum += one.heard;
        }
        return sum;
    }
    void sessions_talk() { strangers_.note_talk(now_ - 2 * Strangers::young, now_); }
    // Whoever it is, only his place is asked for.
    Link& link(std::size_t index) { return *reinterpret_cast<Link*>(&places_[index]); }

    host::Outcome<Loop> main_ = Loop::open();
    host::Outcome<Loop> own_ = Loop::open();
    Strangers strangers_{*main_, *own_};
    Clock::time_point now_ = Clock::now();
    std::list<Knocking> knocking_;
    std::array<void*, 100> places_{};
};

TEST_F(StrangersTest, beside_sessions_a_turn_hears_two_of_a_hundred_and_then_two_others) // [GATE-23]
{
    knock(100);
    sessions_talk();
    for (int turn = 1; turn <= 50; ++turn) {
        static_cast<void>(strangers_.take(now_));
        strangers_.rest(now_);
        EXPECT_EQ(heard(), 2 * turn);
    }
    for (const auto& one : knocking_) {
        EXPECT_EQ(one.heard, 1);
    }
}

TEST_F(StrangersTest, who_has_something_to_do_makes_a_step_in_his_turn_and_nobody_else_is_heard) // [GATE-23]
{
    for (std::size_t index = 0; index < 100; ++index) {
        strangers_.wake(link(index));
    }
    knock(1);
    sessions_talk();
    for (std::size_t turn = 0; turn < 50; ++turn) {
        const auto taken = strangers_.take(now_);
        ASSERT_EQ(taken.size(), Strangers::steps_beside_sessions);
        EXPECT_EQ(taken[0], &link(2 * turn));
        EXPECT_EQ(taken[1], &link(2 * turn + 1));
        EXPECT_EQ(heard(), 0);
        strangers_.rest(now_);
    }
    EXPECT_TRUE(strangers_.take(now_).empty());
    EXPECT_EQ(heard(), 1);
}

TEST_F(StrangersTest, beside_sessions_they_rest_seven_times_as_long_as_their_turn_took) // [GATE-23]
{
    knock(100);
    sessions_talk();
    static_cast<void>(strangers_.take(now_));
    const auto over = now_ + microseconds(100);
    strangers_.rest(over);
    EXPECT_EQ(strangers_.due(over, milliseconds(100)), microseconds(700));
    static_cast<void>(strangers_.take(over + microseconds(699)));
    EXPECT_EQ(heard(), 2);
    static_cast<void>(strangers_.take(over + microseconds(700)));
    EXPECT_EQ(heard(), 4);
    strangers_.rest(over + milliseconds(200)); // the thread had to wait for a CPU: that is not made worse
    EXPECT_EQ(strangers_.due(over + milliseconds(200), milliseconds(100)), microseconds(0)) << "nobody talks any more";
}

TEST_F(StrangersTest, while_no_session_talks_they_do_not_rest_and_more_of_them_are_heard)
{
    knock(100);
    static_cast<void>(strangers_.take(now_));
    strangers_.rest(now_ + milliseconds(3));
    EXPECT_EQ(strangers_.due(now_ + milliseconds(3), milliseconds(100)), microseconds(0));
    static_cast<void>(strangers_.take(now_ + milliseconds(3)));
    EXPECT_EQ(heard(), 2 * static_cast<int>(Strangers::steps_alone));
}

TEST_F(StrangersTest, young_sessions_keep_nobody_waiting)
{
    strangers_.note_talk(now_ - milliseconds(500), now_);
    knock(100);
    static_cast<void>(strangers_.take(now_));
    EXPECT_EQ(heard(), static_cast<int>(Strangers::steps_alone));
}

TEST_F(StrangersTest, many_handshakes_give_way_to_other_programs_but_a_few_do_not_nor_beside_sessions) // [GATE-25]
{
    EXPECT_FALSE(strangers_.gives_way(Strangers::together_min - 1, now_));
    EXPECT_TRUE(strangers_.gives_way(Strangers::together_min, now_));
    sessions_talk();
    EXPECT_FALSE(strangers_.gives_way(1000, now_));
    EXPECT_TRUE(strangers_.gives_way(1000, now_ + Strangers::talk)) << "they have fallen silent";
}

TEST_F(StrangersTest, a_turn_takes_in_so_many_and_outside_of_one_nobody_comes_in) // [GATE-23]
{
    class Door final : public Watcher {
      public:
        explicit Door(Strangers& a_strangers)
            : strangers(a_strangers)
        {
        }
        void on_ready(bool /*readable*/, bool /*writable*/) override
        {
            while (strangers.take_in()) {
                ++taken_in;
            }
        }
        Strangers& strangers; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
        std::size_t taken_in = 0;
    };
    Door door(strangers_);
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    Loop::Wish wish;
    own_->watch(ends[0], door, wish, false, true);
    main_->wait(microseconds(0));
    sessions_talk();
    EXPECT_FALSE(strangers_.take_in());
    static_cast<void>(strangers_.take(now_));
    EXPECT_EQ(door.taken_in, Strangers::steps_beside_sessions);
    EXPECT_FALSE(strangers_.take_in());
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_F(StrangersTest, the_gateways_loop_hears_of_them_once_and_again_when_all_of_them_were_heard)
{
    EXPECT_EQ(strangers_.due(now_, milliseconds(100)), milliseconds(100));
    knock(3);
    EXPECT_EQ(strangers_.due(now_, milliseconds(100)), microseconds(0));
    EXPECT_EQ(main_->wait(microseconds(0)), 0U) << "it would not sleep while sessions wait for the chamber";
    static_cast<void>(strangers_.take(now_));
    EXPECT_EQ(main_->wait(microseconds(0)), 1U);
}

} // namespace
} // namespace caisson::services::gateway
