// The lock-down of the process that holds a chamber: what it gives up before the first entry, in order, for good.
// Each step says whether it took effect; a kernel that lacks one is reported, never worked around in silence.
#pragma once

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

    // Before anything else: die with the host, no core file, no inherited descriptors but the loader's four.
    void begin() noexcept;

    // The secret memory's descriptor (memfd_secret) of `size` bytes, or -1 where the kernel has none. `name` says what
    // it is for, in the report.
    [[nodiscard]] int secret_memory(const char* name, std::size_t size) noexcept;

    // After image and root are in: namespaces, no privileges, not dumpable, no new code, limits, Landlock, seccomp
    // last. A system call from [base, base + size) becomes a trap; outside only what the loader's loop needs is left.
    // Returns false when seccomp could not be had: without it the chamber must not start.
    [[nodiscard]] bool finish(std::uint64_t base, std::uint64_t size) noexcept;

    // Notes one step: `result` below 0 means errno says why not. True when it took effect.
    bool note(const char* name, long result) noexcept;

  private:
    // True when a test wants this step to fail; errno is set.
    [[nodiscard]] bool simulated_missing(const char* name) const noexcept;

    void leave_namespaces() noexcept;
    void drop_privileges() noexcept;
    void harden_memory() noexcept;
    void limit_resources() noexcept;
    void restrict_by_landlock() noexcept;
    [[nodiscard]] bool restrict_system_calls(std::uint64_t base, std::uint64_t size) noexcept;

    Report& report_;
    const StartFacts& facts_;
};

} // namespace caisson::host::enclave::loader
