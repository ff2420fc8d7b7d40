#include "bench/zmq_programs.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include <csignal>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

namespace caisson::bench {
namespace {

constexpr int step_timeout_ms = 120'000;
constexpr int high_water_mark = 1000;
// Sent before the measured part, which is about messages and not about a start: by then every queue has once been full.
constexpr long warm_up = 3L * high_water_mark;
constexpr char step = 's';
constexpr std::size_t honest_senders = 4; // and one more, which floods

[[noreturn]] void die(const char* what)
{
    std::fprintf(stderr, "bench: %s: %s\n", what, zmq_strerror(errno));
    std::_Exit(1);
}

void need(int result, const char* what)
{
    if (result < 0) {
        die(what);
    }
}

double now_s()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cpu_s()
{
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double resident_bytes()
{
    long total = 0;
    long resident = 0;
    if (FILE* file = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(file, "%ld %ld", &total, &resident) != 2) {
            resident = 0;
        }
        std::fclose(file);
    }
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

void tell(int descriptor, const void* bytes, std::size_t size)
{
    if (::write(descriptor, bytes, size) != static_cast<ssize_t>(size)) {
        die("pipe");
    }
}

// Waits for exactly `size` bytes; a silent other end is the end of the bench.
void hear(int descriptor, void* bytes, std::size_t size)
{
    auto* at = static_cast<char*>(bytes);
    while (size > 0) {
        pollfd waited{descriptor, POLLIN, 0};
        if (::poll(&waited, 1, step_timeout_ms) <= 0) {
            std::fputs("bench: a program did not answer in time\n", stderr);
            std::exit(1);
        }
        const auto got = ::read(descriptor, at, size);
        if (got <= 0) {
            std::fputs("bench: a program has ended early\n", stderr);
            std::exit(1);
        }
        at += got;
        size -= static_cast<std::size_t>(got);
    }
}

void hear_step(int descriptor)
{
    char got = 0;
    hear(descriptor, &got, 1);
}

void set_int(void* socket, int option, int value)
{
    need(zmq_setsockopt(socket, option, &value, sizeof value), "zmq_setsockopt");
}

void set_text(void* socket, int option, const std::string& value)
{
    need(zmq_setsockopt(socket, option, value.c_str(), value.size() + 1), "zmq_setsockopt");
}

void* open_socket(void* context, int type, const CurveKeys& keys, bool is_server)
{
    void* socket = zmq_socket(context, type);
    set_int(socket, ZMQ_SNDHWM, high_water_mark);
    set_int(socket, ZMQ_RCVHWM, high_water_mark);
    set_int(socket, ZMQ_LINGER, 0);
    set_int(socket, ZMQ_BACKLOG, 4096);
    if (keys.server_public.empty()) {
        return socket;
    }
    if (is_server) {
        set_int(socket, ZMQ_CURVE_SERVER, 1);
        set_text(socket, ZMQ_CURVE_SECRETKEY, keys.server_secret);
    } else {
        set_text(socket, ZMQ_CURVE_SERVERKEY, keys.server_public);
        set_text(socket, ZMQ_CURVE_PUBLICKEY, keys.client_public);
        set_text(socket, ZMQ_CURVE_SECRETKEY, keys.client_secret);
    }
    return socket;
}

void* open_context()
{
    void* context = zmq_ctx_new();
    need(zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 65536), "zmq_ctx_set");
    return context;
}

// Receives one part, without looking at it.
void receive(void* socket, zmq_msg_t& message)
{
    need(zmq_msg_recv(&message, socket, 0), "zmq_msg_recv");
}

class Meter {
  public:
    Meter()
        : cpu_(cpu_s())
        , wall_(now_s())
        , resident_(resident_bytes())
    {
    }
    void read(ProgramReport& report) const
    {
        report.wall_s = now_s() - wall_;
        report.cpu_s = cpu_s() - cpu_;
        report.resident_bytes = resident_bytes() - resident_;
    }

