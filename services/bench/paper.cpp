#include "services/bench/paper.hpp"

#include "airlock/curve/requests.hpp"
#include "core/wire.hpp"
#include "host/enclave/enclave.hpp"
#include "host/enclave/root.hpp"
#include "host/store/throwaway_folder.hpp"

#include <sched.h>
#include <sodium.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <optional>

namespace caisson::services::bench {
namespace {

using airlock::curve::Request;
using host::Done;
using host::fault;
using host::Outcome;
using host::enclave::Enclave;
using host::enclave::Root;
using Buffer = std::vector<std::uint8_t>;
using Clock = std::chrono::steady_clock;

constexpr std::size_t batch = 64;
constexpr std::size_t run = 64;
constexpr std::size_t flights = 4;
constexpr std::size_t runs_per_flight = 4;
constexpr std::size_t turns_per_sample = 8; // that batches overlap must show
constexpr double keys_bar = 40;             // times libsodium
constexpr double seals_bar = 15;
constexpr std::size_t key_bytes = airlock::curve::key_bytes;
constexpr std::size_t text_bytes = 64;
constexpr std::size_t body_bytes = text_bytes + airlock::curve::message_head_bytes;

using Key = ByteArray<key_bytes>;
using Nonce = ByteArray<airlock::curve::nonce_bytes>;

cpu_set_t allowed_cpus()
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    ::sched_getaffinity(0, sizeof allowed, &allowed);
    return allowed;
}

// This thread on the first of its CPUs and the chamber on the last, for as long as it lives: a loaded machine's kernel
// would put both on one. libsodium has its turns on the chamber's CPU, for CPUs are not equally fast.
class Pinning {
  public:
    explicit Pinning(int chamber)
    {
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &before_)) {
                cpus_.push_back(cpu);
            }
        }
        pin(chamber, cpus_.back());
        pin(0, cpus_.front());
    }
    ~Pinning() { ::sched_setaffinity(0, sizeof before_, &before_); }
    Pinning(const Pinning&) = delete;
    Pinning& operator=(const Pinning&) = delete;

    void run_where_the_chamber_runs(const std::function<void()>& work) const
    {
        pin(0, cpus_.back());
        work();
        pin(0, cpus_.front());
    }

  private:
    static void pin(::pid_t pid, int cpu)
    {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        ::sched_setaffinity(pid, sizeof one, &one);
    }
    cpu_set_t before_ = allowed_cpus();
    std::vector<int> cpus_;
};

Buffer joined(std::initializer_list<Bytes> parts)
{
    Buffer out;
    for (const auto part : parts) {
        out.insert(out.end(), part.begin(), part.end());
    }
    return out;
}

Buffer number(std::uint32_t value)
{
    Buffer out(sizeof value);
    std::memcpy(out.data(), &value, sizeof value);
    return out;
}

Outcome<Buffer> ask(Enclave& enclave, Request request, Bytes input)
{
    Buffer output(std::size_t{4} << 10U);
    output.resize(TRY(enclave.call(static_cast<std::uint32_t>(request), input, output)));
    return output;
}

// What is asked for over and over: so many such requests to a flight, each for so many results.
struct Work {
    Request request{};
    Buffer input;
    std::size_t output_bytes = 0;
    std::size_t requests = 0;
    std::size_t results = 0;
};

// `flights` of them on the way.
class Pipeline {
  public:
    Pipeline(Enclave& enclave, const Work& work)
        : enclave_(enclave)
        , results_(work.requests * work.results)
    {
        for (auto& one : batches_) {
            one.outputs.assign(work.requests, Buffer(work.output_bytes));
            for (auto& output : one.outputs) {
                one.calls.push_back(
                    {static_cast<std::uint32_t>(work.request), inputs_.emplace_back(work.input), output});
            }
        }
    }
    ~Pipeline() { drain(); }
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;

