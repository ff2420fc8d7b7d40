// Calls into a chamber: the ring and the platform `process`, with the null chamber.
//   null            one empty request and its answer, against a bare round trip of a cache line between two threads
//   null/batch64    one of 64 empty requests, against one such call of its own
//   seal64/batch64  a secretbox of 64 octets by libsodium's code, batches of 64, three in flight, against the same
//                   handler called in this process
//   contended       the same with a thread that spins on each CPU: hybrid against a ring that never spins
//   contended/null  one empty request, likewise; means, for here it is the tail that hurts
//   start           from nothing to the first answer, against fork, exec and exit of /bin/true
//   start/curve     the same of the curve chamber, whose first answer is a new key pair
// usage: enclave_call [--json] [--quick | --smoke] [--only-start]
#include "airlock/curve/requests.hpp"
#include "bench/rivals.hpp"
#include "host/enclave/enclave.hpp"
#include "host/enclave/root.hpp"
#include "tests/null_chamber/chamber.hpp"
#include "tests/null_chamber/requests.hpp"
#include "trusted/runtime/enclave_runtime.hpp"

#include <sched.h>
#include <sodium.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <thread>

extern char** environ;

namespace caisson::bench {
namespace {

using host::enclave::Enclave;
using host::enclave::Root;
using tests::null_chamber::Request;
using Clock = std::chrono::steady_clock;

constexpr std::size_t batch = 64;
constexpr std::size_t text_bytes = 64;
constexpr std::size_t box_bytes = text_bytes + 16;
constexpr int turns_per_sample = 9;

struct Effort {
    int rounds = 0;
    std::chrono::milliseconds slot{};
    int starts = 0;
};

void require(bool condition, const char* what)
{
    if (!condition) {
        std::fprintf(stderr, "enclave_call: %s\n", what);
        std::exit(70);
    }
}

double ns_of(std::uint64_t ticks)
{
    static const double ticks_a_ns = [] {
        const auto began = Clock::now();
        const auto first = __rdtsc();
        while (Clock::now() - began < std::chrono::milliseconds(20)) {
        }
        const auto now = __rdtsc();
        return static_cast<double>(now - first) /
               std::chrono::duration<double, std::nano>(Clock::now() - began).count();
    }();
    return static_cast<double>(ticks) / ticks_a_ns;
}

// Times single executions of the work for one slot of time. The two sides of a call block each other: whoever loads
// this machine costs samples, not their median.
void sample(std::vector<double>& into, std::chrono::milliseconds slot, const std::function<void()>& work)
{
    const auto end = Clock::now() + slot;
    do {
        for (int count = 0; count < 16; ++count) {
            const auto began = __rdtsc();
            work();
            into.push_back(ns_of(__rdtsc() - began));
        }
    } while (Clock::now() < end);
}

// By turns, so that both sides see the same weather.
Measured by_turns(const Effort& effort, const Rivals& rivals, double share)
{
    std::vector<double> ours;
    std::vector<double> peer;
    for (int round = 0; round < effort.rounds; ++round) {
        sample(ours, effort.slot, rivals.ours);
        sample(peer, effort.slot, rivals.peer);
    }
    return {rivals.name, median(std::move(ours)) / share, median(std::move(peer)) / share};
}

std::vector<int> allowed_cpus()
{
    cpu_set_t allowed;
    require(::sched_getaffinity(0, sizeof allowed, &allowed) == 0, "no CPU set");
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed)) {
            cpus.push_back(cpu);
        }
    }
    return cpus;
}

// The first CPU is ours and the last the other side's, on a machine with two: the kernel of a loaded one would put
// both on the same, and then it is not two cores that are measured.
cpu_set_t only(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return one;
}

void pin(::pid_t pid, int cpu)
{
    const auto one = only(cpu);
    require(::sched_setaffinity(pid, sizeof one, &one) == 0, "a CPU cannot be chosen");
}

// The least that two cores can do: each waits for the other's line.
class BareRoundTrip {
  public:
    explicit BareRoundTrip(int cpu)
        : thread_([this, cpu] {
            pin(0, cpu);
            answer();
        })
    {
    }
    ~BareRoundTrip()
    {
        there_.store(last, std::memory_order_release);
        thread_.join();
    }
    BareRoundTrip(const BareRoundTrip&) = delete;
    BareRoundTrip& operator=(const BareRoundTrip&) = delete;