  private:
    double cpu_;
    double wall_;
    double resident_;
};

long warm_up_of(const ProgramOptions& options)
{
    return std::min(warm_up, options.count);
}

void sink_one_way(void* socket, const ProgramOptions& options, int in, int out)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    const auto receive_all = [&](long count) {
        for (long index = 0; index < count; ++index) {
            receive(socket, message);
        }
    };
    receive_all(warm_up_of(options));
    tell(out, &step, 1);
    hear_step(in);
    const Meter meter;
    receive_all(options.count);
    ProgramReport report;
    meter.read(report);
    tell(out, &report, sizeof report);
}

void echo_once(void* socket, zmq_msg_t& from, zmq_msg_t& body)
{
    receive(socket, from);
    receive(socket, body);
    need(zmq_msg_send(&from, socket, ZMQ_SNDMORE), "zmq_msg_send");
    need(zmq_msg_send(&body, socket, 0), "zmq_msg_send");
}

void sink_round_trips(void* socket, const ProgramOptions& options, int in, int out)
{
    zmq_msg_t from;
    zmq_msg_t body;
    zmq_msg_init(&from);
    zmq_msg_init(&body);
    echo_once(socket, from, body);
    tell(out, &step, 1);
    hear_step(in);
    const Meter meter;
    for (long index = 0; index < options.count; ++index) {
        echo_once(socket, from, body);
    }
    ProgramReport report;
    meter.read(report);
    tell(out, &report, sizeof report);
}

void sink_connections(void* socket, const ProgramOptions& options, int in, int out)
{
    zmq_msg_t part;
    zmq_msg_init(&part);
    hear_step(in);
    const Meter meter;
    for (long index = 0; index < options.count; ++index) {
        receive(socket, part); // who
        receive(socket, part); // the probe, empty
    }
    ProgramReport report;
    meter.read(report);
    tell(out, &report, sizeof report);
}

// The octet in front says whose a message is.
std::size_t receive_sender(void* socket, zmq_msg_t& message)
{
    receive(socket, message);
    const auto* text = static_cast<const unsigned char*>(zmq_msg_data(&message));
    return std::min<std::size_t>(text[0], honest_senders);
}

// Counts from when each sender has brought something.
void sink_shared(void* socket, const ProgramOptions& options, int in, int out)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    std::array<long, honest_senders + 1> counts{};
    while (*std::min_element(counts.begin(), counts.end()) == 0) {
        ++counts[receive_sender(socket, message)];
    }
    tell(out, &step, 1);
    hear_step(in);
    counts = {};
    const Meter meter;
    for (long index = 0; index < options.count; ++index) {
        ++counts[receive_sender(socket, message)];
    }
    ProgramReport report;
    meter.read(report);
    const auto least = *std::min_element(counts.begin(), counts.begin() + honest_senders);
    report.least_share = static_cast<double>(least) * (honest_senders + 1) / static_cast<double>(options.count);
    tell(out, &report, sizeof report);
}

void sink_main(const ProgramOptions& options, int in, int out)
{
    void* context = open_context();
    const bool pulls = options.work == Work::one_way || options.work == Work::shared;
    const int type = pulls ? ZMQ_PULL : ZMQ_ROUTER;
    void* socket = open_socket(context, type, options.sink_keys, true);
    need(zmq_bind(socket, options.bind.c_str()), "zmq_bind");
    tell(out, &step, 1);
    switch (options.work) {
    case Work::one_way: sink_one_way(socket, options, in, out); break;
    case Work::round_trips: sink_round_trips(socket, options, in, out); break;
    case Work::connections: sink_connections(socket, options, in, out); break;
    case Work::shared: sink_shared(socket, options, in, out); break;
    }
    hear_step(in);
    std::_Exit(0);
}

void source_one_way(void* socket, const ProgramOptions& options, int in, int out)
{
    const std::vector<char> text(options.size, 'x');
    const auto send_all = [&](long count) {
        for (long index = 0; index < count; ++index) {
            need(zmq_send(socket, text.data(), text.size(), 0), "zmq_send");
        }
    };
    send_all(warm_up_of(options));
    hear_step(in);
    const Meter meter;
    send_all(options.count);
    hear_step(in); // the sink has them all
    ProgramReport report;
    meter.read(report);
    tell(out, &report, sizeof report);
}

double quantile_us(const std::vector<double>& sorted, double part)
{
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1) + 0.5)] * 1e6;
}

void source_round_trips(void* socket, const ProgramOptions& options, int in, int out)
{
    std::vector<char> text(options.size, 'x');
    const auto once = [&] {
        need(zmq_send(socket, text.data(), text.size(), 0), "zmq_send");
        need(zmq_recv(socket, text.data(), text.size(), 0), "zmq_recv");
    };
    once();
    hear_step(in);
    std::vector<double> times;
    times.reserve(static_cast<std::size_t>(options.count));
    const Meter meter;
    for (long index = 0; index < options.count; ++index) {
        const auto began = now_s();
        once();
        times.push_back(now_s() - began);
    }
    hear_step(in);
    ProgramReport report;
    meter.read(report);
    std::sort(times.begin(), times.end());
    report.p50_us = quantile_us(times, 0.5);
    report.p99_us = quantile_us(times, 0.99);
    tell(out, &report, sizeof report);
}

