// Two plain ZeroMQ programs with a `caisson gateway` before each, against the same two programs with libzmq's own
// CURVE: CPU time of every process per message, messages a second, round trips, handshakes, memory of a connection.
// usage: curve_gateway [--json] [--quick | --smoke] [--only CASE] [--connections COUNT]
#include "bench/bar.hpp"
#include "bench/gateway_chain.hpp"
#include "bench/zmq_programs.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include <sys/resource.h>
#include <unistd.h>

namespace caisson::bench {
namespace {

struct Scale {
    int rounds = 7;
    double messages = 1; // times the case's count
    long connections = 1000;
};

// One run of one side.
struct Sample {
    double cpu_us = 0; // of all processes, per message or connection
    double programs_us = 0;
    double gateways_us = 0;
    double chambers_us = 0;
    double per_s = 0;
    double p50_us = 0;
    double p99_us = 0;
    double memory_kib = 0; // grown while it ran, per connection: libzmq's programs, or our gateways and chambers
    double cores = 0;      // CPU time over wall time
    double share = 0;      // of whoever among the honest got least
};

struct Case {
    const char* name;
    Work work;
    std::size_t size;
    long count;
};

constexpr Case cases[] = {
    {"64B", Work::one_way, 64, 400'000},     {"1KiB", Work::one_way, 1024, 200'000},
    {"64KiB", Work::one_way, 65536, 10'000}, {"64B/roundtrip", Work::round_trips, 64, 10'000},
    {"handshakes", Work::connections, 0, 0}, {"fair-share", Work::shared, 64, 400'000},
};

// Of the ratio: at most, or at least where higher is better.
constexpr Bar bars[] = {
    {"64B/cpu", 0.6},        {"64B/throughput", 1.5},    {"1KiB/cpu", 0.5}, {"1KiB/throughput", 2}, {"64KiB/cpu", 0.6},
    {"64KiB/throughput", 2}, {"64B/roundtrip-p50", 1.5}, {"handshakes", 5}, {"fair-share", 0.8},
};

Sample sample_of(const ProgramPair& pair, double count, const GatewayChain::Usage& before,
                 const GatewayChain::Usage& after)
{
    Sample sample;
    sample.programs_us = (pair.sink().cpu_s + pair.source().cpu_s) / count * 1e6;
    sample.gateways_us = (after.gateways_s - before.gateways_s) / count * 1e6;
    sample.chambers_us = (after.chambers_s - before.chambers_s) / count * 1e6;
    sample.cpu_us = sample.programs_us + sample.gateways_us + sample.chambers_us;
    sample.per_s = count / pair.sink().wall_s;
    sample.p50_us = pair.source().p50_us;
    sample.p99_us = pair.source().p99_us;
    sample.cores = sample.cpu_us * sample.per_s * 1e-6;
    sample.share = pair.sink().least_share;
    const bool has_gateways = after.resident_bytes > 0;
    const auto grown = has_gateways ? after.resident_bytes - before.resident_bytes
                                    : pair.sink().resident_bytes + pair.source().resident_bytes;
    sample.memory_kib = grown / count / 1024;
    return sample;
}

class Bench {
  public:
    Bench(std::filesystem::path caisson, std::filesystem::path folder, Scale scale)
        : scale_(scale)
        , keys_(make_curve_keys())
        , chain_(std::move(caisson), std::move(folder))
    {
    }

    Sample run_ours(const Case& one)
    {
        auto options = options_of(one);
        options.bind = chain_.sink_endpoint();
        options.connect = chain_.source_endpoint();
        ProgramPair pair(options);
        pair.wait_bound();
        chain_.start();
        pair.wait_connected();
        const auto before = chain_.usage();
        pair.run();
        const auto sample = sample_of(pair, static_cast<double>(options.count), before, chain_.usage());
        chain_.stop();
        return sample;
    }

    Sample run_peer(const Case& one)
    {
        auto options = options_of(one);
        options.bind = "tcp://127.0.0.1:" + std::to_string(20000 + ::getpid() % 20000);
        options.connect = options.bind;
        options.sink_keys = keys_;
        options.source_keys = keys_;
        ProgramPair pair(options);
        pair.wait_bound();
        pair.wait_connected();
        pair.run();
        return sample_of(pair, static_cast<double>(options.count), {}, {});
    }

  private:
    [[nodiscard]] ProgramOptions options_of(const Case& one) const
    {
        ProgramOptions options;
        options.work = one.work;
        options.size = one.size;
        options.count = one.work == Work::connections
                            ? scale_.connections
                            : std::max(1L, static_cast<long>(static_cast<double>(one.count) * scale_.messages));
        return options;
    }

    Scale scale_;
    CurveKeys keys_;
    GatewayChain chain_;
};

double median_of(std::vector<Sample> samples, double Sample::* part)
{
    std::sort(samples.begin(), samples.end(),
              [part](const Sample& left, const Sample& right) { return left.*part < right.*part; });
    return samples[samples.size() / 2].*part;
}

struct Line {
    std::string name;
    double ours = 0;
    double peer = 0;
    const char* unit = "us";
    const char* better = "lower";

    [[nodiscard]] double ratio() const noexcept { return ours / peer; }
    // What its bar is about: how ours is to the peer's, or how the least served of ours is to an even split.
    [[nodiscard]] double judged() const noexcept { return *unit == '\0' ? ours : ratio(); }
    [[nodiscard]] bool reaches(double bar) const noexcept
    {
        return std::string_view(better) == "lower" ? judged() <= bar : judged() >= bar;
    }
};

// For the table, or for JSON behind the other members.
std::string bar_text(const Line& line, bool json)
{
    const auto bar = bar_of(bars, line.name);
    if (!bar) {
        return "";
    }
    char text[64];
    const bool met = line.reaches(*bar);
    std::snprintf(text, sizeof text, json ? ", \"bar\": %.1f, \"met\": %s" : "%8.1f %s", *bar,
                  json ? (met ? "true" : "false") : (met ? "met" : "MISSED"));
    return text;
}

struct Split { // where our CPU time of a case goes
    std::string name;
    double programs = 0;
    double gateways = 0;
    double chambers = 0;
    double cores = 0;
    double peer_cores = 0;
};

struct Outcome {
    std::vector<Line> lines;
    std::vector<Split> splits;
};

void add_lines(Outcome& outcome, const Case& one, const std::vector<Sample>& ours, const std::vector<Sample>& peer)
{
    const auto add = [&](const std::string& suffix, double Sample::* part, const char* unit, const char* better) {
        outcome.lines.push_back({one.name + suffix, median_of(ours, part), median_of(peer, part), unit, better});
    };
    if (one.work == Work::round_trips) {
        add("-p50", &Sample::p50_us, "us", "lower");
        add("-p99", &Sample::p99_us, "us", "lower");
        return;
    }
    if (one.work == Work::shared) {
        add("", &Sample::share, "", "higher");
        return;
    }
    if (one.work == Work::connections) {
        add("", &Sample::per_s, "1/s", "higher");
        add("/cpu", &Sample::cpu_us, "us", "lower");
        add("/memory", &Sample::memory_kib, "KiB", "lower");
    } else {
        add("/cpu", &Sample::cpu_us, "us", "lower");
        add("/throughput", &Sample::per_s, "1/s", "higher");
    }
    outcome.splits.push_back({one.name, median_of(ours, &Sample::programs_us), median_of(ours, &Sample::gateways_us),
                              median_of(ours, &Sample::chambers_us), median_of(ours, &Sample::cores),
                              median_of(peer, &Sample::cores)});
}

void print_table(const Outcome& outcome)
{
    std::printf("%-20s %14s %14s %8s %8s\n", "case", "two gateways", "libzmq CURVE", "ratio", "bar");
    for (const auto& line : outcome.lines) {
        std::printf("%-20s %10.2f %-3s %10.2f %-3s %8.2f %s\n", line.name.c_str(), line.ours, line.unit, line.peer,
                    line.unit, line.ratio(), bar_text(line, false).c_str());
    }
    std::printf("\nwhere our CPU time goes, us per message or handshake\n%-20s %10s %10s %10s %10s %14s\n", "case",
                "programs", "gateways", "chambers", "cores", "libzmq's cores");
    for (const auto& split : outcome.splits) {
        std::printf("%-20s %10.2f %10.2f %10.2f %10.2f %14.2f\n", split.name.c_str(), split.programs, split.gateways,
                    split.chambers, split.cores, split.peer_cores);
    }
}

void print_json(const Outcome& outcome)
{
    std::printf("{\"bench\": \"curve_gateway\", \"machine\": {\"cpus\": %ld}, \"cases\": [",
                ::sysconf(_SC_NPROCESSORS_ONLN));
    const char* separator = "";
    for (const auto& line : outcome.lines) {
        std::printf("%s{\"name\": \"%s\", \"ours\": %.3f, \"peer\": %.3f, \"unit\": \"%s\", \"ratio\": %.3f, "
                    "\"better\": \"%s\"%s}",
                    separator, line.name.c_str(), line.ours, line.peer, line.unit, line.ratio(), line.better,
                    bar_text(line, true).c_str());
        separator = ", ";
    }
    std::printf("], \"cpu_split\": [");
    separator = "";
    for (const auto& split : outcome.splits) {
        std::printf("%s{\"name\": \"%s\", \"programs\": %.3f, \"gateways\": %.3f, \"chambers\": %.3f, "
                    "\"unit\": \"us\", \"cores\": %.2f, \"peer_cores\": %.2f}",
                    separator, split.name.c_str(), split.programs, split.gateways, split.chambers, split.cores,
                    split.peer_cores);
        separator = ", ";
    }
    std::printf("]}\n");
}

Outcome measure_all(Bench& bench, const Scale& scale, std::string_view only)
{
    Outcome outcome;
    for (const auto& one : cases) {
        if (!only.empty() && only != one.name) {
            continue;
        }
        std::vector<Sample> ours;
        std::vector<Sample> peer;
        for (int round = 0; round < scale.rounds; ++round) {
            ours.push_back(bench.run_ours(one));
            peer.push_back(bench.run_peer(one));
        }
        add_lines(outcome, one, ours, peer);
    }
    return outcome;
}

void raise_descriptor_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

} // namespace
} // namespace caisson::bench

int main(int count, char** arguments)
{
    namespace bench = caisson::bench;
    bench::Scale scale;
    bool json = false;
    std::string_view only;
    for (int index = 1; index < count; ++index) {
        const std::string_view word = arguments[index];
        if (word == "--json") {
            json = true;
        } else if (word == "--quick") {
            scale = {3, 0.25, 300};
        } else if (word == "--smoke") {
            scale = {1, 0.002, 20};
        } else if (word == "--only" && index + 1 < count) {
            only = arguments[++index];
        } else if (word == "--connections" && index + 1 < count && std::atol(arguments[index + 1]) > 0) {
            scale.connections = std::atol(arguments[++index]);
        } else {
            std::fputs("usage: curve_gateway [--json] [--quick | --smoke] [--only CASE] [--connections COUNT]\n",
                       stderr);
            return 64;
        }
    }
    const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "caisson";
    if (!std::filesystem::exists(program)) {
        std::fprintf(stderr, "curve_gateway: %s is missing; build it first\n", program.c_str());
        return 69;
    }
    bench::raise_descriptor_limit();
    char folder[] = "/tmp/caisson-bench-XXXXXX";
    if (::mkdtemp(folder) == nullptr) {
        std::perror("curve_gateway: a folder in /tmp");
        return 73;
    }
    {
        bench::Bench all(program, folder, scale);
        const auto outcome = bench::measure_all(all, scale, only);
        json ? bench::print_json(outcome) : bench::print_table(outcome);
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return 0;
}
