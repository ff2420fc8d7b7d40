// What a stranger costs a CURVE server: CPU time of `caisson gateway` and its chamber for each of his attempts, against
// a libzmq program's for the same octets. And the address space that one announced frame takes. usage: stranger
// [--json] [--quick | --smoke]
#include "bench/gateway_chain.hpp"
#include "bench/zmq_programs.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

namespace caisson::bench {
namespace {

using Octets = std::vector<unsigned char>;

constexpr std::size_t greeting_bytes = 64;
constexpr std::size_t welcome_frame_bytes = 2 + 168;
constexpr int answer_ms = 10'000;
constexpr int linger_ms = 2; // a server that neither answers nor closes has read by then

[[noreturn]] void die(const std::string& what)
{
    std::fprintf(stderr, "stranger: %s\n", what.c_str());
    std::exit(1);
}

Octets greeting()
{
    Octets octets(greeting_bytes, 0);
    octets[0] = 0xff;
    octets[9] = 0x7f;
    octets[10] = 3;
    octets[11] = 1;
    std::memcpy(octets.data() + 12, "CURVE", 5);
    return octets;
}

// HELLO as a command frame; with a random box, or with the right one, which may be sent as often as one likes.
Octets hello(const std::string& server_key, bool is_valid)
{
    std::array<unsigned char, crypto_box_PUBLICKEYBYTES> server{};
    std::array<unsigned char, crypto_box_PUBLICKEYBYTES> transient{};
    std::array<unsigned char, crypto_box_SECRETKEYBYTES> secret{};
    if (::zmq_z85_decode(server.data(), server_key.c_str()) == nullptr) {
        die("a server key is no Z85");
    }
    crypto_box_keypair(transient.data(), secret.data());
    std::array<unsigned char, 64> zeros{};
    std::array<unsigned char, 64 + crypto_box_MACBYTES> box{};
    unsigned char nonce[crypto_box_NONCEBYTES + 1] = "CurveZMQHELLO---\0\0\0\0\0\0\0\1";
    randombytes_buf(box.data(), box.size());
    if (is_valid && crypto_box_easy(box.data(), zeros.data(), zeros.size(), nonce, server.data(), secret.data()) != 0) {
        die("HELLO");
    }
    Octets frame{4, 200, 5, 'H', 'E', 'L', 'L', 'O', 1, 0};
    frame.resize(frame.size() + 72, 0);
    frame.insert(frame.end(), transient.begin(), transient.end());
    frame.insert(frame.end(), nonce + 16, nonce + 24);
    frame.insert(frame.end(), box.begin(), box.end());
    return frame;
}

Octets announced_frame(std::uint64_t size)
{
    Octets frame{6};
    for (int shift = 56; shift >= 0; shift -= 8) {
        frame.push_back(static_cast<unsigned char>(size >> static_cast<unsigned>(shift)));
    }
    frame.insert(frame.end(), {5, 'H', 'E', 'L', 'L', 'O'});
    return frame;
}

// A connection of the stranger's.
class Attempt {
  public:
    explicit Attempt(int port)
        : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
            die("no connection");
        }
    }
    ~Attempt() { ::close(descriptor_); }
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;

    void send(const Octets& octets) const
    {
        if (::send(descriptor_, octets.data(), octets.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(octets.size())) {
            die("nothing can be sent");
        }
    }
    void expect(std::size_t size) const
    {
        while (size > 0) {
            const auto got = read_some(size, answer_ms);
            if (got <= 0) {
                die("the server answers otherwise than a CURVE server");
            }
            size -= static_cast<std::size_t>(got);
        }
    }
    // At most so long.
    void wait_for_close(int patience_ms) const
    {
        while (read_some(greeting_bytes, patience_ms) > 0) {
        }
    }

  private:
    [[nodiscard]] ssize_t read_some(std::size_t size, int patience_ms) const
    {
        pollfd entry{descriptor_, POLLIN, 0};
        std::array<unsigned char, 256> room{};
        return ::poll(&entry, 1, patience_ms) == 1 ? ::recv(descriptor_, room.data(), std::min(size, room.size()), 0)
                                                   : 0;
    }

    int descriptor_;
};

// A libzmq program that is a CURVE server and does nothing else.
class LibzmqServer {
  public:
    LibzmqServer(const CurveKeys& keys, int port)
        : pid_(::fork())
    {
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            void* socket = ::zmq_socket(::zmq_ctx_new(), ZMQ_ROUTER);
            const int one = 1;
            ::zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one);
            ::zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.server_secret.c_str(), 40);
            if (::zmq_bind(socket, ("tcp://127.0.0.1:" + std::to_string(port)).c_str()) != 0) {
                std::_Exit(1);
            }
            while (true) {
                ::pause();
            }
        }
        wait_listening(port);
    }
    ~LibzmqServer()
    {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    LibzmqServer(const LibzmqServer&) = delete;
    LibzmqServer& operator=(const LibzmqServer&) = delete;

    [[nodiscard]] ::pid_t pid() const noexcept { return pid_; }

  private:
    ::pid_t pid_;
};

