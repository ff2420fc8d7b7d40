// The Runtime of a chamber: randomness, sealing and reports over the two leaves that differ between platforms.
#pragma once

#include "trusted/runtime/random.hpp"
#include "trusted/runtime/runtime.hpp"

namespace caisson::trusted {

// EREPORT and EGETKEY: instructions in an image, plain functions of the host in `inproc` and in tests.
struct Leaves {
    void* context = nullptr;
    void (*ereport)(void* context, const protocol::sgx::TargetInfo& target, const protocol::sgx::ReportData& data,
                    protocol::sgx::Report& report) noexcept = nullptr;
    // True when the key was given.
    bool (*egetkey)(void* context, const protocol::sgx::KeyRequest& request, ByteArray<16>& key) noexcept = nullptr;
};

class EnclaveRuntime final : public Runtime {
  public:
    // Fails: unavailable (no source of randomness).
    [[nodiscard]] Status start(const Leaves& leaves, const Seed& seed, Random::HardwareSource hardware,
                               Random::HardwareSource rdseed = nullptr) noexcept;

    // Where the root counts: blobs sealed below `least` are an older copy, new ones are sealed at `sealed`.
    struct Counters {
        std::uint64_t least = 0;
        std::uint64_t sealed = 0;
    };
    void set_counters(const Counters& counters) noexcept { counters_ = counters; }

    void random(MutableBytes bytes) noexcept override { random_.fill(bytes); }
    [[nodiscard]] std::uint64_t ticks() noexcept override;
    [[nodiscard]] Result<std::size_t> seal(SealPolicy policy, Bytes context, Bytes secret,
                                           MutableBytes output) noexcept override;
    [[nodiscard]] Result<std::size_t> unseal(Bytes context, Bytes blob, MutableBytes output,
                                             OlderCopy older) noexcept override;
    [[nodiscard]] protocol::sgx::Report report(const protocol::sgx::TargetInfo& target,
                                               const protocol::sgx::ReportData& data) noexcept override;
    [[nodiscard]] Status verify_report(const protocol::sgx::Report& report) noexcept override;
    [[nodiscard]] protocol::sgx::TargetInfo own_target() noexcept override;

  private:
    // A REPORT for nobody: how a chamber learns what it is.
    [[nodiscard]] protocol::sgx::Report own_report() noexcept;

    Leaves leaves_;
    Random random_;
    Counters counters_;
};

} // namespace caisson::trusted
