// The binding of the platform `inproc`: any chamber, with the runtime of an image over the host's plain functions.
// Only here and where else tests and benches want it do trusted/ and host/ meet in one process.
#pragma once

#include "host/enclave/inproc_enclave.hpp"
#include "trusted/runtime/enclave_runtime.hpp"
#include "trusted/runtime/ring_server.hpp"

#include <sodium.h>

#include <optional>

namespace caisson::tests {

template <typename Chamber>
class InprocChamberOf final : public host::enclave::InprocChamber {
  public:
    Status start(airlock::Ring& ring, const host::enclave::InprocLeaves& leaves,
                 const airlock::EntryFacts& facts) noexcept override
    {
        if (sodium_init() < 0) {
            return fail(Kind::unavailable, "libsodium does not start");
        }
        trusted::Seed seed;
        copy_bytes(seed.expose(), facts.seed);
        TRY(runtime_.start({leaves.context, leaves.ereport, leaves.egetkey}, seed, nullptr));
        runtime_.set_counters({facts.counter_least, facts.counter_sealed});
        arena_ = trusted::Arena(leaves.arena, leaves.eaccept, leaves.context);
        if constexpr (std::is_constructible_v<Chamber, trusted::Runtime&, trusted::Arena&>) {
            chamber_ = std::make_unique<Chamber>(runtime_, arena_);
        } else {
            chamber_ = std::make_unique<Chamber>(runtime_);
        }
        server_.emplace(ring,
                        trusted::ChamberEntry{answer, chamber_.get(), input_, output_, trusted::group_requests_max},
                        facts.spin_budget_ticks);
        return {};
    }

    Pause serve() noexcept override
    {
        const auto pause = server_->serve();
        return {pause.reason, pause.doorbell};
    }

  private:
    // A chamber that takes groups gets them.
    static void answer(void* self, std::span<airlock::Exchange> group) noexcept
    {
        if constexpr (requires(Chamber& chamber) { chamber.answer(group); }) {
            static_cast<Chamber*>(self)->answer(group);
        } else {
            trusted::answer_each<Chamber>(self, group);
        }
    }

    trusted::EnclaveRuntime runtime_;
    trusted::Arena arena_;
    std::unique_ptr<Chamber> chamber_;
    std::vector<std::uint8_t> input_ = std::vector<std::uint8_t>(airlock::payload_bytes_max);
    std::vector<std::uint8_t> output_ = std::vector<std::uint8_t>(airlock::payload_bytes_max);
    std::optional<trusted::RingServer> server_;
};

} // namespace caisson::tests