    void turn()
    {
        auto& one = batches_[next_ % flights];
        ++next_;
        reap(one);
        one.flight = enclave_.submit(one.calls);
        failed_ |= one.flight->taken != one.calls.size();
    }
    [[nodiscard]] std::size_t results() const { return results_; } // of a turn
    void drain()
    {
        for (std::size_t count = 0; count < flights; ++count) {
            reap(batches_[(next_ + count) % flights]);
        }
    }
    [[nodiscard]] bool failed() const { return failed_; }
    // What the last turns gave, in the order of their requests. After `drain`.
    [[nodiscard]] std::vector<Buffer> last_outputs() const
    {
        std::vector<Buffer> all;
        for (std::size_t count = 0; count < flights; ++count) {
            const auto& outputs = batches_[(next_ + count) % flights].outputs;
            all.insert(all.end(), outputs.begin(), outputs.end());
        }
        return all;
    }

  private:
    struct Batch {
        std::vector<Buffer> outputs;
        std::vector<Enclave::Call> calls;
        std::optional<Enclave::Flight> flight;
    };
    void reap(Batch& one)
    {
        if (!one.flight) {
            return;
        }
        enclave_.reap(*one.flight);
        one.flight.reset();
        for (const auto& call : one.calls) {
            failed_ |= !call.result || *call.result != call.output.size();
        }
    }

    Enclave& enclave_;
    std::deque<Buffer> inputs_;
    std::array<Batch, flights> batches_;
    std::size_t results_;
    std::size_t next_ = 0;
    bool failed_ = false;
};

// Wall time of single results over one slot, in ns; a sample is several turns.
void sample(std::vector<double>& into, std::chrono::milliseconds slot, std::size_t results,
            const std::function<void()>& work)
{
    const auto end = Clock::now() + slot;
    auto began = Clock::now();
    do {
        work();
        const auto now = Clock::now();
        into.push_back(std::chrono::duration<double, std::nano>(now - began).count() / static_cast<double>(results));
        began = now;
    } while (began < end);
}

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// What a measurement needs to know of where it runs.
struct Place {
    Enclave& enclave;
    const Pinning& pinning;
    PaperEffort effort;
};

// `peer` makes `peer_results` at a time.
PaperCase by_turns(const char* name, const Place& place, Pipeline& pipeline, std::size_t peer_results,
                   const std::function<void()>& peer)
{
    const auto& effort = place.effort;
    const auto ours = [&pipeline] {
        for (std::size_t turn = 0; turn < turns_per_sample; ++turn) {
            pipeline.turn();
        }
    };
    std::vector<double> our_ns;
    std::vector<double> peer_ns;
    for (int round = 0; round < effort.rounds; ++round) {
        for (std::size_t turn = 0; turn < flights; ++turn) {
            pipeline.turn(); // until all are on the way
        }
        sample(our_ns, effort.slot, turns_per_sample * pipeline.results(), ours);
        pipeline.drain();
        place.pinning.run_where_the_chamber_runs([&] { sample(peer_ns, effort.slot, peer_results, peer); });
    }
    constexpr double ns_per_s = 1e9;
    return {name, ns_per_s / median(std::move(our_ns)), ns_per_s / median(std::move(peer_ns))};
}

Nonce nonce_of(std::string_view prefix, std::uint64_t counter)
{
    Nonce nonce{};
    std::memcpy(nonce.data(), prefix.data(), prefix.size());
    counter = __builtin_bswap64(counter);
    std::memcpy(nonce.data() + prefix.size(), &counter, sizeof counter);
    return nonce;
}

// The chamber makes a HELLO's box with the key behind the handle, and libsodium opens it with the public key.
Done use_pair(Enclave& enclave, Bytes answer)
{
    const auto public_key = answer.first(key_bytes);
    const auto handle = answer.subspan(key_bytes);
    Key server;
    Key server_secret;
    ::crypto_box_keypair(server.data(), server_secret.data());
    const auto nonce = nonce_of("CurveZMQHELLO---", 1);
    const ByteArray<text_bytes> text{};
    const auto box = TRY(ask(enclave, Request::box, joined({handle, server, nonce, text})));
    ByteArray<text_bytes> opened;
    if (box.size() != opened.size() + crypto_box_MACBYTES ||
        ::crypto_box_open_easy(opened.data(), box.data(), box.size(), nonce.data(), public_key.data(),
                               server_secret.data()) != 0) {
        return fault(Kind::unauthentic, "paper: a key pair of the chamber is none");
    }
    return {};
}