    void run() noexcept
    {
        there_.store(++number_, std::memory_order_release);
        while (back_.load(std::memory_order_acquire) != number_) {
            __builtin_ia32_pause();
        }
    }

  private:
    static constexpr std::uint32_t last = 0xffffffffU;

    void answer() noexcept
    {
        std::uint32_t seen = 0;
        while (seen != last) {
            const auto now = there_.load(std::memory_order_acquire);
            if (now != seen) {
                seen = now;
                back_.store(seen, std::memory_order_release);
            }
            __builtin_ia32_pause();
        }
    }

    alignas(64) std::atomic<std::uint32_t> there_ = 0;
    alignas(64) std::atomic<std::uint32_t> back_ = 0;
    alignas(64) std::uint32_t number_ = 0;
    std::thread thread_;
};

// Batches of one request each, several in flight: `turn` reaps the oldest and sends it off again.
class Pipeline {
  public:
    Pipeline(Enclave& enclave, Request request, std::size_t flights)
        : enclave_(enclave)
        , batches_(flights)
    {
        for (auto& one : batches_) {
            one.texts.assign(batch * text_bytes, 0x5a);
            one.answers.resize(batch * box_bytes);
            const bool empty = request == Request::echo;
            for (std::size_t index = 0; index < batch; ++index) {
                const auto text = Bytes(one.texts).subspan(index * text_bytes, empty ? 0 : text_bytes);
                const auto answer = MutableBytes(one.answers).subspan(index * box_bytes, empty ? 0 : box_bytes);
                one.calls.push_back({static_cast<std::uint32_t>(request), text, answer, std::size_t{0}});
            }
            one.flight = enclave_.submit(one.calls);
            require(one.flight.taken == batch, "the ring does not take a batch");
        }
    }
    ~Pipeline()
    {
        for (auto& one : batches_) {
            enclave_.reap(one.flight);
        }
    }
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;

    void turn()
    {
        auto& one = batches_[oldest_];
        enclave_.reap(one.flight);
        require(one.calls.front().result.has_value() && one.calls.back().result.has_value(), "a call failed");
        one.flight = enclave_.submit(one.calls);
        oldest_ = (oldest_ + 1) % batches_.size();
    }

  private:
    struct Batch {
        std::vector<std::uint8_t> texts, answers;
        std::vector<Enclave::Call> calls;
        Enclave::Flight flight;
    };

    Enclave& enclave_;
    std::vector<Batch> batches_;
    std::size_t oldest_ = 0;
};

// The null chamber's code in this process, without ring or isolation.
class Inside {
  public:
    Inside()
    {
        trusted::Seed seed;
        randombytes_buf(seed.expose().data(), seed.expose().size());
        require(runtime_.start({nullptr, no_report, no_key}, seed, nullptr).has_value(), "no runtime");
        chamber_.emplace(runtime_);
    }

    void box_batch()
    {
        for (std::size_t index = 0; index < batch; ++index) {
            const auto answer = chamber_->answer(static_cast<std::uint32_t>(Request::box), text_, box_);
            require(answer.result.has_value(), "a box failed");
        }
    }

  private:
    static void no_report(void* /*context*/, const protocol::sgx::TargetInfo& /*target*/,
                          const protocol::sgx::ReportData& /*data*/, protocol::sgx::Report& /*report*/) noexcept
    {
    }
    static bool no_key(void* /*context*/, const protocol::sgx::KeyRequest& /*request*/, ByteArray<16>& /*key*/) noexcept
    {
        return true;
    }

    trusted::EnclaveRuntime runtime_;
    std::optional<tests::null_chamber::Chamber> chamber_;
    ByteArray<text_bytes> text_{};
    ByteArray<box_bytes> box_{};
};

// A process on each CPU that never stops computing.
class Hogs {
  public:
    explicit Hogs(const std::vector<int>& cpus)
    {
        for (const int cpu : cpus) {
            const auto pid = ::fork();
            if (pid == 0) {
                pin(0, cpu);
                ::alarm(120); // should its parent be killed
                while (true) {
                    __asm__ volatile("");
                }
            }
            pids_.push_back(pid);
        }
    }
    ~Hogs()
    {
        for (const auto pid : pids_) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        }
    }
    Hogs(const Hogs&) = delete;
    Hogs& operator=(const Hogs&) = delete;

  private:
    std::vector<::pid_t> pids_;
};

