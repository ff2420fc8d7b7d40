// What stands behind an unmodified libzmq: its calls of libsodium name only handles, and the nonces' prefixes tell
// which step of CurveZMQ each call is. The state machine libzmq runs outside is run again here, on the keys. Spec:
// docs/spec/curve.md, the shim's keys.
#pragma once

#include "airlock/curve/requests.hpp"
#include "core/inplace_vector.hpp"
#include "trusted/curve/boxes.hpp"
#include "trusted/curve/gate.hpp"
#include "trusted/curve/key_table.hpp"
#include "trusted/curve/streams.hpp"
#include "trusted/runtime/arena_table.hpp"
#include "trusted/runtime/chamber.hpp"

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

// Who has a place in a table, in the order of use: lists through the places, of those in use and of those that were
// given back. Nothing is written for a place before it is taken: each page that is touched costs the start.
template <std::size_t N>
class Places {
  public:
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): a link is written when its place is taken
    Places() noexcept
    {
        links_[in_use] = {in_use, in_use};
        links_[free_again] = {free_again, free_again};
    }

    // The place not used for longest; free ones first. A place that never was one is the next behind all that were.
    [[nodiscard]] std::size_t oldest() const noexcept
    {
        if (links_[free_again].next != free_again) {
            return links_[free_again].next - heads;
        }
        return fresh_ < N ? fresh_ : links_[in_use].next - heads;
    }
    // Requires, as for `free`: the place was taken before, or is the `oldest`.
    void touch(std::size_t index) noexcept
    {
        take_out(index);
        insert(index, in_use);
    }
    void free(std::size_t index) noexcept
    {
        take_out(index);
        insert(index, links_[free_again].next);
    }

  private:
    static constexpr std::uint16_t in_use = 0; // the heads of the lists, which are circles
    static constexpr std::uint16_t free_again = 1;
    static constexpr std::size_t heads = 2;
    static_assert(N + heads < UINT16_MAX);

    struct Link {
        std::uint16_t next;
        std::uint16_t before;
    };

    void take_out(std::size_t index) noexcept
    {
        if (index == fresh_) {
            ++fresh_; // in no list yet
            return;
        }
        const auto link = links_[index + heads];
        links_[link.before].next = link.next;
        links_[link.next].before = link.before;
    }

    // In front of `behind`.
    void insert(std::size_t index, std::uint16_t behind) noexcept
    {
        const auto own = static_cast<std::uint16_t>(index + heads);
        const auto before = links_[behind].before;
        links_[own] = {behind, before};
        links_[before].next = own;
        links_[behind].before = own;
    }

    std::size_t fresh_ = 0; // the first that was never taken
    std::array<Link, N + heads> links_;
};

// A pair that is to be made.
struct NewPair {
    bool lasting = false;
    CurveKey public_key;
    Handle handle;
    CurveSecretKey secret;
    Status made; // fails: as ArenaTable::add
};

class ShimKeys {
  public:
    // The gate of a key of the table, or null.
    using GateOf = Gate* (*)(void* context, const LongTermKey& key) noexcept;

    ShimKeys(Runtime& runtime, Arena& arena, KeyTable& keys, Streams& streams, GateOf gate_of,
             void* gate_context) noexcept;

    // Pairs not used for longest give way. The handle of a lasting one is good in every chamber that has the same
    // handle key. Requires: group_requests_max of them at most.
    void make_pairs(std::span<NewPair> pairs) noexcept;
    // A secret from elsewhere, which stands for itself from here on, as a long-term key. Fails: as ArenaTable::add.
    [[nodiscard]] Status import_raw(const Handle& secret) noexcept;
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
    void draw_secrets(std::span<NewPair> pairs) noexcept;
    [[nodiscard]] Pair* find_pair(const Handle& handle) noexcept;
    [[nodiscard]] Pair* derived_pair(const Handle& handle) noexcept;
    // The place not used for longest, once all are there. Fails: as ArenaTable::add.
    [[nodiscard]] Result<Pair*> add_pair(const Handle& handle, const CurveKey& public_key,
                                         std::uint64_t now_ticks) noexcept;
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
    InplaceVector<std::uint64_t, pairs_max> handle_marks_; // the first octets, close together for the search
    InplaceVector<std::uint64_t, pairs_max> public_marks_;
    ArenaTable<Pair, pairs_max> pairs_;
    Places<shared_max> shared_places_;
    ArenaTable<Shared, shared_max> shared_;
};

} // namespace caisson::trusted::curve
