#include "services/agent/relay.hpp"

#include <algorithm>

namespace caisson::services::agent {

namespace link = protocol::verifier_link;
using host::Done;
using host::fault;
using host::Outcome;

Done Relay::connect()
{
    if (verifier_) {
        return {};
    }
    const auto now = AgentState::Clock::now();
    if (now < next_try_) {
        return fault(Kind::unavailable, "the attestation server is away");
    }
    const auto connected = [this]() -> Done {
        auto verifier = TRY(connect_());
        TRY(say_hello(*verifier, witness_, tls_spki_sha256_, prover_, limits_.answer_wait));
        verifier_ = std::move(verifier);
        return {};
    }();
    retry_ = connected ? std::chrono::milliseconds(0) : std::clamp(retry_ * 2, limits_.retry_min, limits_.retry_max);
    next_try_ = AgentState::Clock::now() + retry_;
    return connected;
}

Outcome<RelayedTime> Relay::time(const link::Time& request)
{
    const std::lock_guard lock(mutex_);
    TRY(connect());
    const auto answer = ask_for<link::TimeAnswer>(*verifier_, request, limits_.answer_wait);
    if (!answer) {
        if (!verifier_->usable()) {
            verifier_.reset();
        }
        return std::unexpected(answer.error());
    }
    RelayedTime relayed;
    relayed.token.assign(answer->token.begin(), answer->token.end());
    for (std::size_t index = 0; index < answer->result_count; ++index) {
        const auto result = answer->results[index];
        relayed.results.emplace_back(result.begin(), result.end());
    }
    return relayed;
}

} // namespace caisson::services::agent
