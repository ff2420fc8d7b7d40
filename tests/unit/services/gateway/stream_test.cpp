// Whose connection it is, and what the system says about addresses that cannot be: vsock above all, of which every
// kernel can bind and few can carry.
#include "services/gateway/stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include <arpa/inet.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace caisson::services::gateway {
namespace {

constexpr std::uint32_t any_port = VMADDR_PORT_ANY;

Endpoint vsock(const std::string& context, std::uint32_t port)
{
    return *parse_endpoint("vsock://" + context + ":" + std::to_string(port));
}

bool has_vsock()
{
    return check_transport(vsock("*", any_port)).has_value();
}

// What `work` says, done by a process of its own that may lose what it has.
template <typename Work>
std::string said_by_child(Work work)
{
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe(pipe.data()), 0);
    const auto child = ::fork();
    if (child == 0) {
        const std::string said = work();
        static_cast<void>(::write(pipe[1], said.data(), said.size()) == 0);
        ::_exit(0);
    }
    ::close(pipe[1]);
    std::array<char, 512> said{};
    const auto size = ::read(pipe[0], said.data(), said.size());
    ::close(pipe[0]);
    ::waitpid(child, nullptr, 0);
    return {said.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

// As on a kernel without the module: there are no sockets of this family.
bool lose_vsock()
{
    std::array<sock_filter, 6> program{{
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, __NR_socket},
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, AF_VSOCK},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EAFNOSUPPORT},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    }};
    const sock_fprog filter{program.size(), program.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

TEST(StreamTest, a_vsock_peer_is_named_by_context_and_port_and_counts_by_context) // [GATE-3] [GATE-17]
{
    SocketAddress address;
    auto& vm = reinterpret_cast<sockaddr_vm&>(address.storage);
    vm.svm_family = AF_VSOCK;
    vm.svm_cid = 4'000'000'000;
    vm.svm_port = 77;
    address.size = sizeof vm;
    EXPECT_EQ(peer_name(address).name, "vsock:4000000000:77");
    EXPECT_EQ(network_of(peer_name(address).source), "vsock:4000000000");
    vm.svm_port = 78;
    EXPECT_EQ(network_of(peer_name(address).source), "vsock:4000000000") << "another port is no other source";
    vm.svm_cid = 3;
    EXPECT_EQ(network_of(peer_name(address).source), "vsock:3");
}

TEST(StreamTest, peers_of_tcp_and_ipc_are_named_as_before)
{
    SocketAddress address;
    auto& internet = reinterpret_cast<sockaddr_in&>(address.storage);
    internet.sin_family = AF_INET;
    internet.sin_port = htons(4000);
    ASSERT_EQ(::inet_pton(AF_INET, "192.0.2.7", &internet.sin_addr), 1);
    address.size = sizeof internet;
    EXPECT_EQ(peer_name(address).name, "192.0.2.7:4000");
    EXPECT_EQ(peer_name(address).source, "192.0.2.7");
    SocketAddress local;
    local.storage.ss_family = AF_UNIX;
    local.size = sizeof local.storage.ss_family;
    EXPECT_EQ(peer_name(local).source, "local");
    EXPECT_EQ(peer_name({}).source, "local");
}

TEST(StreamTest, without_vsock_in_the_kernel_that_is_said_with_the_remedy) // [GATE-17]
{
    const auto said = said_by_child([]() -> std::string {
        if (!lose_vsock()) {
            return "no filter";
        }
        const auto opened = ListeningSocket::open(vsock("*", any_port));
        const auto connected = Stream::connect(vsock("2", 1));
        return opened || connected ? "" : opened.error().what + "; " + connected.error().what;
    });
    EXPECT_TRUE(said.starts_with("vsock://*:")) << said;
    EXPECT_NE(said.find("; vsock://2:1: this kernel has no vsock"), std::string::npos) << said;
    EXPECT_NE(said.find("load vsock and a transport"), std::string::npos) << said;
}

TEST(StreamTest, a_vsock_port_is_listened_at_once) // [GATE-17]
{
    if (!has_vsock()) {
        GTEST_SKIP() << "this kernel has no vsock: nothing can be bound";
    }
    const auto first = ListeningSocket::open(vsock("*", any_port));
    ASSERT_TRUE(first) << first.error().what;
    EXPECT_NE(first->endpoint().port, std::to_string(any_port)) << "the log says which port it is";
    const auto second = ListeningSocket::open(first->endpoint());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, Kind::conflict);
    EXPECT_EQ(second.error().what,
              "listening on " + first->endpoint().text() + ": another program listens there already");
}

TEST(StreamTest, a_context_that_is_not_this_machines_cannot_be_listened_on) // [GATE-17]
{
    if (!has_vsock()) {
        GTEST_SKIP() << "this kernel has no vsock: nothing can be bound";
    }
    const auto opened = ListeningSocket::open(vsock("4000000000", 1024));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, Kind::unavailable);
    EXPECT_NE(opened.error().what.find("vsock://*:1024 listens on the one it has"), std::string::npos)
        << opened.error().what;
}

TEST(StreamTest, a_privileged_vsock_port_is_forbidden_to_others) // [GATE-17]
{
    if (!has_vsock()) {
        GTEST_SKIP() << "this kernel has no vsock: nothing can be bound";
    }
    const auto said = said_by_child([]() -> std::string {
        if (::geteuid() == 0 && ::setuid(65534) != 0) {
            return "still root";
        }
        const auto opened = ListeningSocket::open(vsock("*", 1));
        return opened || opened.error().kind != Kind::forbidden ? "not forbidden" : opened.error().what;
    });
    EXPECT_TRUE(said.starts_with("listening on vsock://*:1: not permitted to this user; take a port from 1024 on"))
        << said;
}

