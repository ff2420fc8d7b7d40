#include "services/agent/run.hpp"

#include "host/enclave/platform_text.hpp"
#include "host/enclave/root.hpp"
#include "host/enclave/supervisor.hpp"
#include "host/net/tls_key.hpp"
#include "services/agent/home.hpp"
#include "services/agent/join.hpp"
#include "services/agent/log.hpp"
#include "services/agent/node_link_server.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace caisson::services::agent {
namespace {

using host::Done;
using host::fault;

constexpr std::chrono::milliseconds connect_wait{5'000};
constexpr std::chrono::milliseconds relay_connect_wait{1'000};

// Signals become bytes in a pipe: a handler may do no more. Handlers, not a mask: a mask would be inherited by the
// chamber's process.
std::array<int, 2> signal_pipe{-1, -1};

void on_signal(int number)
{
    const int saved = errno;
    const auto byte = static_cast<char>(number);
    [[maybe_unused]] const auto count = ::write(signal_pipe[1], &byte, 1);
    errno = saved;
}

// Carries signals to the state while it lives.
class Signals {
  public:
    explicit Signals(AgentState& state)
        : state_(state)
    {
    }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;
    ~Signals()
    {
        if (!thread_.joinable()) {
            return;
        }
        on_signal(0);
        thread_.join();
    }

    Done start()
    {
        if (::pipe2(signal_pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
            return std::unexpected(host::system_fault("agent: making a pipe", errno));
        }
        struct sigaction action{};
        action.sa_handler = on_signal;
        action.sa_flags = SA_RESTART;
        for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
            ::sigaction(number, &action, nullptr);
        }
        thread_ = std::thread([this] { carry(); });
        return {};
    }

  private:
    void carry()
    {
        while (true) {
            pollfd descriptor{signal_pipe[0], POLLIN, 0};
            char byte = 0;
            if (::poll(&descriptor, 1, -1) <= 0 || ::read(signal_pipe[0], &byte, 1) != 1) {
                continue;
            }
            if (byte == 0) {
                return;
            }
            if (byte == SIGHUP) {
                state_.measure_now();
            } else {
                state_.stop();
            }
        }
    }

    AgentState& state_;
    std::thread thread_;
};

// Wakes the session when the chamber has ended: it may sleep for an hour until the next round.
class ChamberWatch {
  public:
    ChamberWatch(host::enclave::Enclave& enclave, AgentState& state)
        : thread_([this, &enclave, &state] { watch(enclave, state); })
    {
    }
    ~ChamberWatch()
    {
        ended_ = true;
        thread_.join();
    }
    ChamberWatch(const ChamberWatch&) = delete;
    ChamberWatch& operator=(const ChamberWatch&) = delete;

  private:
    void watch(host::enclave::Enclave& enclave, AgentState& state)
    {
        constexpr std::chrono::milliseconds between_looks{50};
        while (!ended_) {
            if (!enclave.alive()) {
                state.measure_now();
            }
            std::this_thread::sleep_for(between_looks);
        }
    }

    std::atomic<bool> ended_ = false;
    std::thread thread_;
};

Done load_identity(host::enclave::WitnessChamber& witness, const std::filesystem::path& home, Bytes sealed)
{
    const auto identity = witness.load_identity(sealed);
    if (!identity && identity.error().kind == Kind::unacceptable) {
        return fault(Kind::unacceptable, "agent: " + (agent_folder(home) / "identity.sealed").string() +
                                             ": is of an older copy of this home than the counter in the TPM permits: "
                                             "the node has joined again since; put the current files back, or remove "
                                             "the folder and join again");
    }
    if (!identity) {
        return fault(identity.error().kind, "agent: " + (agent_folder(home) / "identity.sealed").string() + ": " +
                                                identity.error().what +
                                                "; it opens only on the machine and under the root that sealed it");
    }
    return {};
}

void tell_chamber(const host::enclave::EnclaveFacts& facts, AgentState& state)
{
    log_line("witness chamber on " + guard_text(guard_of(facts)) +
             (facts.note.hardening != 0 ? ", hardened against speculation" : ""));
    std::vector<std::string> missing;
    for (const auto& protection : facts.protections) {
        if (!protection.active) {
            missing.push_back(protection.name + ": " + protection.reason);
            log_line("without protection " + missing.back());
        }
    }
    state.change([&missing](AgentState::View& view) { view.missing = missing; });
}

} // namespace

Done run(const std::filesystem::path& home)
{
    const auto joined = TRY(load_joined(home));
    const auto spki = TRY(host::net::spki_sha256_of_key(joined.credentials.key_pem));
    const auto open_root = [&home] { return host::enclave::Root::open(home); };
    const auto root = TRY(open_root());
    AgentState state;
    Signals signals(state);
    TRY(signals.start());

    host::enclave::EnclaveOptions options;
    options.chamber = host::enclave::ChamberKind::witness;
    options.platform = joined.platform;
    const auto enclave = TRY(host::enclave::Enclave::open(options, root));
    tell_chamber(enclave->facts(), state);
    host::enclave::WitnessChamber witness(*enclave);
    const auto load = [&] { return load_identity(witness, home, joined.sealed_identity); };
    TRY(load());
    const auto connect_within = [&joined](std::chrono::milliseconds wait) -> ConnectVerifier {
        return [&joined, wait] { return connect_verifier(joined.server, joined.credentials, wait); };
    };
    const auto prover = prover_on(joined.platform, home);
    Relay relay(witness, spki, connect_within(relay_connect_wait), {}, prover.get());
    const auto serve_node = [&] {
        return NodeLinkServer::start(agent_folder(home), joined.server, witness, relay, state);
    };
    auto node_link = TRY(serve_node());
    log_line("serving " + (agent_folder(home) / "agent.sock").string());
    Session session(witness, spki, connect_within(connect_wait), state, {}, "/proc", prover.get());
    host::enclave::Supervisor supervisor(*enclave, open_root, [&](host::enclave::Enclave&) { return load(); });
    session.revive_with([&]() -> Done {
        if (TRY(supervisor.look())) {
            log_line("the witness chamber had ended; it was started anew with the same identity");
            node_link.reset(); // who had keys vouched for comes again: the new witness knows of none
            node_link = TRY(serve_node());
        }
        return {};
    });
    const ChamberWatch watch(*enclave, state);
    const auto done = session.run();
    log_line("stopped");
    return done;
}

} // namespace caisson::services::agent