// One ROUTER with many connections: libzmq itself sends the first message of each.
void source_connections(void* socket, const ProgramOptions& options, int in, int out)
{
    set_int(socket, ZMQ_PROBE_ROUTER, 1);
    hear_step(in);
    const Meter meter;
    for (long index = 0; index < options.count; ++index) {
        need(zmq_connect(socket, options.connect.c_str()), "zmq_connect");
    }
    hear_step(in);
    ProgramReport report;
    meter.read(report);
    tell(out, &report, sizeof report);
}

// Sends until the process ends. Who floods always has far more ready than the others: a hundred times their queue, and
// socket buffers as large as the system permits.
void send_for_ever(const ProgramOptions& options, std::size_t sender)
{
    void* socket = open_socket(open_context(), ZMQ_PUSH, options.source_keys, false);
    const bool floods = sender == honest_senders;
    if (floods) {
        set_int(socket, ZMQ_SNDHWM, 100 * high_water_mark);
        set_int(socket, ZMQ_SNDBUF, 4 << 20);
    }
    std::vector<char> text(options.size, 'x');
    text[0] = static_cast<char>(sender);
    need(zmq_connect(socket, options.connect.c_str()), "zmq_connect");
    while (true) {
        need(zmq_send(socket, text.data(), text.size(), 0), "zmq_send");
    }
}

void source_shared(const ProgramOptions& options, int in, int out)
{
    for (std::size_t sender = 0; sender <= honest_senders; ++sender) {
        std::thread([&options, sender] { send_for_ever(options, sender); }).detach();
    }
    hear_step(in);
    const Meter meter;
    hear_step(in);
    ProgramReport report;
    meter.read(report);
    tell(out, &report, sizeof report);
}

void source_main(const ProgramOptions& options, int in, int out)
{
    if (options.work == Work::shared) {
        source_shared(options, in, out);
        hear_step(in);
        std::_Exit(0);
    }
    void* context = open_context();
    const std::array<int, 3> types{ZMQ_PUSH, ZMQ_DEALER, ZMQ_ROUTER};
    void* socket = open_socket(context, types[static_cast<std::size_t>(options.work)], options.source_keys, false);
    if (options.work == Work::connections) {
        source_connections(socket, options, in, out);
    } else {
        need(zmq_connect(socket, options.connect.c_str()), "zmq_connect");
        if (options.work == Work::one_way) {
            source_one_way(socket, options, in, out);
        } else {
            source_round_trips(socket, options, in, out);
        }
    }
    hear_step(in);
    std::_Exit(0);
}

} // namespace

ProgramPair::ProgramPair(const ProgramOptions& options)
    : options_(options)
    , sink_(start(options, sink_main))
{
}

ProgramPair::~ProgramPair()
{
    end(source_);
    end(sink_);
}

ProgramPair::Child ProgramPair::start(const ProgramOptions& options, Role role)
{
    std::array<int, 2> to{};
    std::array<int, 2> from{};
    if (::pipe(to.data()) != 0 || ::pipe(from.data()) != 0) {
        die("pipe");
    }
    const auto pid = ::fork();
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::close(to[1]);
        ::close(from[0]);
        role(options, to[0], from[1]);
    }
    ::close(to[0]);
    ::close(from[1]);
    return {pid, to[1], from[0]};
}

void ProgramPair::end(Child& child) noexcept
{
    if (child.pid <= 0) {
        return;
    }
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    ::close(child.to);
    ::close(child.from);
    child = {};
}

void ProgramPair::wait_bound()
{
    hear_step(sink_.from);
}

void ProgramPair::wait_connected()
{
    source_ = start(options_, source_main);
    if (options_.work != Work::connections) {
        hear_step(sink_.from);
    }
}

void ProgramPair::run()
{
    tell(sink_.to, &step, 1);
    tell(source_.to, &step, 1);
    hear(sink_.from, &sink_report_, sizeof sink_report_);
    tell(source_.to, &step, 1);
    hear(source_.from, &source_report_, sizeof source_report_);
}

CurveKeys make_curve_keys()
{
    std::array<char, 41> open{};
    std::array<char, 41> secret{};
    CurveKeys keys;
    need(zmq_curve_keypair(open.data(), secret.data()), "zmq_curve_keypair");
    keys.server_public = open.data();
    keys.server_secret = secret.data();
    need(zmq_curve_keypair(open.data(), secret.data()), "zmq_curve_keypair");
    keys.client_public = open.data();
    keys.client_secret = secret.data();
    return keys;
}

} // namespace caisson::bench
