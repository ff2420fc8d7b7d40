#include "bench/gateway_chain.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace caisson::bench {
namespace {

constexpr int start_tries = 1000;
constexpr auto start_pause = std::chrono::milliseconds(10);

[[noreturn]] void die(const std::string& what)
{
    std::fprintf(stderr, "bench: %s\n", what.c_str());
    std::exit(1);
}

std::string output_of(const std::string& command)
{
    FILE* pipe = ::popen(command.c_str(), "r");
    std::string text;
    std::array<char, 4096> buffer{};
    while (pipe != nullptr && std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
        text += buffer.data();
    }
    if (pipe == nullptr || ::pclose(pipe) != 0) {
        die("`" + command + "` failed");
    }
    return text;
}

bool listens(int port)
{
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool connected = ::connect(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(probe);
    return connected;
}

template <typename Condition>
void wait_until(const std::string& what, Condition condition)
{
    for (int tries = 0; tries < start_tries; ++tries) {
        if (condition()) {
            return;
        }
        std::this_thread::sleep_for(start_pause);
    }
    die("not within 10 s: " + what);
}

double resident_bytes_of(::pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    double total = 0;
    double resident = 0;
    file >> total >> resident;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

void add_children(::pid_t pid, std::vector<::pid_t>& found)
{
    std::error_code ignored;
    const auto tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
        std::ifstream file(task.path() / "children");
        for (::pid_t child = 0; file >> child;) {
            found.push_back(child);
            add_children(child, found);
        }
    }
}

} // namespace

int free_port()
{
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(probe, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        die("no free port");
    }
    ::close(probe);
    return ntohs(address.sin_port);
}

void wait_listening(int port)
{
    wait_until("port " + std::to_string(port) + " listens", [port] { return listens(port); });
}

// From /proc/PID/task/*/schedstat (nanoseconds).
double cpu_s_of(::pid_t pid)
{
    double total = 0;
    std::error_code ignored;
    const auto tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
        std::ifstream file(task.path() / "schedstat");
        double nanoseconds = 0;
        file >> nanoseconds;
        total += nanoseconds * 1e-9;
    }
    return total;
}

GatewayChain::GatewayChain(std::filesystem::path caisson, std::filesystem::path folder)
    : caisson_(std::move(caisson))
    , folder_(std::move(folder))
    , port_(free_port())
{
    std::filesystem::create_directories(folder_ / "home");
    for (const char* name : {"server", "client"}) {
        output_of(caisson_.string() + " --home " + (folder_ / "home").string() + " key new " + name +
                  " --ungated 2>&1");
    }
    server_key_ = public_key_of("server");
    client_key_ = public_key_of("client");
    write_configs();
}

GatewayChain::~GatewayChain()
{
    stop();
}

std::string GatewayChain::public_key_of(const std::string& name) const
{
    const auto text =
        output_of(caisson_.string() + " --home " + (folder_ / "home").string() + " --json key show " + name);
    const std::string before = "\"public_key\":";
    const auto at = text.find('"', text.find(before) + before.size());
    const auto end = text.find('"', at + 1);
    if (at == std::string::npos || end == std::string::npos) {
        die("key show " + name + ": no public key in " + text);
    }
    return text.substr(at + 1, end - at - 1);
}

void GatewayChain::write_configs() const
{
    const auto address = "tcp://127.0.0.1:" + std::to_string(port_);
    const auto* const limits = "connections_max = 10240\n"; // as many as a chamber has sessions
    std::ofstream(folder_ / "server.toml") << limits << "[[listener]]\nname = \"server\"\nlisten = \"" << address
                                           << "\"\nbackend = \"" << sink_endpoint() << "\"\nkey = \"server\"\n";
    std::ofstream(folder_ / "client.toml")
        << limits << "[[connector]]\nname = \"client\"\nlisten = \"" << source_endpoint() << "\"\nconnect = \""
        << address << "\"\nkey = \"client\"\nserver_key = '" << server_key_ << "'\n";
}

::pid_t GatewayChain::start_gateway(const std::string& config) const
{
    const auto home = (folder_ / "home").string();
    const auto path = (folder_ / config).string();
    const auto log = (folder_ / (config + ".log")).string();
    const auto pid = ::fork();
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(file, STDOUT_FILENO);
        ::dup2(file, STDERR_FILENO);
        ::execl(caisson_.c_str(), "caisson", "--home", home.c_str(), "gateway", path.c_str(), nullptr);
        std::_Exit(127);
    }
    return pid;
}

void GatewayChain::start()
{
    gateways_.push_back(start_gateway("server.toml"));
    gateways_.push_back(start_gateway("client.toml"));
    wait_until("the server's gateway listens", [this] { return listens(port_); });
    wait_until("the client's gateway listens", [this] { return std::filesystem::exists(folder_ / "source.ipc"); });
}

void GatewayChain::stop() noexcept
{
    for (const auto pid : gateways_) {
        ::kill(pid, SIGTERM);
        ::waitpid(pid, nullptr, 0);
    }
    gateways_.clear();
    std::error_code ignored;
    std::filesystem::remove(folder_ / "source.ipc", ignored);
}

std::string GatewayChain::sink_endpoint() const
{
    return "ipc://" + (folder_ / "sink.ipc").string();
}

std::string GatewayChain::source_endpoint() const
{
    return "ipc://" + (folder_ / "source.ipc").string();
}

GatewayChain::Usage GatewayChain::usage() const
{
    Usage usage;
    for (const auto pid : gateways_) {
        usage.gateways_s += cpu_s_of(pid);
        usage.resident_bytes += resident_bytes_of(pid);
        std::vector<::pid_t> below;
        add_children(pid, below);
        for (const auto child : below) {
            usage.chambers_s += cpu_s_of(child);
            usage.resident_bytes += resident_bytes_of(child);
        }
    }
    return usage;
}

} // namespace caisson::bench