Outcome<PaperCase> measure_keys(const Place& place)
{
    auto& enclave = place.enclave;
    Pipeline pipeline(enclave, {Request::box_keypair, {}, 2 * key_bytes, batch, 1});
    Key key;
    Key secret;
    auto measured = by_turns("keys", place, pipeline, 1, [&] { ::crypto_box_keypair(key.data(), secret.data()); });
    auto made = pipeline.last_outputs();
    if (pipeline.failed()) {
        return fault(Kind::unavailable, "paper: the chamber did not make all key pairs");
    }
    for (const auto& answer : made) {
        TRY(use_pair(enclave, answer));
    }
    std::sort(made.begin(), made.end());
    if (std::adjacent_find(made.begin(), made.end()) != made.end()) {
        return fault(Kind::unauthentic, "paper: the chamber made a key pair twice");
    }
    return measured;
}

struct Sessions {
    Buffer client;
    Buffer server;
};

// Both ends of a handshake in one chamber, under one key.
Outcome<Sessions> shake_hands(Enclave& enclave)
{
    const auto created = TRY(ask(enclave, Request::create_key_pair, joined({number(0), Key{}})));
    const auto loaded = TRY(ask(enclave, Request::import_sealed_private_key, Bytes(created).subspan(key_bytes)));
    const Buffer key(loaded.begin(), loaded.begin() + 4);
    Sessions sessions;
    sessions.client = TRY(ask(enclave, Request::open_client, joined({key, Bytes(created).first(key_bytes)})));
    const auto hello = TRY(ask(enclave, Request::produce_hello, sessions.client));
    const auto welcome = TRY(ask(enclave, Request::process_hello, joined({key, hello})));
    TRY(ask(enclave, Request::process_welcome, joined({sessions.client, welcome})));
    const auto initiate = TRY(ask(enclave, Request::produce_initiate, sessions.client));
    const auto initiated = TRY(ask(enclave, Request::process_initiate, joined({key, initiate})));
    sessions.server.assign(initiated.begin(), initiated.begin() + 4);
    const auto ready = TRY(ask(enclave, Request::produce_ready, sessions.server));
    TRY(ask(enclave, Request::process_ready, joined({sessions.client, ready})));
    return sessions;
}

// libzmq encrypts the flags octet with the text, as MESSAGE wants it; so does libsodium here.
class Sodium {
  public:
    Sodium() { ::randombytes_buf(key_.data(), key_.size()); }
    void seal()
    {
        const auto nonce = nonce_of("CurveZMQMESSAGEC", ++counter_);
        ::crypto_box_easy_afternm(box_.data(), content_.data(), content_.size(), nonce.data(), key_.data());
    }

  private:
    Key key_{};
    ByteArray<1 + text_bytes> content_{};
    ByteArray<1 + text_bytes + crypto_box_MACBYTES> box_{};
    std::uint64_t counter_ = 0;
};

// All that was sealed last opens, in the order in which it was made.
Done open_all(Enclave& enclave, const Sessions& sessions, const std::vector<Buffer>& outputs, Bytes text)
{
    for (const auto& bodies : outputs) {
        for (std::size_t at = 0; at < bodies.size(); at += body_bytes) {
            const auto body = Bytes(bodies).subspan(at, body_bytes);
            const auto opened = TRY(ask(enclave, Request::process_message, joined({sessions.server, body})));
            if (opened != joined({number(0), text})) {
                return fault(Kind::unauthentic, "paper: a message opens to another text");
            }
        }
    }
    return {};
}

