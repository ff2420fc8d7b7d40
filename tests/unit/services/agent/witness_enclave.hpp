// The witness chamber in the test's own process, behind the host's view of an enclave.
#pragma once

#include "host/enclave/witness_chamber.hpp"
#include "tests/unit/trusted/witness/witness_runtime.hpp"
#include "trusted/witness/chamber.hpp"

#include <atomic>
#include <memory>
#include <mutex>

namespace caisson::services::agent {

class WitnessEnclave final : public host::enclave::Enclave {
  public:
    explicit WitnessEnclave(std::uint8_t seed = 1)
        : runtime_(seed)
        , chamber_(std::make_unique<trusted::witness::Chamber>(runtime_))
    {
    }
    Result<std::size_t> call(std::uint32_t request, Bytes input, MutableBytes output) override
    {
        const std::lock_guard lock(mutex_);
        if (ended) {
            return fail(Kind::unavailable, "the chamber has ended");
        }
        const auto answer = chamber_->answer(request, input, output);
        if (answer.refusal != airlock::Refusal::none) {
            return fail(Kind::forbidden, "refused at the door");
        }
        return answer.result;
    }
    void call_many(std::span<Call> /*calls*/) override {}
    Flight submit(std::span<Call> /*calls*/) override { return {}; }
    void reap(const Flight& /*flight*/) override {}
    [[nodiscard]] const host::enclave::EnclaveFacts& facts() const noexcept override { return facts_; }
    [[nodiscard]] bool alive() noexcept override { return !ended; }
    [[nodiscard]] int ring_fd() const noexcept override { return -1; }

    // A CURVE chamber's report on this machine, addressed to the witness.
    Bytes report_over(const protocol::CurveKey& key)
    {
        trusted::witness::WitnessRuntime curve(7, 0, 0xc1);
        report_ = curve.report(runtime_.own_target(), protocol::curve_key_report_data(key));
        return {reinterpret_cast<const std::uint8_t*>(&report_), sizeof report_};
    }

    std::atomic<bool> ended = false;

  private:
    std::mutex mutex_;
    trusted::witness::WitnessRuntime runtime_;
    std::unique_ptr<trusted::witness::Chamber> chamber_;
    host::enclave::EnclaveFacts facts_;
    protocol::sgx::Report report_{};
};

} // namespace caisson::services::agent
