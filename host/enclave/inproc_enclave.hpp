// The platform `inproc`: a chamber on a thread of this very process, behind the same ring. It guards nothing and is for
// tests and benches alone: `Enclave::open` never gives one, and the program does not link it.
#pragma once

#include "airlock/arena.hpp"
#include "airlock/entry.hpp"
#include "airlock/ring.hpp"
#include "host/enclave/enclave.hpp"

namespace caisson::host::enclave {

// What ENCLU would answer an image, as plain functions.
struct InprocLeaves {
    void* context = nullptr;
    void (*ereport)(void* context, const protocol::sgx::TargetInfo& target, const protocol::sgx::ReportData& data,
                    protocol::sgx::Report& report) noexcept = nullptr;
    bool (*egetkey)(void* context, const protocol::sgx::KeyRequest& request, ByteArray<16>& key) noexcept = nullptr;
    // EACCEPT of a page of the arena, which is no memory before.
    bool (*eaccept)(void* context, std::uint8_t* page) noexcept = nullptr;
    MutableBytes arena;
};

// A chamber with its runtime and its end of the ring. Who implements it sees both sides, which host/ may not:
// tests/support/inproc_chamber.hpp. Both functions are called by the chamber's one thread alone.
class InprocChamber {
  public:
    struct Pause {
        airlock::ExitReason reason = airlock::ExitReason::idle;
        std::uint32_t doorbell = 0; // for idle: the value to wait on
    };

    InprocChamber() = default;
    virtual ~InprocChamber() = default;
    InprocChamber(const InprocChamber&) = delete;
    InprocChamber& operator=(const InprocChamber&) = delete;

    // The first entry of an image. All arguments outlive the chamber. Fails: unavailable (no seed).
    [[nodiscard]] virtual Status start(airlock::Ring& ring, const InprocLeaves& leaves,
                                       const airlock::EntryFacts& facts) noexcept = 0;
    // Each entry: until there is nothing to do. Requires: start succeeded.
    [[nodiscard]] virtual Pause serve() noexcept = 0;
};

struct InprocOptions {
    ByteArray<64> seed{}; // the chamber's only source of randomness: the same seed, the same keys
    // What it claims to be in its reports and to have its sealing keys from. The CPUSVN says `inproc`, whatever this
    // is.
    Digest mrenclave{};
    Digest mrsigner{};
    std::uint16_t product = 0;
    std::uint16_t svn = 1;
    std::size_t arena_bytes = airlock::arena_bytes; // how much of the arena there is memory for
};

// Requires: each request of the chamber returns (a thread cannot be killed, as a process can).
// Fails: unavailable (no seed, no memory, no thread).
[[nodiscard]] Outcome<std::unique_ptr<Enclave>> open_inproc_enclave(std::unique_ptr<InprocChamber> chamber,
                                                                    const InprocOptions& options, const Root& root);

} // namespace caisson::host::enclave
