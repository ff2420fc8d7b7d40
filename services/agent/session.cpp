#include "services/agent/session.hpp"

#include "services/agent/log.hpp"

#include <algorithm>
#include <random>

namespace caisson::services::agent {
namespace {

namespace link = protocol::verifier_link;
using host::Done;
using host::Outcome;
using std::chrono::milliseconds;

// The server's wish, bounded: a wrong figure must neither spin nor put us to sleep for good.
constexpr milliseconds round_min{50};
constexpr milliseconds round_max{3'600'000};

// Up to a tenth earlier, so that nodes that started together do not knock together and nobody is late.
milliseconds with_jitter(milliseconds interval)
{
    static thread_local std::minstd_rand random(std::random_device{}());
    const auto tenth = interval.count() / 10;
    return interval - milliseconds(std::uniform_int_distribution<std::int64_t>(0, tenth)(random));
}

} // namespace

Outcome<link::Welcome> say_hello(Verifier& verifier, host::enclave::WitnessChamber& witness,
                                 const Digest& tls_spki_sha256, RootProver* prover, milliseconds wait)
{
    const auto evidence = TRY(witness.evidence(tls_spki_sha256, verifier.exporter(), {}));
    const auto root = TRY(proof_for(prover, witness, evidence));
    return ask_for<link::Welcome>(verifier, link::Hello{evidence, root}, wait);
}

Done Session::connect()
{
    if (verifier_) {
        return {};
    }
    auto verifier = TRY(connect_());
    const auto welcome = TRY(say_hello(*verifier, witness_, tls_spki_sha256_, prover_, limits_.answer_wait));
    const std::string node(welcome.node);
    log_line("connected as " + node + ", measured every " + std::to_string(welcome.interval_ms) + " ms");
    state_.change([&node](AgentState::View& view) {
        view.node = node;
        view.connected = true;
    });
    verifier_ = std::move(verifier);
    return {};
}

Outcome<milliseconds> Session::round()
{
    const auto policy = TRY(ask_for<link::Policy>(*verifier_, link::PolicyRequest{}, limits_.answer_wait));
    const auto measured = TRY(measurer_.measure(policy.sealed, verifier_->exporter()));
    const auto verdict =
        TRY(ask_for<link::Verdict>(*verifier_, link::Result{measured.sealed_result}, limits_.answer_wait));
    note(verdict, measured);
    const milliseconds next(std::min<std::uint64_t>(verdict.next_in_ms, round_max.count()));
    return with_jitter(std::max(next, round_min));
}

void Session::note(const link::Verdict& verdict, const MeasuredRound& measured)
{
    std::vector<std::string> reasons;
    for (std::size_t index = 0; index < verdict.reason_count; ++index) {
        reasons.emplace_back(verdict.reasons[index]);
    }
    const auto before = state_.view();
    // A steady state is not told again and again.
    if (!before.judged || before.tier != verdict.tier || before.reasons != reasons) {
        log_line(std::string("verdict: ") + protocol::trust_tier_name(verdict.tier) + ", " +
                 std::to_string(measured.measured) + " things read, " + std::to_string(measured.failed) +
                 " unreadable");
        for (const auto& reason : reasons) {
            log_line("  " + reason);
        }
    }
    state_.change([&](AgentState::View& view) {
        view.judged = true;
        view.tier = verdict.tier;
        view.reasons = std::move(reasons);
        view.judged_at = AgentState::Clock::now();
        ++view.rounds;
    });
}

Done Session::run()
{
    auto retry = limits_.retry_min;
    std::string told;
    while (!state_.stopping()) {
        auto outcome = connect();
        Outcome<milliseconds> next = milliseconds(0);
        if (outcome) {
            next = round();
            outcome = next ? Done{} : Done(std::unexpected(next.error()));
        }
        if (outcome) {
            retry = limits_.retry_min;
            told.clear();
            state_.sleep_until(AgentState::Clock::now() + *next);
            continue;
        }
        if (state_.stopping()) {
            break;
        }
        if (!witness_.alive()) {
            if (!revive_) {
                return host::fault(Kind::unavailable, "agent: the witness chamber has ended; start the agent again");
            }
            if (const auto revived = revive_(); !revived) {
                outcome = std::unexpected(revived.error());
            }
        }
        if (told != outcome.error().what) {
            told = outcome.error().what;
            log_line(told);
        }
        // After any failure a new connection: what the server thinks of the old one is not worth guessing.
        verifier_.reset();
        state_.change([](AgentState::View& view) { view.connected = false; });
        state_.sleep_until(AgentState::Clock::now() + with_jitter(retry));
        retry = std::min(retry * 2, limits_.retry_max);
    }
    return {};
}

} // namespace caisson::services::agent
