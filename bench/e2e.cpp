// What end-to-end sessions cost their endpoints, against CURVE on the connection: a sender and a receiver with a plain
// libzmq broker (ROUTER to DEALER, zmq_proxy) between them. Ours: endpoints of libcaisson, keys in `process` chambers,
// the connections to the broker unprotected, for the broker is not trusted anyhow. Peer: libzmq's CURVE from each
// endpoint to the broker, which reads everything. CPU of sender and receiver, chambers included, the broker left out.
// usage: e2e [--json] [--quick | --smoke] [--only CASE]
#include "bench/rivals.hpp"
#include "library/endpoint.hpp"
#include "library/socket.hpp"

#include <zmq.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <thread>

namespace caisson::bench {
namespace {

using library::Chamber;
using library::CurveKey;
using library::Endpoint;
using library::Socket;

constexpr int patience_ms = 60'000;

[[noreturn]] void give_up(const std::string& why)
{
    std::fprintf(stderr, "e2e: %s\n", why.c_str());
    std::_Exit(70);
}

void require(bool condition, const char* what)
{
    if (!condition) {
        give_up(what);
    }
}

struct Job {
    std::size_t size = 0;
    std::size_t count = 0;
};

double own_cpu_ns()
{
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto ns = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
    };
    return ns(used.ru_utime) + ns(used.ru_stime);
}

// Of all threads of another process, as the scheduler counts.
double cpu_ns_of(int pid)
{
    double sum = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        double ns = 0;
        std::ifstream(task.path() / "schedstat") >> ns;
        sum += ns;
    }
    return sum;
}

// A process of this bench; it says how many ns of CPU its part took.
class Part {
  public:
    template <typename Work>
    explicit Part(Work work)
    {
        require(::pipe(pipe_.data()) == 0, "pipe");
        pid_ = ::fork();
        if (pid_ == 0) {
            ::close(pipe_[0]);
            const double ns = work();
            require(::write(pipe_[1], &ns, sizeof ns) == sizeof ns, "write");
            std::_Exit(0);
        }
        ::close(pipe_[1]);
    }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    ~Part() { ::close(pipe_[0]); }

    double cpu_ns()
    {
        double ns = 0;
        require(::read(pipe_[0], &ns, sizeof ns) == sizeof ns, "a part of the bench failed");
        ::waitpid(pid_, nullptr, 0);
        return ns;
    }
    void end() const
    {
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
    }

  private:
    std::array<int, 2> pipe_{};
    pid_t pid_ = -1;
};

// Names of a round: both sides in a folder of its own.
struct Place {
    std::string folder;
    std::string front = "ipc://" + folder + "/front";
    std::string back = "ipc://" + folder + "/back";
    bool curve = false;
    std::array<char, 41> server_public{};
    std::array<char, 41> server_secret{};
};

void use_curve_client(void* socket, const Place& place)
{
    std::array<char, 41> own_public{};
    std::array<char, 41> own_secret{};
    zmq_curve_keypair(own_public.data(), own_secret.data());
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own_public.data(), own_public.size());
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own_secret.data(), own_secret.size());
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, place.server_public.data(), place.server_public.size());
}

double run_broker(const Place& place)
{
    void* const context = zmq_ctx_new();
    void* const front = zmq_socket(context, ZMQ_ROUTER);
    void* const back = zmq_socket(context, ZMQ_DEALER);
    const int on = 1;
    for (void* const socket : {front, back}) {
        if (place.curve) {
            zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof on);
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, place.server_secret.data(), place.server_secret.size());
        }
    }
    require(zmq_bind(front, place.front.c_str()) == 0 && zmq_bind(back, place.back.c_str()) == 0, "bind");
    zmq_proxy(front, back, nullptr);
    return 0;
}

// ---- libzmq's endpoints -------------------------------------------------------------------------------------------

void* open_dealer(const Place& place, const std::string& address)
{
    void* const socket = zmq_socket(zmq_ctx_new(), ZMQ_DEALER);
    use_curve_client(socket, place);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    require(zmq_connect(socket, address.c_str()) == 0, "connect");
    return socket;
}