// Whether the kernel knows at once or only when nobody answers: it is said in words, and nothing is carried.
TEST(StreamTest, a_context_that_does_not_exist_is_told_in_words) // [GATE-17]
{
    if (!has_vsock()) {
        GTEST_SKIP() << "this kernel has no vsock: nothing can be connected";
    }
    auto stream = Stream::connect(vsock("4000000000", 1024));
    if (!stream) {
        EXPECT_TRUE(stream.error().what.starts_with("connecting to vsock://4000000000:1024: ")) << stream.error().what;
        return;
    }
    pollfd wanted{stream->descriptor(), POLLIN | POLLOUT, 0};
    ASSERT_EQ(::poll(&wanted, 1, 60'000), 1);
    EXPECT_FALSE(stream->read_some());
    EXPECT_NE(stream->what_broke(), "");
}

// Both ends of a connection; what arrives at the far one.
class PiecesTest : public testing::Test {
  protected:
    PiecesTest()
    {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        near_ = Stream(ends[0]);
        far_ = Stream(ends[1]);
    }
    [[nodiscard]] static std::vector<std::uint8_t> octets(std::size_t count, std::uint8_t first)
    {
        std::vector<std::uint8_t> made(count);
        for (std::size_t index = 0; index < count; ++index) {
            made[index] = static_cast<std::uint8_t>(first + index % 251);
        }
        return made;
    }
    void give(const std::vector<std::vector<std::uint8_t>>& texts)
    {
        std::vector<Bytes> pieces(texts.begin(), texts.end());
        for (const auto& text : texts) {
            expected_.insert(expected_.end(), text.begin(), text.end());
        }
        near_.give(pieces);
    }
    void expect_all()
    {
        while (near_.output_bytes() > 0) {
            ASSERT_TRUE(far_.read_some());
            ASSERT_TRUE(near_.flush());
        }
        while (far_.input().size() < expected_.size()) {
            const auto before = far_.input().size();
            ASSERT_TRUE(far_.read_some());
            ASSERT_GT(far_.input().size(), before);
        }
        EXPECT_TRUE(std::ranges::equal(far_.input(), expected_));
    }

    Stream near_;
    Stream far_;
    std::vector<std::uint8_t> expected_;
};

TEST_F(PiecesTest, what_the_socket_takes_at_once_is_gone)
{
    give({octets(9, 1), octets(65'536, 2), {}, octets(2, 3), octets(20'000, 4)});
    EXPECT_EQ(near_.output_bytes(), 0U);
    EXPECT_FALSE(near_.is_blocked());
    expect_all();
}

TEST_F(PiecesTest, what_it_does_not_take_waits_and_all_of_it_comes_in_order)
{
    give({octets(9, 1), octets(700'000, 2), octets(5, 3), octets(300'000, 4)});
    EXPECT_GT(near_.output_bytes(), 300'000U);
    EXPECT_TRUE(near_.is_blocked());
    give({octets(70'000, 5), octets(1, 6)}); // behind what waits
    near_.write(octets(10, 7));
    expected_.insert(expected_.end(), 10, 0);
    std::ranges::copy(octets(10, 7), expected_.end() - 10);
    expect_all();
    EXPECT_FALSE(near_.is_blocked());
}

TEST_F(PiecesTest, more_pieces_than_go_at_once_come_in_order_and_block_nothing)
{
    std::vector<std::vector<std::uint8_t>> texts;
    for (std::size_t index = 0; index < 150; ++index) {
        texts.push_back(octets(index, static_cast<std::uint8_t>(index)));
    }
    give(texts);
    EXPECT_GT(near_.output_bytes(), 0U);
    EXPECT_FALSE(near_.is_blocked());
    expect_all();
}

TEST_F(PiecesTest, to_a_peer_that_is_gone_the_next_flush_says_so)
{
    far_.close();
    give({octets(9, 1), octets(100, 2)});
    EXPECT_FALSE(near_.is_blocked());
    EXPECT_FALSE(near_.flush());
}

TEST(StreamTest, what_an_accepted_connection_is_given_goes_out_at_once)
{
    auto listening = ListeningSocket::open(*parse_endpoint("tcp://127.0.0.1:0"));
    ASSERT_TRUE(listening) << listening.error().what;
    const auto stream = Stream::connect(listening->endpoint());
    ASSERT_TRUE(stream) << stream.error().what;
    const auto accepted = listening->accept();
    ASSERT_TRUE(accepted);
    for (const int descriptor : {stream->descriptor(), accepted->stream.descriptor()}) {
        int no_delay = 0;
        socklen_t size = sizeof no_delay;
        ASSERT_EQ(::getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
        EXPECT_NE(no_delay, 0);
    }
}

TEST(StreamTest, a_refused_tcp_connection_is_told_in_words) // [GATE-5]
{
    std::string nobody;
    {
        const auto listened = ListeningSocket::open(*parse_endpoint("tcp://127.0.0.1:0"));
        ASSERT_TRUE(listened) << listened.error().what;
        nobody = listened->endpoint().text();
    }
    auto stream = Stream::connect(*parse_endpoint(nobody));
    ASSERT_TRUE(stream) << stream.error().what;
    pollfd wanted{stream->descriptor(), POLLIN, 0};
    ASSERT_EQ(::poll(&wanted, 1, 60'000), 1);
    EXPECT_FALSE(stream->read_some());
    EXPECT_EQ(stream->what_broke(), "Connection refused");
}

} // namespace
} // namespace caisson::services::gateway
