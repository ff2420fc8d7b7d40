// What stands behind an unmodified libzmq: its calls of libsodium name only handles, and the nonces' prefixes tell
// which step of CurveZMQ each call is. The state machine libzmq runs outside is run again here, on the keys. Spec:
// docs/spec/curve.md, the shim's keys.
#pragma once

#include "airlock/curve/requests.hpp"
#include "trusted/curve/boxes.hpp"
#include "trusted/curve/gate.hpp"
#include "trusted/curve/key_table.hpp"
#include "trusted/curve/streams.hpp"

#include <algorithm>

namespace caisson::trusted::curve {

inline constexpr std::size_t pairs_max = 2048;
inline constexpr std::size_t shared_max = 4096;

struct HandleKeyTag;
using HandleKey = Secret<32, HandleKeyTag>; // what handles of lasting pairs are made with

// What a pair that libzmq made turned out to be; fixed by its first use.
enum class PairRole : std::uint8_t { undecided, long_term, client_transient, server_transient };

struct Pair {
    bool used = false;
    bool lasting = false;
    std::uint64_t began_ticks = 0;
    Handle handle;
    CurveSecretKey secret;
    CurveKey public_key;
    PairRole role = PairRole::undecided;
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
    std::uint64_t used_ticks = 0;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    StreamLease sealing; // of unfinished messages
    StreamLease opening;
};

// Who has a place in a table, and who used his longest ago.
template <std::size_t N>
class Places {
  public:
    // The place not used for longest; free ones first.
    [[nodiscard]] std::size_t oldest() const noexcept
    {
        return static_cast<std::size_t>(std::min_element(touched_.begin(), touched_.end()) - touched_.begin());
    }
    void touch(std::size_t index) noexcept { touched_[index] = ++clock_; }
    void free(std::size_t index) noexcept { touched_[index] = 0; }

  private:
    std::uint64_t clock_ = 0; // of uses
    std::array<std::uint64_t, N> touched_{};
};

class ShimKeys {
  public:
    // The gate of a key of the table, or null.
    using GateOf = Gate* (*)(void* context, const LongTermKey& key) noexcept;

    ShimKeys(Runtime& runtime, KeyTable& keys, Streams& streams, GateOf gate_of, void* gate_context) noexcept;

    // The pair not used for longest gives way. The handle of a lasting one is good in every chamber that has the same
    // handle key.
    [[nodiscard]] std::pair<CurveKey, Handle> make_pair(bool lasting) noexcept;
    // A secret from elsewhere, which stands for itself from here on, as a long-term key.
    void import_raw(const Handle& secret) noexcept;
    // Requires: key.size() == HandleKey::size.
    void take_handle_key(Bytes key) noexcept;
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
    // The last two in pieces. Fails: also exhausted, and malformed (the pieces are not what was announced).
    [[nodiscard]] Status box_begin(const Handle& handle, const Nonce& nonce, std::uint64_t text_bytes) noexcept;
    [[nodiscard]] Result<std::size_t> box_piece(const Handle& handle, Bytes text, MutableBytes output) noexcept;
    [[nodiscard]] Result<crypto::BoxTag> box_finish(const Handle& handle) noexcept;
    [[nodiscard]] Status open_begin(const Handle& handle, const Nonce& nonce, std::uint64_t text_bytes,
                                    const crypto::BoxTag& tag) noexcept;
    [[nodiscard]] Result<std::size_t> open_piece(const Handle& handle, Bytes box, MutableBytes output) noexcept;
    [[nodiscard]] Status open_finish(const Handle& handle) noexcept;
    // Ends what stands on a key of the table that is about to go.
    void forget(const LongTermKey& key) noexcept;
    // Ends all keys but long-term ones.
    void end_transients() noexcept;
    // Ends transient keys whose handshake is late, and session keys that nobody used for long.
    void end_late(std::uint64_t now_ticks) noexcept;

  private:
    struct SecretView {
        const CurveSecretKey* secret = nullptr;
        const CurveKey* public_key = nullptr;
        const LongTermKey* long_term = nullptr; // a key of the table, or
        Pair* pair = nullptr;                   // a pair
    };
    [[nodiscard]] Result<SecretView> secret_of(const Handle& handle) noexcept;
    [[nodiscard]] Pair* find_pair(const Handle& handle) noexcept;
    [[nodiscard]] Pair* derived_pair(const Handle& handle) noexcept;
    [[nodiscard]] Pair& add_pair(const Handle& handle, const CurveKey& public_key) noexcept;
    void end_pair(Pair& pair) noexcept;
    void end_shared(Shared& shared) noexcept;
    [[nodiscard]] Result<Shared*> find_shared(const Handle& handle) noexcept;
    [[nodiscard]] Status take_role(Pair* pair, PairRole role) noexcept;
    [[nodiscard]] Pair* find_transient(const CurveKey& public_key) noexcept;
    [[nodiscard]] Status permit_welcome(const SecretView& key, Bytes text) noexcept;
    [[nodiscard]] Status permit_vouch(Bytes text) noexcept;
    [[nodiscard]] Status permit_seal(SecretView& key, std::string_view prefix, Bytes text) noexcept;
    [[nodiscard]] Status permit_open(SecretView& key, std::string_view prefix) noexcept;
    [[nodiscard]] Status permit_message_seal(const Shared& shared, const Nonce& nonce) noexcept;
    [[nodiscard]] Status permit_message_open(const Shared& shared, const Nonce& nonce) noexcept;
    [[nodiscard]] Status check_gate(Shared& shared) noexcept;
    [[nodiscard]] Status note_vouch(Pair& pair, const CurveKey& client, Bytes vouch) noexcept;

    Runtime& runtime_;
    KeyTable& keys_;
    Streams& streams_;
    GateOf gate_of_;
    void* gate_context_;
    HandleKey handle_key_;
    bool has_handle_key_ = false;
    Places<pairs_max> pair_places_;
    std::array<std::uint64_t, pairs_max> handle_marks_{}; // the first octets, close together for the search
    std::array<std::uint64_t, pairs_max> public_marks_{};
    std::array<Pair, pairs_max> pairs_;
    Places<shared_max> shared_places_;
    std::array<Shared, shared_max> shared_;
};

} // namespace caisson::trusted::curve