double peer_sends(const Place& place, const Job& job)
{
    void* const socket = open_dealer(place, place.front);
    const std::vector<char> text(job.size, 'x');
    char answer = 0;
    // The first one shows that both are there.
    require(zmq_send(socket, text.data(), text.size(), 0) >= 0 && zmq_recv(socket, &answer, 1, 0) == 1, "greeting");
    const auto began = own_cpu_ns();
    for (std::size_t sent = 0; sent < job.count; ++sent) {
        require(zmq_send(socket, text.data(), text.size(), 0) >= 0, "send");
    }
    require(zmq_recv(socket, &answer, 1, 0) == 1, "end");
    return own_cpu_ns() - began;
}

double peer_receives(const Place& place, const Job& job)
{
    void* const socket = open_dealer(place, place.back);
    std::vector<char> text(job.size + 1);
    std::array<char, 256> identity{};
    const auto receive = [&] {
        const int size = zmq_recv(socket, identity.data(), identity.size(), 0);
        require(size > 0 && zmq_recv(socket, text.data(), text.size(), 0) == static_cast<int>(job.size), "receive");
        return static_cast<std::size_t>(size);
    };
    const auto answer = [&](std::size_t size) {
        require(zmq_send(socket, identity.data(), size, ZMQ_SNDMORE) >= 0 && zmq_send(socket, "a", 1, 0) == 1, "send");
    };
    answer(receive());
    const auto began = own_cpu_ns();
    std::size_t size = 0;
    for (std::size_t received = 0; received < job.count; ++received) {
        size = receive();
    }
    const auto used = own_cpu_ns() - began;
    answer(size);
    std::this_thread::sleep_for(std::chrono::milliseconds(200)); // until it has left
    return used;
}

// ---- Ours ---------------------------------------------------------------------------------------------------------

class OurEnd {
  public:
    OurEnd(const Place& place, const char* name, const std::string& address)
        : folder_(place.folder)
    {
        auto opened = Chamber::open(place.folder + "/" + name);
        require(opened.has_value(), opened ? "" : opened.error().what.c_str());
        chamber_ = std::move(*opened);
        const auto made = chamber_->ask(library::Request::create_key_pair, {library::Number(0), CurveKey{}.bytes}, 512);
        require(made.has_value(), "key");
        const auto key = chamber_->import_sealed(Bytes(*made).subspan(CurveKey::size));
        require(key.has_value(), "key");
        public_key = key->public_key;
        endpoint = *Endpoint::open(*chamber_, key->id);
        endpoint->settings().accepts_all = true;
        carrier = *Socket::open(nullptr, CAISSON_DEALER);
        require(carrier->connect(*library::parse_address(address)).has_value(), "connect");
    }
    [[nodiscard]] double cpu_ns() const { return own_cpu_ns() + cpu_ns_of(chamber_->enclave().facts().pid); }

    // As caisson_endpoint_pump.
    void pump(int timeout_ms)
    {
        flush();
        std::vector<library::Parts> came;
        while (came.size() < 1024 && carrier->poll(came.empty() ? timeout_ms : 0)) {
            came.push_back(*carrier->receive(0));
        }
        endpoint->receive_many(std::move(came));
        flush();
    }
    void flush()
    {
        while (auto message = endpoint->outgoing()) {
            require(carrier->queue(std::move(*message), patience_ms).has_value(), "send");
        }
        carrier->flush();
    }
    library::Event wait()
    {
        for (int turn = 0; turn < 10 * patience_ms; ++turn) {
            if (auto event = endpoint->next()) {
                return std::move(*event);
            }
            pump(10);
        }
        give_up("nothing happens");
    }

    CurveKey public_key;
    std::unique_ptr<Chamber> chamber_;
    std::unique_ptr<Endpoint> endpoint;
    std::unique_ptr<Socket> carrier;

  private:
    std::string folder_;
};

void hand_over(const Place& place, const CurveKey& key)
{
    std::ofstream(place.folder + "/key.new", std::ios::binary)
        .write(reinterpret_cast<const char*>(key.bytes.data()), CurveKey::size);
    std::filesystem::rename(place.folder + "/key.new", place.folder + "/key");
}

