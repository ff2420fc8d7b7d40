#include "services/run/run.hpp"

#include "airlock/ring_place.hpp"
#include "host/enclave/platform_text.hpp"
#include "host/enclave/root.hpp"
#include "host/enclave/supervisor.hpp"
#include "host/net/trust_feeder.hpp"
#include "host/vm/copy_watch.hpp"
#include "services/run/key_chamber.hpp"
#include "services/run/program.hpp"
#include "services/run/reach.hpp"

#include <algorithm>
#include <cstdlib>

#include <sys/mman.h>
#include <unistd.h>

namespace caisson::services::run {
namespace {

using host::fault;
using host::Outcome;
using host::net::FedKey;
using host::net::TrustFeeder;
using host::store::KeyStore;

constexpr int exit_not_executable = 126;
constexpr int exit_not_found = 127;
constexpr std::chrono::milliseconds first_token_wait{1000};

Outcome<std::filesystem::path> find_shim()
{
    auto path = host::enclave::find_images() / "libcaisson-shim.so";
    if (::access(path.c_str(), R_OK) != 0) {
        return fault(Kind::missing, "run: " + path.string() +
                                        ": no such file; install caisson again, or set "
                                        "CAISSON_IMAGES to the folder of its images");
    }
    path = std::filesystem::absolute(path).lexically_normal();
    if (path.string().find_first_of(" :") != std::string::npos) {
        return fault(Kind::unacceptable, "run: " + path.string() +
                                             ": LD_PRELOAD cannot hold a path with a space or "
                                             "colon; install caisson elsewhere");
    }
    return path;
}

Outcome<std::vector<std::string>> wanted_keys(const RunOptions& options, const KeyStore& store)
{
    auto names = options.keys.empty() ? TRY(store.names()) : options.keys;
    if (names.empty()) {
        return fault(Kind::missing, "run: there is no key in " + options.home.string() +
                                        "; make one with \"caisson key new NAME\", or give another --home");
    }
    return names;
}

struct LoadedKeys {
    std::vector<FedKey> for_agent; // what the agent is told of: all that fit, the gated ones first
    bool has_gated = false;
    bool has_listed = false;
};

Outcome<LoadedKeys> load_keys(const RunOptions& options, KeyChamber& chamber)
{
    const KeyStore store(options.home);
    LoadedKeys loaded;
    for (const auto& name : TRY(wanted_keys(options, store))) {
        const auto record = TRY(store.load(name));
        const FedKey key{TRY(chamber.load(record)), record.public_key};
        loaded.for_agent.insert(record.gated ? loaded.for_agent.begin() : loaded.for_agent.end(), key);
        loaded.has_gated = loaded.has_gated || record.gated;
        loaded.has_listed = loaded.has_listed || record.listed;
    }
    loaded.for_agent.resize(std::min(loaded.for_agent.size(), protocol::curve_claims_max));
    return loaded;
}

// Through the agent the keys become this node's, so that gates elsewhere admit them; and gates here hear of
// peers. Waits for nothing: see wait_for_peers.
std::unique_ptr<TrustFeeder> start_feeder(const RunOptions& options, KeyChamber& chamber, LoadedKeys keys)
{
    const auto socket = options.home / "agent" / "agent.sock";
    std::error_code error;
    const bool has_agent = std::filesystem::exists(socket, error);
    if (!has_agent && !keys.has_gated) {
        return nullptr;
    }
    if (!has_agent) {
        options.warn({Kind::unavailable, "run: no agent at " + socket.string() +
                                             ": gated keys admit nobody until it runs; start \"caisson agent run\""});
    }
    auto feeder = std::make_unique<TrustFeeder>(chamber.enclave(), socket, std::move(keys.for_agent));
    for (const auto& peer : options.peers) {
        if (feeder->keep_peer(peer)) {
            feeder->want_peer(peer);
        }
    }
    return feeder;
}

// So that the program's first handshakes find open gates.
void wait_for_peers(const RunOptions& options, TrustFeeder& feeder)
{
    if (feeder.wait_until_fed(first_token_wait)) {
        for (const auto& peer : options.peers) {
            feeder.add_peer(peer);
        }
    }
}

// [SHIM-7] A chamber that was killed could not say so itself, and the program's calls would wait for it.
void say_stopped(int ring_fd)
{
    void* memory = ::mmap(nullptr, sizeof(airlock::Ring), PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, 0);
    if (memory != MAP_FAILED) {
        static_cast<airlock::Ring*>(memory)->stop.store(1, std::memory_order_release);
        ::munmap(memory, sizeof(airlock::Ring));
    }
}

// [SHIM-14] The file of the signed list, and when it was written last.
class AccessFile {
  public:
    AccessFile(std::filesystem::path path, KeyChamber& chamber)
        : path_(std::move(path))
        , chamber_(chamber)
    {
    }

    // Nothing when there is none, or it is as it was.
    host::Done take_if_new()
    {
        std::error_code error;
        const auto written = std::filesystem::last_write_time(path_, error);
        if (path_.empty() || (!error && written == taken_)) {
            return {};
        }
        taken_ = written;
        TRY(chamber_.take_access_list(path_));
        return {};
    }

    // Another chamber knows nothing of it.
    void forget() noexcept { taken_ = {}; }

  private:
    std::filesystem::path path_;
    KeyChamber& chamber_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    std::filesystem::file_time_type taken_{};
};

// Looks after what stands beside the program, and tells what goes wrong there, each thing once.
class Lookout {
  public:
    Lookout(const RunOptions& options, KeyChamber& chamber, AccessFile& list, std::unique_ptr<TrustFeeder> feeder)
        : options_(options)
        , chamber_(chamber)
        , list_(list)
        , feeder_(std::move(feeder))
        , supervisor_(
              chamber.enclave(), [this] { return host::enclave::Root::open(options_.home); },
              [this](host::enclave::Enclave& /*fresh*/) { return revive(); })
    {
    }

