// A log that nobody reads stops nobody.
#include "services/gateway/log.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

namespace caisson::services::gateway {
namespace {

constexpr int more_than_a_pipe_holds = 5000;

struct Ends {
    std::array<int, 2> fds{-1, -1}; // read, write
    ~Ends()
    {
        for (const int fd : fds) {
            ::close(fd);
        }
    }
};

// Takes what is there now; the other end stays open.
std::string drained(int fd)
{
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    std::string text;
    std::array<char, 4096> piece{};
    for (ssize_t got = 0; (got = ::read(fd, piece.data(), piece.size())) > 0;) {
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return text;
}

void fill_then_read(const Ends& ends)
{
    Log log(false, ends.fds[1]);
    for (int count = 0; count < more_than_a_pipe_holds; ++count) {
        log.line("a line that is as long as lines of a busy gateway are, number " + std::to_string(count));
    }
    const auto before = drained(ends.fds[0]);
    EXPECT_NE(before.find("number 0\n"), std::string::npos);
    EXPECT_EQ(before.find("number " + std::to_string(more_than_a_pipe_holds - 1)), std::string::npos);
    log.line("somebody reads again");
    const auto after = drained(ends.fds[0]);
    EXPECT_NE(after.find("lines were dropped here: nobody read the log\n"), std::string::npos) << after;
    EXPECT_NE(after.find("gateway: somebody reads again\n"), std::string::npos) << after;
    log.line("and on");
    EXPECT_EQ(drained(ends.fds[0]).find("dropped"), std::string::npos) << "it was said";
}

TEST(LogTest, a_full_pipe_drops_lines_and_says_how_many) // [GATE-33]
{
    Ends ends;
    ASSERT_EQ(::pipe(ends.fds.data()), 0);
    fill_then_read(ends);
    EXPECT_EQ(::fcntl(ends.fds[1], F_GETFL) & O_NONBLOCK, 0) << "it is not ours alone, and others may count on waiting";
}

TEST(LogTest, a_full_socket_drops_lines_and_says_how_many) // [GATE-33]
{
    Ends ends;
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.fds.data()), 0);
    fill_then_read(ends);
}

TEST(LogTest, what_a_peer_brought_in_cannot_break_a_line) // [GATE-32]
{
    Ends ends;
    ASSERT_EQ(::pipe(ends.fds.data()), 0);
    Log log(true, ends.fds[1]);
    log.line("a \"name\"\nof two lines", {{"peer", "x\x1b[2J"}, {"key", ""}});
    const auto text = drained(ends.fds[0]);
    EXPECT_NE(text.find(R"("event":"a \"name\"?of two lines","peer":"x?[2J"})"
                        "\n"),
              std::string::npos)
        << text;
}

} // namespace
} // namespace caisson::services::gateway