CurveKey wait_for_key(const Place& place)
{
    for (int turn = 0; turn < patience_ms; ++turn) {
        CurveKey key;
        if (std::ifstream file(place.folder + "/key", std::ios::binary);
            file.read(reinterpret_cast<char*>(key.bytes.data()), CurveKey::size)) {
            return key;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    give_up("the receiver is not there");
}

double we_send(const Place& place, const Job& job)
{
    OurEnd end(place, "sender", place.front);
    const auto peer = wait_for_key(place);
    require(end.endpoint->connect(peer, {}).has_value(), "connect");
    while (!end.endpoint->is_open(peer)) {
        static_cast<void>(end.wait());
    }
    const library::Buffer text(job.size, 'x');
    const std::vector<Bytes> parts{text};
    const auto began = end.cpu_ns();
    for (std::size_t sent = 0; sent < job.count; ++sent) {
        require(end.endpoint->send(peer, parts).has_value(), "send");
        if (sent % 256 == 255) {
            end.flush();
        }
    }
    end.flush();
    while (end.wait().type != CAISSON_EVENT_MESSAGE) {
    }
    return end.cpu_ns() - began;
}

double we_receive(const Place& place, const Job& job)
{
    OurEnd end(place, "receiver", place.back);
    hand_over(place, end.public_key);
    auto event = end.wait();
    require(event.type == CAISSON_EVENT_OPENED, "opening");
    const auto began = end.cpu_ns();
    for (std::size_t received = 0; received < job.count; ++received) {
        event = end.wait();
        require(event.type == CAISSON_EVENT_MESSAGE && event.parts->at(0).size() == job.size, "receive");
    }
    const auto used = end.cpu_ns() - began;
    const library::Buffer text(1, 'a');
    require(end.endpoint->send(event.peer, std::vector<Bytes>{text}).has_value(), "send");
    end.pump(200);
    return used;
}

// ---- Rounds -------------------------------------------------------------------------------------------------------

using End = double (*)(const Place&, const Job&);

// CPU of both ends, for each message.
double round_ns(bool curve, End sends, End receives, const Job& job)
{
    std::string name = (std::filesystem::temp_directory_path() / "caisson-bench-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, "folder");
    Place place{name};
    place.curve = curve;
    zmq_curve_keypair(place.server_public.data(), place.server_secret.data());
    double used = 0;
    {
        Part broker([&] { return run_broker(place); });
        Part receiver([&] { return receives(place, job); });
        Part sender([&] { return sends(place, job); });
        used = sender.cpu_ns() + receiver.cpu_ns();
        broker.end();
    }
    std::filesystem::remove_all(name);
    return used / static_cast<double>(job.count);
}

Measured measure_case(const char* name, const Job& job, int rounds)
{
    std::vector<double> ours;
    std::vector<double> peer;
    for (int round = 0; round < rounds; ++round) {
        ours.push_back(round_ns(false, we_send, we_receive, job));
        peer.push_back(round_ns(true, peer_sends, peer_receives, job));
    }
    return {name, median(ours), median(peer)};
}

} // namespace
} // namespace caisson::bench

int main(int count, char** arguments)
{
    namespace bench = caisson::bench;
    const auto images = std::filesystem::canonical("/proc/self/exe").parent_path().parent_path();
    ::setenv("CAISSON_IMAGES", images.c_str(), 0);
    bool json = false;
    int rounds = 11;
    std::size_t messages = 40'000;
    std::string_view only;
    for (int index = 1; index < count; ++index) {
        const std::string_view word = arguments[index];
        if (word == "--json") {
            json = true;
        } else if (word == "--quick") {
            rounds = 5;
            messages = 20'000;
        } else if (word == "--only" && index + 1 < count) {
            only = arguments[++index];
        } else if (word == "--smoke") {
            rounds = 1;
            messages = 300;
        } else {
            std::fputs("usage: e2e [--json] [--quick | --smoke] [--only CASE]\n", stderr);
            return 64;
        }
    }
    const std::array<std::pair<const char*, bench::Job>, 3> jobs{{
        {"64B/cpu", {64, messages}},
        {"1KiB/cpu", {1024, messages}},
        {"64KiB/cpu", {65536, messages / 20}},
    }};
    std::vector<bench::Measured> cases;
    for (const auto& [name, job] : jobs) {
        if (only.empty() || only == name) {
            cases.push_back(bench::measure_case(name, job, rounds));
        }
    }
    if (json) {
        bench::print_json("e2e", "process, development root, a broker over ipc", cases);
    } else {
        std::printf("CPU of sender and receiver, ns a message; chambers included\n");
        bench::print_table("libzmq", cases);
    }
}
