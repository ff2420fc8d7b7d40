// TpmRoot: a machine root that lives in a TPM: made once ("provisioned"), given back to whoever boots what it was
// sealed to, and able to prove what it is. What lies on disk (HOME/root/tpm.json) is useless without the TPM.
// Not safe for concurrent use. Spec: docs/spec/tpm.md.
#pragma once

#include "core/bytes.hpp"
#include "core/secret.hpp"
#include "host/fault.hpp"
#include "host/tpm/tpm_facts.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace caisson::host::tpm {

struct MachineRootTag;
using MachineRoot = Secret<32, MachineRootTag>;

// Firmware, its options, boot loader, secure boot: what a distribution's update of a program does not touch.
inline constexpr std::uint32_t default_pcr_mask = 1U << 0U | 1U << 2U | 1U << 4U | 1U << 7U;
inline constexpr std::uint32_t pcr_mask_max = (1U << 24U) - 1;

struct Provision {
    TpmAddress tpm;
    std::filesystem::path owner;               // the owner's secret; made there if the TPM has none yet
    std::uint32_t pcr_mask = default_pcr_mask; // what the root is sealed to
    std::string signer_pem;                    // not empty: whose approvals release it, instead of the PCRs of now
    std::optional<Digest> approved_register{}; // the value of the register that is part of what it is sealed to
};

// What is public about a root.
struct TpmRootFacts {
    std::string address;
    std::uint32_t pcr_mask = 0;
    bool is_signed = false;
    bool has_approval = false;
    bool binds_register = false;
    std::vector<std::uint8_t> ak_public; // TPMT_PUBLIC
    std::vector<std::uint8_t> ak_name;
    TpmFacts tpm;
};

// An attestation: what the PCRs and the register hold, signed by the AK over `extra`.
struct Attestation {
    std::vector<std::uint8_t> quote;
    std::vector<std::uint8_t> quote_signature;
    std::uint32_t pcr_mask = 0;
    std::vector<Digest> pcrs;
    std::uint32_t register_index = 0;
    std::vector<std::uint8_t> certified; // the register
    std::vector<std::uint8_t> certified_signature;
};

struct EndorsementOffer {
    std::vector<std::uint8_t> certificate; // DER; empty: the TPM has none
    std::vector<std::uint8_t> ek_public;   // TPMT_PUBLIC
    std::vector<std::uint8_t> ak_public;   // TPMT_PUBLIC
};

// The rollback counters of a home: one for each chamber that keeps things on disk.
enum class CounterOf : std::uint8_t { curve = 0, witness = 1 };
inline constexpr std::size_t counters_count = 2;

class TpmRoot {
  public:
    // Is there one in this home?
    static bool is_in(const std::filesystem::path& home);

    // Makes keys, register, counters and a new machine root. Says what it changed in the TPM by `owner`'s file.
    // Fails: conflict (the home has a root), forbidden (the TPM has an owner and this is not his secret), missing,
    // unavailable, malformed (the signer's key).
    static Outcome<TpmRoot> provision(const std::filesystem::path& home, const Provision& wish);

    // What kind of root is in this home, without asking the TPM: for screens.
    static Outcome<bool> is_simulated(const std::filesystem::path& home);

    // Finds TPM and pinned keys. Fails: missing (no root, no TPM), unauthentic (another TPM), malformed, unavailable.
    static Outcome<TpmRoot> open(const std::filesystem::path& home,
                                 std::chrono::milliseconds deadline = TpmAddress().deadline);

    TpmRoot(TpmRoot&&) noexcept;
    TpmRoot& operator=(TpmRoot&&) noexcept;
    ~TpmRoot();

    // Fails: unacceptable (PCRs, register, approval), unauthentic.
    [[nodiscard]] Outcome<MachineRoot> unseal();

    // Seals the root to what this machine is now, with the owner's secret in `owner`. Nothing sealed under it changes.
    // Fails: forbidden (a wrong secret), exhausted (lockout).
    [[nodiscard]] Done reseal(const std::filesystem::path& owner, std::optional<std::uint32_t> pcr_mask);

    // Fails: forbidden (it is not the owner's secret), exhausted (lockout).
    [[nodiscard]] Done expect_owner(const std::filesystem::path& owner);

    // The policy that the PCRs of now make; what a signer approves.
    [[nodiscard]] Outcome<Digest> policy_of_now();
    // Takes in a signer's approval, if it releases the root here and now; otherwise nothing changes.
    [[nodiscard]] Done accept_approval(const Digest& policy, Bytes signature);

    // [TPM-8] Extends the register by those of `images` that are not in it since the TPM started, in this order.
    // Returns all that are in it. Fails: conflict (somebody extended it with something else).
    [[nodiscard]] Outcome<std::vector<Digest>> register_images(std::span<const Digest> images);

    [[nodiscard]] Outcome<std::uint64_t> counter(CounterOf of, const MachineRoot& root);
    [[nodiscard]] Done raise_counter(CounterOf of, const MachineRoot& root);

    [[nodiscard]] Outcome<Attestation> attest(const Digest& extra);
    [[nodiscard]] Outcome<EndorsementOffer> endorsement();
    [[nodiscard]] Outcome<std::vector<std::uint8_t>> activate(Bytes id_object, Bytes encrypted_secret);

    [[nodiscard]] Outcome<TpmRootFacts> facts();

  private:
    struct Inside;
    explicit TpmRoot(std::unique_ptr<Inside> inside) noexcept;
    std::unique_ptr<Inside> inside_;
};

// What the register holds once these were started, in this order.
[[nodiscard]] Digest register_of(std::span<const Digest> images) noexcept;

// A new owner's secret in `path`, or the one that is there. Fails: malformed (no 64 hexadecimal digits).
[[nodiscard]] Outcome<std::vector<std::uint8_t>> provide_owner_secret(const std::filesystem::path& path);
[[nodiscard]] Outcome<std::vector<std::uint8_t>> load_owner_secret(const std::filesystem::path& path);

} // namespace caisson::host::tpm