class Bench {
  public:
    explicit Bench(const Effort& effort)
        : effort_(effort)
        , folder_(make_folder())
        , root_(open_root())
    {
    }
    ~Bench() { std::filesystem::remove_all(folder_); }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    std::vector<Measured> measure_all()
    {
        auto cases = measure_calls();
        const auto starts = measure_starts();
        cases.insert(cases.end(), starts.begin(), starts.end());
        return cases;
    }

    std::vector<Measured> measure_starts()
    {
        constexpr auto key_pair = static_cast<std::uint32_t>(airlock::curve::Request::create_key_pair);
        const std::vector<std::uint8_t> no_conditions(36);
        std::vector<Measured> cases;
        cases.push_back(
            start("start", host::enclave::ChamberKind::null, static_cast<std::uint32_t>(Request::echo), {}));
        cases.push_back(start("start/curve", host::enclave::ChamberKind::curve, key_pair, no_conditions));
        return cases;
    }

  private:
    std::vector<Measured> measure_calls()
    {
        std::vector<Measured> cases;
        const auto enclave = open(true); // before the pinning: with one CPU it would not spin
        const auto sleepy = open(false);
        pin(enclave->facts().pid, cpus_.back());
        pin(sleepy->facts().pid, cpus_.back());
        pin(0, cpus_.front());
        cases.push_back(null(*enclave));
        cases.push_back(null_batch(*enclave));
        cases.push_back(seal_batch(*enclave));
        {
            const Hogs hogs({cpus_.front(), cpus_.back()});
            cases.push_back(contended(*enclave, *sleepy));
            cases.push_back(contended_null(*enclave, *sleepy));
        }
        unpin();
        return cases;
    }

    static std::filesystem::path make_folder()
    {
        auto pattern = (std::filesystem::temp_directory_path() / "caisson-bench-XXXXXX").string();
        require(::mkdtemp(pattern.data()) != nullptr, "no temporary folder");
        return pattern;
    }
    Root open_root()
    {
        auto root = Root::open_file(folder_ / "root.key");
        require(root.has_value(), "no root");
        return std::move(*root);
    }

    std::unique_ptr<Enclave> open(bool spin, host::enclave::ChamberKind chamber = host::enclave::ChamberKind::null)
    {
        host::enclave::EnclaveOptions options;
        options.chamber = chamber;
        options.images = CAISSON_BENCH_IMAGES;
        options.waiting = spin ? host::enclave::Waiting::spin : host::enclave::Waiting::sleep;
        auto enclave = Enclave::open(options, root_);
        require(enclave.has_value(), enclave ? "" : enclave.error().what.c_str());
        return std::move(*enclave);
    }

    void unpin() const
    {
        cpu_set_t all;
        CPU_ZERO(&all);
        for (const int cpu : cpus_) {
            CPU_SET(cpu, &all);
        }
        require(::sched_setaffinity(0, sizeof all, &all) == 0, "the CPUs cannot be given back");
    }

    static void call_null(Enclave& enclave)
    {
        require(enclave.call(static_cast<std::uint32_t>(Request::echo), {}, {}).has_value(), "a call failed");
    }

    Measured null(Enclave& enclave)
    {
        // The bare side's thread lives in its own turn alone: spinning, it would take the chamber's core.
        std::vector<double> ours;
        std::vector<double> peer;
        for (int round = 0; round < effort_.rounds; ++round) {
            sample(ours, effort_.slot, [&] { call_null(enclave); });
            BareRoundTrip trip(cpus_.back());
            sample(peer, effort_.slot, [&] { trip.run(); });
        }
        return {"null", median(std::move(ours)), median(std::move(peer))};
    }

    Measured null_batch(Enclave& enclave)
    {
        std::vector<Enclave::Call> calls(batch);
        for (auto& call : calls) {
            call.request = static_cast<std::uint32_t>(Request::echo);
        }
        auto measured =
            by_turns(effort_, {"null/batch64", [&] { enclave.call_many(calls); }, [&] { call_null(enclave); }}, 1);
        measured.ours_ns /= batch;
        return measured;
    }

