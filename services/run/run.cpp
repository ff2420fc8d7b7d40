#include "services/run/run.hpp"

#include "airlock/ring_place.hpp"
#include "host/net/trust_feeder.hpp"
#include "services/run/key_chamber.hpp"
#include "services/run/program.hpp"

#include <cstdlib>

#include <unistd.h>

namespace caisson::services::run {
namespace {

using host::Done;
using host::Fault;
using host::fault;
using host::Outcome;
using host::net::FedKey;
using host::net::TrustFeeder;
using host::store::KeyRecord;
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

// The gated keys among them are what the agent has to hear of.
Outcome<std::vector<FedKey>> load_keys(const RunOptions& options, KeyChamber& chamber)
{
    const KeyStore store(options.home);
    std::vector<FedKey> gated;
    for (const auto& name : TRY(wanted_keys(options, store))) {
        const auto record = TRY(store.load(name));
        const auto id = TRY(chamber.load(record));
        if (record.gated) {
            gated.push_back({id, record.public_key});
        }
    }
    return gated;
}

std::unique_ptr<TrustFeeder> start_feeder(const RunOptions& options, KeyChamber& chamber, std::vector<FedKey> gated)
{
    const auto socket = options.home / "agent" / "agent.sock";
    if (gated.empty()) {
        return nullptr;
    }
    if (std::error_code error; !std::filesystem::exists(socket, error)) {
        options.warn({Kind::unavailable, "run: no agent at " + socket.string() +
                                             ": gated keys admit nobody until it runs; start \"caisson agent run\""});
    }
    auto feeder = std::make_unique<TrustFeeder>(chamber.enclave(), socket, std::move(gated));
    feeder->wait_until_fed(first_token_wait);
    return feeder;
}

Program program_of(const RunOptions& options, const std::filesystem::path& shim, int ring_fd)
{
    const char* others = std::getenv("LD_PRELOAD");
    const bool has_others = others != nullptr && *others != '\0';
    return {options.program,
            {{"LD_PRELOAD", shim.string() + (has_others ? ":" + std::string(others) : "")},
             {airlock::ring_fd_variable, std::to_string(ring_fd)},
             {airlock::run_pid_variable, std::to_string(::getpid())}},
            ring_fd};
}

} // namespace

Outcome<int> run(const RunOptions& options)
{
    const SignalGuard guard; // before any thread: all of them inherit it
    const auto shim = TRY(find_shim());
    auto chamber = TRY(KeyChamber::open(options.home));
    auto gated = TRY(load_keys(options, chamber));
    const auto feeder = start_feeder(options, chamber, std::move(gated));

    bool told = false;
    const auto look = [&] {
        if (!told && !chamber.enclave().alive()) {
            told = true;
            options.warn({Kind::unavailable, "run: the chamber has ended: the program's CURVE calls fail from here on; "
                                             "restart it"});
        }
    };
    const auto status = run_program(program_of(options, shim, chamber.enclave().ring_fd()), guard, look);
    if (status) {
        return *status;
    }
    options.warn(status.error()); // [SHIM-9]
    return status.error().kind == Kind::missing ? exit_not_found : exit_not_executable;
}

} // namespace caisson::services::run
