// Root: what a machine's sealing keys and reports stand on: a TPM, or a file, which is for development and says so
// everywhere. A chamber's process gets keys derived for its image, never the root.
#pragma once

#include "core/secret.hpp"
#include "host/fault.hpp"
#include "protocol/sgx.hpp"

#include <array>
#include <filesystem>

namespace caisson::host::enclave {

enum class ChamberKind : std::uint8_t; // host/enclave/enclave.hpp
struct EnclaveOptions;

// [SEAL-5] What a chamber is told of its root's counter: blobs sealed below `least` are an older copy, new ones are
// sealed at `sealed`. Zeros: the root has none.
struct RollbackCounters {
    std::uint64_t least = 0;
    std::uint64_t sealed = 0;
};

struct PlatformKeyTag;
using PlatformKey = Secret<32, PlatformKeyTag>;

// Keys for one image on one platform; the machine root itself never leaves Root.
struct PlatformKeys {
    PlatformKey seal_enclave; // bound to platform and MRENCLAVE
    PlatformKey seal_signer;  // bound to platform, MRSIGNER and product id
    PlatformKey report;       // one per machine and platform: local attestation

    // For the hand-over to the loader. Requires: the copies are wiped by the caller.
    void copy_to(MutableBytes to_enclave, MutableBytes to_signer, MutableBytes to_report) const noexcept;
};

class Root {
  public:
    // The root of a home: a TPM's if one was made there (`caisson root init`), else the file root.key.
    // Fails: as open_file and tpm::TpmRoot; conflict (there are both).
    static Outcome<Root> open(const std::filesystem::path& home);

    // What `open` will give, without asking a TPM. Fails: malformed.
    static Outcome<protocol::sgx::RootKind> kind_of(const std::filesystem::path& home);

    // Loads the root at `path` (mode 0600, 32 bytes), or makes one there if the file does not exist.
    // Fails: malformed (size), forbidden (mode or owner), unavailable (the disk).
    static Outcome<Root> open_file(const std::filesystem::path& path);

    [[nodiscard]] PlatformKeys keys_for(protocol::sgx::Platform platform, const Digest& mrenclave,
                                        const Digest& mrsigner, std::uint16_t product) const;
    // The rollback counter of that chamber's blobs as it was when this was opened; 0: the root has none.
    [[nodiscard]] std::uint64_t counter(ChamberKind chamber) const noexcept;
    [[nodiscard]] RollbackCounters counters_for(const EnclaveOptions& options) const noexcept;

    // [TPM-13] From now on what that chamber sealed at `from` or before is an older copy. Nothing happens where the
    // root has no counters. Fails: conflict (it does not stand at `from`: somebody else has raised it).
    static Done raise_counter(const std::filesystem::path& home, ChamberKind chamber, std::uint64_t from);

    [[nodiscard]] protocol::sgx::RootKind kind() const noexcept { return kind_; }

  private:
    Root() = default;
    protocol::sgx::RootKind kind_ = protocol::sgx::RootKind::file;
    PlatformKey root_;
    std::array<std::uint64_t, 2> counters_{}; // curve, witness
};

} // namespace caisson::host::enclave