double address_space_mib(::pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    double pages = 0;
    file >> pages;
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

struct Target {
    int port = 0;
    std::string key;
    std::function<double()> cpu_s;
    ::pid_t host = 0;
};

struct Scale {
    int rounds = 7;
    int attempts = 500;
    std::uint64_t announced_bytes = std::uint64_t{4} << 30U;
    std::string announced = "4 GiB announced";
};

struct Case {
    std::string name;
    std::function<void(const Target&)> attempt;
};

std::vector<Case> cases_for(const Target& target, const Scale& scale)
{
    const auto announced = announced_frame(scale.announced_bytes);
    const auto garbage = hello(target.key, false);
    const auto valid = hello(target.key, true);
    const auto greet = [](const Attempt& attempt) {
        attempt.send(greeting());
        attempt.expect(greeting_bytes);
    };
    return {{"greeting", [greet](const Target& at) { greet(Attempt(at.port)); }},
            {"garbage HELLO",
             [greet, garbage](const Target& at) {
                 const Attempt attempt(at.port);
                 greet(attempt);
                 attempt.send(garbage);
                 attempt.wait_for_close(answer_ms);
             }},
            {"valid HELLO",
             [greet, valid](const Target& at) {
                 const Attempt attempt(at.port);
                 greet(attempt);
                 attempt.send(valid);
                 attempt.expect(welcome_frame_bytes);
             }},
            {scale.announced, [greet, announced](const Target& at) {
                 const Attempt attempt(at.port);
                 greet(attempt);
                 attempt.send(announced);
                 attempt.wait_for_close(linger_ms);
             }}};
}

double cost_us(const Target& target, const Case& one, int attempts)
{
    const auto before = target.cpu_s();
    for (int count = 0; count < attempts; ++count) {
        one.attempt(target);
    }
    return (target.cpu_s() - before) / attempts * 1e6;
}

// While ten such connections are open.
double reserved_mib(const Target& target, const Scale& scale)
{
    constexpr int connections = 10;
    const auto before = address_space_mib(target.host);
    std::vector<std::unique_ptr<Attempt>> open;
    for (int count = 0; count < connections; ++count) {
        open.push_back(std::make_unique<Attempt>(target.port));
        open.back()->send(greeting());
        open.back()->expect(greeting_bytes);
        open.back()->send(announced_frame(scale.announced_bytes));
        open.back()->wait_for_close(linger_ms);
    }
    return (address_space_mib(target.host) - before) / connections;
}

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

struct Line {
    std::string name;
    double ours = 0;
    double peer = 0;
    const char* unit = "us";
};

std::vector<Line> measure(const Target& ours, const Target& peer, const Scale& scale)
{
    const auto our_cases = cases_for(ours, scale);
    const auto peer_cases = cases_for(peer, scale);
    std::vector<Line> lines;
    for (std::size_t index = 0; index < our_cases.size(); ++index) {
        std::vector<double> our_costs;
        std::vector<double> peer_costs;
        for (int round = 0; round < scale.rounds; ++round) {
            our_costs.push_back(cost_us(ours, our_cases[index], scale.attempts));
            peer_costs.push_back(cost_us(peer, peer_cases[index], scale.attempts));
        }
        lines.push_back({our_cases[index].name, median(our_costs), median(peer_costs)});
    }
    lines.push_back({scale.announced + "/address space", reserved_mib(ours, scale), reserved_mib(peer, scale), "MiB"});
    return lines;
}

void print(const std::vector<Line>& lines, bool json)
{
    if (!json) {
        std::printf("a stranger's attempt costs the server\n%-32s %14s %14s %8s\n", "case", "caisson gateway", "libzmq",
                    "ratio");
        for (const auto& line : lines) {
            std::printf("%-32s %11.1f %-3s %10.1f %-3s %8.2f\n", line.name.c_str(), line.ours, line.unit, line.peer,
                        line.unit, line.ours / line.peer);
        }
        return;
    }
    std::printf("{\"bench\": \"stranger\", \"machine\": {\"cpus\": %ld}, \"cases\": [",
                ::sysconf(_SC_NPROCESSORS_ONLN));
    const char* separator = "";
    for (const auto& line : lines) {
        std::printf("%s{\"name\": \"%s\", \"ours\": %.3f, \"peer\": %.3f, \"unit\": \"%s\", \"ratio\": %.3f, "
                    "\"better\": \"lower\"}",
                    separator, line.name.c_str(), line.ours, line.peer, line.unit, line.ours / line.peer);
        separator = ", ";
    }
    std::printf("]}\n");
}

void run(const std::filesystem::path& caisson, const char* folder, const Scale& scale, bool json)
{
    const auto keys = make_curve_keys();
    const int port = free_port();
    const LibzmqServer libzmq(keys, port);
    GatewayChain chain(caisson, folder);
    chain.start();
    const Target ours{chain.port(), chain.server_key(),
                      [&chain] {
                          const auto usage = chain.usage();
                          return usage.gateways_s + usage.chambers_s;
                      },
                      chain.server_pid()};
    const Target peer{port, keys.server_public, [&libzmq] { return cpu_s_of(libzmq.pid()); }, libzmq.pid()};
    print(measure(ours, peer, scale), json);
}

} // namespace
} // namespace caisson::bench

int main(int count, char** arguments)
{
    namespace bench = caisson::bench;
    bench::Scale scale;
    bool json = false;
    for (int index = 1; index < count; ++index) {
        const std::string_view word = arguments[index];
        if (word == "--json") {
            json = true;
        } else if (word == "--quick") {
            scale.rounds = 3;
            scale.attempts = 150;
        } else if (word == "--smoke") {
            scale = {1, 5, std::uint64_t{16} << 20U, "16 MiB announced"}; // a sanitizer has no 4 GiB for libzmq
        } else {
            std::fputs("usage: stranger [--json] [--quick | --smoke]\n", stderr);
            return 64;
        }
    }
    const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "caisson";
    if (::sodium_init() < 0 || !std::filesystem::exists(program)) {
        std::fprintf(stderr, "stranger: %s is missing; build it first\n", program.c_str());
        return 69;
    }
    char folder[] = "/tmp/caisson-bench-XXXXXX";
    if (::mkdtemp(folder) == nullptr) {
        std::perror("stranger: a folder in /tmp");
        return 73;
    }
    bench::run(program, folder, scale, json);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return 0;
}
