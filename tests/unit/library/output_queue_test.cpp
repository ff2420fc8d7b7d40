#include "library/output_queue.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace caisson::library {
namespace {

using Buffer = std::vector<std::uint8_t>;

// Two ends of a stream that holds little; nothing on it waits.
class OutputQueueTest : public testing::Test {
  protected:
    void SetUp() override
    {
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()), 0);
        const int little = 4096;
        ::setsockopt(ends_[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    }
    void TearDown() override
    {
        ::close(ends_[0]);
        close_other();
    }
    void close_other() { ::close(std::exchange(ends_[1], -1)); }
    [[nodiscard]] int own() const { return ends_[0]; }
    // All that is there now.
    void read_into(Buffer& came) const
    {
        std::array<std::uint8_t, 4096> some{};
        for (auto got = ::read(ends_[1], some.data(), some.size()); got > 0;
             got = ::read(ends_[1], some.data(), some.size())) {
            came.insert(came.end(), some.begin(), some.begin() + got);
        }
    }
    // Copies or gives away a body, and notes what must come.
    void put(std::size_t size, bool taken)
    {
        Buffer body(size, static_cast<std::uint8_t>(expected_.size() % 251));
        expected_.insert(expected_.end(), body.begin(), body.end());
        if (taken) {
            queue_.append(std::move(body));
        } else {
            queue_.append(Bytes(body));
        }
    }

    OutputQueue queue_;
    Buffer expected_;

  private:
    std::array<int, 2> ends_{};
};

TEST_F(OutputQueueTest, small_and_large_bodies_come_in_their_order_through_a_stream_that_is_always_full)
{
    constexpr std::array<std::size_t, 8> sizes = {2, 0, 511, 512, 9, 70'000, 1, 200'000};
    Buffer came;
    for (std::size_t index = 0; index < 10 * sizes.size(); ++index) {
        put(sizes[index % sizes.size()], index % 3 != 0);
        const int error = queue_.write_to(own());
        EXPECT_EQ(error, queue_.bytes() == 0 ? 0 : EAGAIN) << index;
        if (index % 5 == 0) {
            read_into(came);
        }
    }
    while (queue_.bytes() > 0) {
        read_into(came);
        static_cast<void>(queue_.write_to(own()));
    }
    read_into(came);
    EXPECT_TRUE(came == expected_);
}
TEST_F(OutputQueueTest, more_pieces_than_one_call_takes_come_all)
{
    for (int index = 0; index < 600; ++index) {
        put(3, false);
        put(600, true);
    }
    Buffer came;
    while (queue_.write_to(own()) == EAGAIN) {
        read_into(came);
    }
    read_into(came);
    EXPECT_EQ(queue_.bytes(), 0U);
    EXPECT_TRUE(came == expected_);
}
TEST_F(OutputQueueTest, counts_what_waits_and_nothing_else)
{
    EXPECT_EQ(queue_.write_to(own()), 0);
    put(0, false);
    put(0, true);
    EXPECT_EQ(queue_.bytes(), 0U);
    put(5, false);
    put(1000, true);
    EXPECT_EQ(queue_.bytes(), 1005U);
    EXPECT_EQ(queue_.write_to(own()), 0);
    EXPECT_EQ(queue_.bytes(), 0U);
}
TEST_F(OutputQueueTest, says_that_the_other_end_has_gone)
{
    close_other();
    put(10, false);
    EXPECT_EQ(queue_.write_to(own()), EPIPE);
    EXPECT_EQ(queue_.bytes(), 10U);
}

} // namespace
} // namespace caisson::library
