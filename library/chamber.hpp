// What stands behind a caisson_chamber: a home's curve chamber, and who feeds its gates. Safe for concurrent use.
#pragma once

#include "airlock/curve/requests.hpp"
#include "host/enclave/curve_chamber.hpp"
#include "host/net/trust_feeder.hpp"
#include "library/failure.hpp"

#include <initializer_list>
#include <map>
#include <mutex>

namespace caisson::library {

using airlock::curve::Request;
using Buffer = std::vector<std::uint8_t>;
using protocol::CurveKey;

struct KeyFacts {
    CurveKey public_key;
    bool gated = false;
};

class Chamber {
  public:
    static Outcome<std::unique_ptr<Chamber>> open(std::filesystem::path home);

    // One request: `parts` one after the other; returns the size of the answer.
    Outcome<std::size_t> ask(Request request, std::initializer_list<Bytes> parts, MutableBytes output);
    // The same, with an answer of at most `room` octets.
    Outcome<Buffer> ask(Request request, std::initializer_list<Bytes> parts, std::size_t room);

    [[nodiscard]] Outcome<host::enclave::LoadedCurveKey> import_sealed(Bytes sealed);
    [[nodiscard]] Outcome<host::enclave::LoadedCurveKey> load_key(const std::string& name);
    // Fails: missing (no key with this number was loaded here).
    [[nodiscard]] Outcome<KeyFacts> facts_of(std::uint32_t key);
    void forget(std::uint32_t key);

    [[nodiscard]] host::enclave::Enclave& enclave() noexcept { return *enclave_; }
    [[nodiscard]] std::string describe() const;

    // Trust in a peer of a gated key: asked for as long as it is kept. Nothing happens for keys that are not gated.
    void keep_peer(std::uint32_t own_key, const CurveKey& peer);
    void release_peer(std::uint32_t own_key, const CurveKey& peer);
    void want_peer(std::uint32_t own_key, const CurveKey& peer); // once, soon

  private:
    Chamber(std::filesystem::path home, std::unique_ptr<host::enclave::Enclave> enclave)
        : home_(std::move(home))
        , enclave_(std::move(enclave))
    {
    }
    void note(const host::enclave::LoadedCurveKey& key);
    [[nodiscard]] host::net::TrustFeeder* feeder_of(std::uint32_t own_key);

    std::filesystem::path home_;
    std::unique_ptr<host::enclave::Enclave> enclave_;
    std::mutex mutex_;
    std::map<std::uint32_t, KeyFacts> keys_;
    std::unique_ptr<host::net::TrustFeeder> feeder_; // ends before the enclave
};

// A number as requests carry it.
class Number {
  public:
    explicit Number(std::uint32_t value) noexcept { std::memcpy(bytes_.data(), &value, sizeof value); }
    operator Bytes() const noexcept { return bytes_; } // NOLINT(google-explicit-constructor)

  private:
    ByteArray<sizeof(std::uint32_t)> bytes_{};
};

} // namespace caisson::library

struct caisson_chamber {
    std::unique_ptr<caisson::library::Chamber> inside;
};