    Measured seal_batch(Enclave& enclave)
    {
        Inside inside;
        std::vector<double> ours;
        std::vector<double> peer;
        for (int round = 0; round < effort_.rounds; ++round) {
            {
                // A chamber may answer several batches at once, so one turn says nothing.
                Pipeline pipeline(enclave, Request::box, 3);
                sample(ours, effort_.slot, [&] {
                    for (int turn = 0; turn < turns_per_sample; ++turn) {
                        pipeline.turn();
                    }
                });
            }
            pin(0, cpus_.back()); // where the chamber ran: cores are not equally fast
            sample(peer, effort_.slot, [&] { inside.box_batch(); });
            pin(0, cpus_.front());
        }
        return {"seal64/batch64", median(std::move(ours)) / (turns_per_sample * batch),
                median(std::move(peer)) / batch};
    }

    // Wall time of a fixed number of batches: who sleeps too early and who spins too long both pay here.
    static double wall_ns(const std::function<void()>& work)
    {
        const auto began = Clock::now();
        work();
        return std::chrono::duration<double, std::nano>(Clock::now() - began).count();
    }

    Measured contended(Enclave& hybrid, Enclave& sleepy)
    {
        const int turns = effort_.rounds > 5 ? 400 : 20;
        const auto seal = [turns](Enclave& enclave) {
            Pipeline pipeline(enclave, Request::box, 3);
            for (int turn = 0; turn < turns; ++turn) {
                pipeline.turn();
            }
        };
        return fixed_work(
            "contended", turns * static_cast<double>(batch), [&] { seal(hybrid); }, [&] { seal(sleepy); });
    }

    Measured contended_null(Enclave& hybrid, Enclave& sleepy)
    {
        const int calls = effort_.rounds > 5 ? 2000 : 50;
        const auto call = [calls](Enclave& enclave) {
            for (int count = 0; count < calls; ++count) {
                call_null(enclave);
            }
        };
        return fixed_work("contended/null", calls, [&] { call(hybrid); }, [&] { call(sleepy); });
    }

    Measured fixed_work(const char* name, double count, const std::function<void()>& ours,
                        const std::function<void()>& peer)
    {
        std::vector<double> our_times;
        std::vector<double> peer_times;
        for (int round = 0; round < effort_.rounds; ++round) {
            our_times.push_back(wall_ns(ours) / count);
            peer_times.push_back(wall_ns(peer) / count);
        }
        return {name, median(std::move(our_times)), median(std::move(peer_times))};
    }

    // Up to the first answer; the end of the chamber is not in it.
    Measured start(const char* name, host::enclave::ChamberKind chamber, std::uint32_t request, Bytes input)
    {
        std::vector<double> ours;
        std::vector<double> peer;
        std::vector<std::uint8_t> output(4096);
        for (int count = 0; count < effort_.starts; ++count) {
            std::unique_ptr<Enclave> enclave;
            ours.push_back(wall_ns([&] {
                enclave = open(true, chamber);
                require(enclave->call(request, input, output).has_value(), "a call failed");
            }));
            enclave.reset();
            peer.push_back(wall_ns(run_true));
        }
        return {name, median(std::move(ours)), median(std::move(peer))};
    }

    static void run_true()
    {
        char name[] = "/bin/true";
        char* const arguments[] = {name, nullptr};
        ::pid_t pid = 0;
        require(::posix_spawn(&pid, name, nullptr, nullptr, arguments, environ) == 0, "/bin/true does not start");
        ::waitpid(pid, nullptr, 0);
    }

    Effort effort_;
    std::vector<int> cpus_ = allowed_cpus();
    std::filesystem::path folder_;
    Root root_;
};

} // namespace
} // namespace caisson::bench

int main(int count, char** arguments)
{
    namespace bench = caisson::bench;
    bool json = false;
    bool only_start = false;
    bench::Effort effort{21, std::chrono::milliseconds(40), 41};
    for (int index = 1; index < count; ++index) {
        const std::string_view word = arguments[index];
        if (word == "--json") {
            json = true;
        } else if (word == "--only-start") {
            only_start = true;
        } else if (word == "--quick") {
            effort = {7, std::chrono::milliseconds(20), 15};
        } else if (word == "--smoke") {
            effort = {2, std::chrono::milliseconds(2), 2};
        } else {
            std::fputs("usage: enclave_call [--json] [--quick | --smoke] [--only-start]\n", stderr);
            return 64;
        }
    }
    if (sodium_init() < 0) {
        return 70;
    }
    bench::Bench all(effort);
    const auto cases = only_start ? all.measure_starts() : all.measure_all();
    if (json) {
        bench::print_json("enclave_call", "process, development root", cases);
    } else {
        bench::print_table("peer", cases);
    }
}