// `messages` to a request: a run of them, or one.
Outcome<PaperCase> measure_seals(const Place& place, const char* name, std::size_t messages)
{
    auto& enclave = place.enclave;
    const auto sessions = TRY(shake_hands(enclave));
    ByteArray<text_bytes> text;
    text.fill(0x5a);
    Work work{Request::produce_message, joined({sessions.client, number(0), text}), body_bytes, batch, 1};
    if (messages > 1) {
        work = {Request::produce_messages, sessions.client, messages * body_bytes, runs_per_flight, messages};
        for (std::size_t count = 0; count < messages; ++count) {
            work.input = joined({work.input, number(text_bytes), number(0), text});
        }
    }
    Pipeline pipeline(enclave, work);
    Sodium sodium;
    auto measured = by_turns(name, place, pipeline, batch, [&sodium] {
        for (std::size_t count = 0; count < batch; ++count) {
            sodium.seal();
        }
    });
    if (pipeline.failed()) {
        return fault(Kind::unavailable, "paper: the chamber did not seal all messages");
    }
    TRY(open_all(enclave, sessions, pipeline.last_outputs(), text));
    return measured;
}

} // namespace

Outcome<std::vector<PaperCase>> measure_paper(const PaperEffort& effort, const std::filesystem::path& images)
{
    if (::sodium_init() < 0) {
        return fault(Kind::unavailable, "paper: libsodium does not start");
    }
    const host::store::ThrowawayFolder folder("paper");
    if (folder.path().empty()) {
        return fault(Kind::unavailable, "paper: no temporary folder can be made; is the disk full?");
    }
    const auto root = TRY(Root::open_file(folder.path() / "root.key"));
    host::enclave::EnclaveOptions options;
    options.images = images;
    const auto enclave = TRY(Enclave::open(options, root)); // before the pinning: with one CPU it would not spin
    const Pinning pinning(enclave->facts().pid);
    const Place place{*enclave, pinning, effort};
    std::vector<PaperCase> cases;
    cases.push_back(TRY(measure_keys(place)));
    cases.back().bar = keys_bar;
    cases.push_back(TRY(measure_seals(place, "seal64", run)));
    cases.back().bar = seals_bar;
    cases.push_back(TRY(measure_seals(place, "seal64/requests", 1)));
    return cases;
}

std::string paper_text(const std::vector<PaperCase>& cases)
{
    std::array<char, 128> line{};
    std::string text = "chamber: platform process, development root; peer: libsodium in this process\n";
    std::snprintf(line.data(), line.size(), "%-16s %16s %16s %8s %8s\n", "case", "chamber, 1/s", "libsodium, 1/s",
                  "times", "bar");
    text += line.data();
    for (const auto& one : cases) {
        std::snprintf(line.data(), line.size(), "%-16s %16.0f %16.0f %8.1f", one.name.c_str(), one.ours, one.peer,
                      one.times());
        text += line.data();
        if (one.bar > 0) {
            std::snprintf(line.data(), line.size(), " %8.0f %s", one.bar, one.times() >= one.bar ? "met" : "MISSED");
            text += line.data();
        }
        text += "\n";
    }
    return text;
}

std::string paper_json(const std::vector<PaperCase>& cases)
{
    std::string text = R"({"bench": "paper", "machine": {"platform": "process", "root": "file"}, "cases": [)";
    const char* separator = "";
    for (const auto& one : cases) {
        std::array<char, 256> line{};
        std::snprintf(line.data(), line.size(),
                      R"(%s{"name": "%s", "ours": %.0f, "peer": %.0f, "unit": "1/s", "ratio": %.3f, )"
                      R"("better": "higher")",
                      separator, one.name.c_str(), one.ours, one.peer, one.times());
        text += line.data();
        if (one.bar > 0) {
            std::snprintf(line.data(), line.size(), R"(, "bar": %.1f, "met": %s)", one.bar,
                          one.times() >= one.bar ? "true" : "false");
            text += line.data();
        }
        text += "}";
        separator = ", ";
    }
    return text + "]}";
}

} // namespace caisson::services::bench