    void look()
    {
        mind_chamber();
        if (copy_watch_.stood_still(host::vm::read_clocks())) {
            const auto done = host::enclave::CurveChamber(chamber_.enclave()).new_epoch();
            options_.warn({Kind::expired, std::string("run: the clocks say that this machine stood still: it was "
                                                      "suspended, restored or moved; ") +
                                              (done ? "its CURVE sessions have ended" : done.error().what)});
        }
        if (const auto taken = list_.take_if_new(); !taken && lists_told_ < troubles_told_max) {
            ++lists_told_;
            options_.warn({taken.error().kind, "run: " + taken.error().what + "; the list before it stays in force"});
        }
        tell_new(feeder_ == nullptr ? std::string{} : feeder_->state().trouble, "run: the agent: ", agent_trouble_);
    }

  private:
    static constexpr int troubles_told_max = 10; // a program may run for months

    // [SHIM-15] One that has ended is known at once (SIGCHLD), one that hangs by asking it.
    void mind_chamber()
    {
        auto& enclave = chamber_.enclave();
        if (!can_restart()) {
            if (!chamber_told_ && !enclave.alive()) {
                chamber_told_ = true;
                say_stopped(enclave.ring_fd());
                options_.warn({Kind::unavailable,
                               "run: the chamber has ended: the program's CURVE calls fail from here "
                               "on; restart it"});
            }
            return;
        }
        static_cast<void>(host::enclave::CurveChamber(enclave).peer_state({}));
        const auto looked = supervisor_.look();
        tell_new(looked ? std::string{} : looked.error().what,
                 "run: the chamber cannot be started anew: ", chamber_trouble_);
        if (looked && *looked) {
            options_.warn({Kind::unavailable, "run: the chamber had ended and was started anew with the same keys; the "
                                              "program goes on, and its connections are made anew"});
        }
    }

    [[nodiscard]] bool can_restart() { return chamber_.enclave().facts().platform == protocol::sgx::Platform::process; }

    host::Done revive()
    {
        feeder_.reset(); // what it feeds are ids of before
        auto keys = TRY(load_keys(options_, chamber_));
        TRY(chamber_.load_handle_key(options_.home));
        list_.forget();
        feeder_ = start_feeder(options_, chamber_, std::move(keys));
        return {};
    }

    void tell_new(std::string trouble, const char* before, std::string& last)
    {
        if (!trouble.empty() && trouble != last && troubles_told_ < troubles_told_max) {
            ++troubles_told_;
            options_.warn({Kind::unavailable, before + trouble});
        }
        last = std::move(trouble);
    }

    const RunOptions& options_;
    KeyChamber& chamber_;
    AccessFile& list_;
    std::unique_ptr<TrustFeeder> feeder_;
    host::enclave::Supervisor supervisor_;
    bool chamber_told_ = false;
    int lists_told_ = 0;
    host::vm::CopyWatch copy_watch_{host::vm::read_clocks()};
    int troubles_told_ = 0;
    std::string agent_trouble_;
    std::string chamber_trouble_;
};

// [SHIM-11]
Program program_of(const RunOptions& options, const std::filesystem::path& shim, int ring_fd)
{
    const char* others = std::getenv("LD_PRELOAD");
    const bool has_others = others != nullptr && *others != '\0';
    Program program{options.program,
                    {{"LD_PRELOAD", shim.string() + (has_others ? ":" + std::string(others) : "")},
                     {airlock::ring_fd_variable, std::to_string(ring_fd)},
                     {airlock::run_pid_variable, std::to_string(::getpid())}},
                    ring_fd};
    if (options.allow_raw_keys) {
        program.environment[airlock::raw_keys_variable] = "1";
    }
    return program;
}

} // namespace

Outcome<int> run(const RunOptions& options)
{
    const SignalGuard guard; // before any thread: all of them inherit it
    const auto shim = TRY(find_shim());
    if (const auto why = why_unreachable(options.program.front()); !why.empty()) {
        options.warn({Kind::unacceptable, "run: " + why + "; use \"caisson gateway\" for it"});
    }
    if (options.allow_raw_keys) {
        options.warn({Kind::unacceptable,
                      "run: --allow-raw-keys: secrets that are no handles of the chamber stay in the program's memory, "
                      "and nothing is claimed for them"});
    }
    auto chamber = TRY(KeyChamber::open(options.home));
    auto keys = TRY(load_keys(options, chamber)); // first: a home under another root is told by the keys' names
    if (options.tell) {
        options.tell("run: keys on " + guard_text(guard_of(chamber.enclave().facts())));
    }
    TRY(chamber.load_handle_key(options.home));
    AccessFile list(options.access_list, chamber);
    TRY(list.take_if_new());
    if (keys.has_listed && options.access_list.empty()) {
        options.warn({Kind::missing, "run: a key here talks only with those that a signed list names, and there is no "
                                     "--access-list: it talks with nobody"});
    }
    auto feeder = start_feeder(options, chamber, std::move(keys));
    if (feeder != nullptr) {
        wait_for_peers(options, *feeder);
    }
    Lookout lookout(options, chamber, list, std::move(feeder));
    const auto look = [&] { lookout.look(); };
    const auto status = run_program(program_of(options, shim, chamber.enclave().ring_fd()), guard, look);
    if (status) {
        return *status;
    }
    options.warn(status.error()); // [SHIM-9]
    return status.error().kind == Kind::missing ? exit_not_found : exit_not_executable;
}

} // namespace caisson::services::run
