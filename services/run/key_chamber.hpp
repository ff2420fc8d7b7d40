// KeyChamber: the curve chamber of a home, opened to make, take in and lend CURVE keys.
#pragma once

#include "host/enclave/curve_chamber.hpp"
#include "host/store/folder_lock.hpp"
#include "host/store/key_store.hpp"

#include <filesystem>
#include <memory>
#include <optional>

namespace caisson::services::run {

// The attestation server whose word a key waits for; none: any peer with a right CURVE key gets in.
using Gate = std::optional<host::store::VerifierKey>;

// What a new key pins, for good.
struct Pins {
    Gate gate;
    Gate list; // whose signed access list must name a peer; none: it has no list
};

class KeyChamber {
  public:
    // Makes the home and its root if they are not there.
    static host::Outcome<KeyChamber> open(const std::filesystem::path& home);

    // [TPM-19] To change which keys there are, one process at a time: open_to_change, carry_over, the change, conclude.
    // Where the root counts, every older copy of the keys is refused from then on; a crash before the end leaves every
    // key usable. Where it does not, the first is `open` and the others do nothing.
    static host::Outcome<KeyChamber> open_to_change(const std::filesystem::path& home);

    // Seals all keys of the store for the next value of the counter. Fails: unacceptable (one is of an older copy),
    // unauthentic; then nothing is lost and the counter stays.
    [[nodiscard]] host::Done carry_over(const host::store::KeyStore& store);

    // Raises the counter. Requires: what was made since open_to_change is stored.
    [[nodiscard]] host::Done conclude();

    // The owner of the TPM puts an older copy back: it opens in this chamber from now on. Only after open_to_change.
    // Fails: forbidden (not his secret), exhausted (lockout), conflict (the root has no counters).
    [[nodiscard]] host::Done accept_older(const std::filesystem::path& owner);

    // The record is not stored yet.
    [[nodiscard]] host::Outcome<host::store::KeyRecord> make(const std::string& name, const Pins& pins);
    [[nodiscard]] host::Outcome<host::store::KeyRecord> take_secret(const std::string& name, const Pins& pins,
                                                                    Bytes secret);
    // Fails: unauthentic (sealed on another machine, by another root or image, or altered), unacceptable (of an older
    // copy).
    [[nodiscard]] host::Outcome<host::store::KeyRecord> take_sealed(const std::string& name, Bytes sealed);

    // Loads the key; returns its id in the chamber.
    // Fails: unauthentic (it does not open here, or what the record says is not what is sealed).
    [[nodiscard]] host::Outcome<std::uint32_t> load(const host::store::KeyRecord& record);

    // The key, sealed anew.
    [[nodiscard]] host::Outcome<host::store::KeyRecord> reseal(const host::store::KeyRecord& record);

    // [SHIM-12] What makes handles of pairs that programs make good for longer than this chamber: kept sealed in the
    // home, made at the first time. Fails: unauthentic (it does not open here).
    [[nodiscard]] host::Done load_handle_key(const std::filesystem::path& home);

    // A list that stands there already is no failure. Fails: missing (no key has that signer), unauthentic, conflict
    // (not newer than the list in force), malformed.
    [[nodiscard]] host::Outcome<host::enclave::AcceptedAccessList> take_access_list(const std::filesystem::path& path);

    [[nodiscard]] host::enclave::Enclave& enclave() noexcept { return *enclave_; }

  private:
    // What a change needs, where the root counts.
    struct Change {
        host::store::FolderLock lock;
        std::uint64_t counter = 0; // as it stands before
        bool accepts_older = false;
    };

    explicit KeyChamber(std::filesystem::path home) noexcept
        : home_(std::move(home))
    {
    }
    [[nodiscard]] host::Done open_anew();

    std::filesystem::path home_;
    std::optional<Change> change_;
    std::unique_ptr<host::enclave::Enclave> enclave_;
};

} // namespace caisson::services::run
