// The lock-down of the process that holds a chamber: what it gives up before the first entry, in order, for good.
// Each step says whether it took effect; a kernel that lacks one is reported, never worked around in silence.
#pragma once

#include "host/enclave/loader/guard.hpp"
#include "host/enclave/loader/report.hpp"

namespace caisson::host::enclave::loader {

class Lockdown {
  public:
    // `report` takes the steps; `facts` may name a step that a test wants to see missing.
    Lockdown(Report& report, const StartFacts& facts) noexcept
        : report_(report)
        , facts_(facts)
    {
    }

    // In this order. What it holds of secrets comes between `withdraw` and `finish`, threads too.

    // Before anything else: die with the host, no core file, no inherited descriptors but the loader's four; and the
    // guard that traces this process is made, to be there at `withdraw`.
    void begin() noexcept;

    // The secret memory's descriptor (memfd_secret) of `size` bytes, or -1 where the kernel has none. `name` says what
    // it is for, in the report. Before `withdraw`: in a user namespace of its own not even root may lock more memory
    // than RLIMIT_MEMLOCK.
    [[nodiscard]] int secret_memory(const char* name, std::size_t size) noexcept;

    // How much of the arena there shall be at most: less when a test wants that step to be missing.
    [[nodiscard]] std::size_t arena_bytes_wanted() const noexcept;
    // Notes whether all of it could be had.
    void note_arena(std::size_t bytes) noexcept;

    // The guard holds, namespaces of its own, no privileges, not dumpable: from here on nobody of the same user may
    // look in.
    void withdraw() noexcept;

    // No new code, side channels, limits (no thread can be made any more), Landlock, seccomp last. A system call from
    // [base, base + size) becomes a trap; outside only what the loader's loop needs is left.
    // Returns false when seccomp could not be had: without it the chamber must not start.
    [[nodiscard]] bool finish(std::uint64_t base, std::uint64_t size) noexcept;

    // After `finish` returned false: the step for which a chamber does not start. Null when both took effect.
    [[nodiscard]] const Step* indispensable_that_failed() const noexcept;

    // Notes one step: `result` below 0 means errno says why not. True when it took effect.
    bool note(const char* name, long result) noexcept;

  private:
    // Takes one step and notes it; one that a test wants to be missing is not taken.
    template <typename Action>
    bool step(const char* name, Action action) noexcept
    {
        return note(name, simulated_missing(name) ? -1 : static_cast<long>(action()));
    }
    // True when a test wants this step to fail; errno is set.
    [[nodiscard]] bool simulated_missing(const char* name) const noexcept;

    void leave_namespaces() noexcept;
    void drop_privileges() noexcept;
    void harden_memory() noexcept;
    void close_side_channels() noexcept;
    void limit_resources() noexcept;
    void restrict_by_landlock() noexcept;
    [[nodiscard]] bool restrict_system_calls(std::uint64_t base, std::uint64_t size) noexcept;

    Report& report_;
    const StartFacts& facts_;
    Guard guard_;
};

} // namespace caisson::host::enclave::loader
