// KeyChamber: the curve chamber of a home, opened to make, take in and lend CURVE keys.
#pragma once

#include "host/enclave/curve_chamber.hpp"
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

    // The record is not stored yet.
    [[nodiscard]] host::Outcome<host::store::KeyRecord> make(const std::string& name, const Pins& pins);
    [[nodiscard]] host::Outcome<host::store::KeyRecord> take_secret(const std::string& name, const Pins& pins,
                                                                    Bytes secret);
    // Fails: unauthentic (sealed on another machine, by another root or image, or altered).
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
    explicit KeyChamber(std::unique_ptr<host::enclave::Enclave> enclave) noexcept
        : enclave_(std::move(enclave))
    {
    }

    std::unique_ptr<host::enclave::Enclave> enclave_;
};

} // namespace caisson::services::run
