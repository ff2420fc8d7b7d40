// What stands behind an unmodified libzmq: its calls of libsodium name only handles, and the nonces' prefixes tell
// which step of CurveZMQ each call is. The state machine libzmq runs outside is run again here, on the keys. Spec:
// docs/spec/curve.md, the shim's keys.
#pragma once

#include "airlock/curve/requests.hpp"
#include "trusted/curve/boxes.hpp"
#include "trusted/curve/gate.hpp"
#include "trusted/curve/key_table.hpp"

namespace caisson::trusted::curve {

inline constexpr std::size_t pairs_max = 1024;
inline constexpr std::size_t shared_max = 1024;

// What a pair that libzmq made turned out to be; fixed by its first use.
enum class PairRole : std::uint8_t { undecided, long_term, client_transient, server_transient };

struct Pair {
    bool used = false;
    Handle handle;
    CurveSecretKey secret;
    CurveKey public_key;
    PairRole role = PairRole::undecided;
    std::uint64_t touched = 0;
    bool hello_sent = false;             // client_transient: HELLO is boxed once
    bool shared_made = false;            // client_transient: one session key, so one counter
    bool initiated = false;              // server_transient: INITIATE opened once
    bool vouched = false;                // client_transient: vouched for; server_transient: the vouch opened
    bool welcomed = false;               // server_transient: WELCOME named it
    CurveKey welcomed_by;                // server_transient: the long-term key that boxed WELCOME
    CurveKey client_transient;           // server_transient: whose INITIATE it was
    CurveKey peer;                       // the server HELLO went to; the client's long-term key, once vouched
    const LongTermKey* server = nullptr; // server_transient: welcomed_by, when it is a key of the table
};

struct Shared {
    bool used = false;
    Handle handle;
    SharedKey key;
    bool is_server = false;
    Gate* gate = nullptr;
    const LongTermKey* server = nullptr; // as Pair's
    CurveKey peer;
    std::uint64_t touched = 0;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
};

class ShimKeys {
  public:
    // The gate of a key of the table, or null.
    using GateOf = Gate* (*)(void* context, const LongTermKey& key) noexcept;

    ShimKeys(Runtime& runtime, KeyTable& keys, GateOf gate_of, void* gate_context) noexcept;

    // Fails: nothing; the pair not used for longest gives way.
    [[nodiscard]] std::pair<CurveKey, Handle> make_pair() noexcept;
    // Fails: missing.
    [[nodiscard]] Result<CurveKey> public_key(const Handle& handle) noexcept;
    // `output` gets text.size() + 16 bytes. Fails: missing, forbidden (this step, this key).
    [[nodiscard]] Status box(const Handle& handle, const CurveKey& theirs, const Nonce& nonce, Bytes text,
                             MutableBytes output) noexcept;
    // Fails: missing, forbidden, unauthentic, expired (the gate says not now).
    [[nodiscard]] Status box_open(const Handle& handle, const CurveKey& theirs, const Nonce& nonce, Bytes box,
                                  MutableBytes output) noexcept;
    [[nodiscard]] Result<Handle> beforenm(const Handle& handle, const CurveKey& theirs) noexcept;
    [[nodiscard]] Status box_afternm(const Handle& handle, const Nonce& nonce, Bytes text,
                                     MutableBytes output) noexcept;
    [[nodiscard]] Status box_open_afternm(const Handle& handle, const Nonce& nonce, Bytes box,
                                          MutableBytes output) noexcept;
    // Ends what stands on a key of the table that is about to go.
    void forget(const LongTermKey& key) noexcept;

  private:
    struct SecretView {
        const CurveSecretKey* secret = nullptr;
        const CurveKey* public_key = nullptr;
        const LongTermKey* long_term = nullptr; // a key of the table, or
        Pair* pair = nullptr;                   // a pair
    };
    [[nodiscard]] Result<SecretView> secret_of(const Handle& handle) noexcept;
    [[nodiscard]] Pair* find_pair(const Handle& handle) noexcept;
    [[nodiscard]] Result<Shared*> find_shared(const Handle& handle) noexcept;
    [[nodiscard]] Status take_role(Pair* pair, PairRole role) noexcept;
    [[nodiscard]] Pair* find_transient(const CurveKey& public_key) noexcept;
    [[nodiscard]] Status permit_welcome(const SecretView& key, Bytes text) noexcept;
    [[nodiscard]] Status permit_vouch(Bytes text) noexcept;
    [[nodiscard]] Status permit_seal(SecretView& key, std::string_view prefix, Bytes text) noexcept;
    [[nodiscard]] Status permit_open(SecretView& key, std::string_view prefix) noexcept;
    [[nodiscard]] Status note_vouch(Pair& pair, const CurveKey& client, Bytes vouch) noexcept;

    Runtime& runtime_;
    KeyTable& keys_;
    GateOf gate_of_;
    void* gate_context_;
    std::uint64_t clock_ = 0; // of uses, for who gives way
    std::array<Pair, pairs_max> pairs_;
    std::array<Shared, shared_max> shared_;
};

} // namespace caisson::trusted::curve
