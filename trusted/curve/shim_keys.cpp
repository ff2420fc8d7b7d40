#include "trusted/curve/shim_keys.hpp"

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

namespace wire = protocol::curve;

constexpr std::size_t short_prefix_bytes = 16;

bool has_prefix(const Nonce& nonce, std::string_view prefix) noexcept
{
    return text_of(Bytes(nonce).first(prefix.size())) == prefix;
}

// The step a nonce names, or nothing.
std::string_view step_of(const Nonce& nonce) noexcept
{
    for (const auto prefix : {wire::hello_nonce, wire::initiate_nonce, wire::ready_nonce, wire::message_to_client_nonce,
                              wire::message_to_server_nonce, wire::welcome_nonce, wire::vouch_nonce}) {
        if (has_prefix(nonce, prefix)) {
            return prefix;
        }
    }
    return {};
}

std::uint64_t counter_of(const Nonce& nonce) noexcept
{
    Reader reader(Bytes(nonce).subspan(short_prefix_bytes));
    return reader.read_be<std::uint64_t>().value_or(0);
}

template <typename Entry, std::size_t N>
Entry& place_in(std::array<Entry, N>& table) noexcept
{
    const auto oldest = std::min_element(table.begin(), table.end(), [](const Entry& left, const Entry& right) {
        return (left.used ? left.touched : 0) < (right.used ? right.touched : 0);
    });
    *oldest = Entry{};
    return *oldest;
}

std::unexpected<Error> not_this_step() noexcept
{
    return fail(Kind::forbidden, "this key is not for this step of the protocol");
}

} // namespace

ShimKeys::ShimKeys(Runtime& runtime, KeyTable& keys, GateOf gate_of, void* gate_context) noexcept
    : runtime_(runtime)
    , keys_(keys)
    , gate_of_(gate_of)
    , gate_context_(gate_context)
{
}

std::pair<CurveKey, Handle> ShimKeys::make_pair() noexcept
{
    auto& pair = place_in(pairs_);
    pair.used = true;
    pair.touched = ++clock_;
    pair.public_key = make_key_pair(runtime_, pair.secret);
    runtime_.random(pair.handle.bytes);
    return {pair.public_key, pair.handle};
}

Pair* ShimKeys::find_pair(const Handle& handle) noexcept
{
    const auto found = std::find_if(pairs_.begin(), pairs_.end(),
                                    [&](const Pair& pair) { return pair.used && pair.handle == handle; });
    if (found == pairs_.end()) {
        return nullptr;
    }
    found->touched = ++clock_;
    return &*found;
}

Result<Shared*> ShimKeys::find_shared(const Handle& handle) noexcept
{
    const auto found = std::find_if(shared_.begin(), shared_.end(),
                                    [&](const Shared& shared) { return shared.used && shared.handle == handle; });
    if (found == shared_.end()) {
        return fail(Kind::missing, "there is no such session key");
    }
    found->touched = ++clock_;
    return &*found;
}

Result<ShimKeys::SecretView> ShimKeys::secret_of(const Handle& handle) noexcept
{
    if (const auto* key = keys_.find(handle); key != nullptr) {
        return SecretView{&key->secret, &key->public_key, key, nullptr};
    }
    if (auto* pair = find_pair(handle); pair != nullptr) {
        return SecretView{&pair->secret, &pair->public_key, nullptr, pair};
    }
    return fail(Kind::missing, "this is no handle of a key in the chamber");
}

Result<CurveKey> ShimKeys::public_key(const Handle& handle) noexcept
{
    if (const auto* key = keys_.find(handle); key != nullptr) {
        return key->public_key;
    }
    if (const auto* pair = find_pair(handle); pair != nullptr) {
        return pair->public_key;
    }
    return fail(Kind::missing, "this is no handle of a key in the chamber");
}

// [CURVE-31] A pair is what its first use makes it, for good.
Status ShimKeys::take_role(Pair* pair, PairRole role) noexcept
{
    if (pair == nullptr) {
        return role == PairRole::long_term ? Status{} : Status(not_this_step());
    }
    if (pair->role == PairRole::undecided) {
        pair->role = role;
    }
    return pair->role == role ? Status{} : Status(not_this_step());
}

Pair* ShimKeys::find_transient(const CurveKey& public_key) noexcept
{
    const auto found = std::find_if(pairs_.begin(), pairs_.end(), [&public_key](const Pair& pair) {
        return pair.used && pair.public_key == public_key;
    });
    return found == pairs_.end() ? nullptr : &*found;
}

// [CURVE-35] A session that a long-term key opens has its transient key here, so its gate and counters too.
Status ShimKeys::permit_welcome(const SecretView& key, Bytes text) noexcept
{
    CurveKey named;
    if (text.size() != CurveKey::size + wire::cookie_bytes) {
        return fail(Kind::malformed, "a WELCOME has another size");
    }
    copy_bytes(named.bytes, text.first(CurveKey::size));
    auto* pair = find_transient(named);
    if (pair == nullptr) {
        return fail(Kind::expired, "a WELCOME names a transient key that is not here, or gave way to others");
    }
    TRY(take_role(pair, PairRole::server_transient));
    if (pair->initiated || std::exchange(pair->welcomed, true)) {
        return not_this_step();
    }
    pair->welcomed_by = *key.public_key;
    pair->server = key.long_term;
    return {};
}

// [CURVE-35]
Status ShimKeys::permit_vouch(Bytes text) noexcept
{
    CurveKey named;
    if (text.size() != 2 * CurveKey::size) {
        return fail(Kind::malformed, "a vouch has another size");
    }
    copy_bytes(named.bytes, text.first(CurveKey::size));
    auto* pair = find_transient(named);
    if (pair == nullptr) {
        return fail(Kind::expired, "a vouch names a transient key that is not here, or gave way to others");
    }
    TRY(take_role(pair, PairRole::client_transient));
    const bool same_server = same_bytes(text.subspan(CurveKey::size), pair->peer.bytes);
    if (!pair->hello_sent || !same_server || std::exchange(pair->vouched, true)) {
        return not_this_step();
    }
    return {};
}

// [CURVE-30] WELCOME and vouch with a long-term key; HELLO and INITIATE with a client's transient key, each once.
Status ShimKeys::permit_seal(SecretView& key, std::string_view prefix, Bytes text) noexcept
{
    if (prefix == wire::welcome_nonce || prefix == wire::vouch_nonce) {
        TRY(take_role(key.pair, PairRole::long_term));
        return prefix == wire::welcome_nonce ? permit_welcome(key, text) : permit_vouch(text);
    }
    if (prefix == wire::hello_nonce) {
        TRY(take_role(key.pair, PairRole::client_transient));
        return std::exchange(key.pair->hello_sent, true) ? Status(not_this_step()) : Status{};
    }
    if (prefix == wire::initiate_nonce) {
        TRY(take_role(key.pair, PairRole::client_transient));
        return key.pair->hello_sent ? Status{} : Status(not_this_step());
    }
    return not_this_step();
}

// [CURVE-30] HELLO with a long-term key; WELCOME with a client's transient; INITIATE, then the vouch, with a server's.
Status ShimKeys::permit_open(SecretView& key, std::string_view prefix) noexcept
{
    if (prefix == wire::hello_nonce) {
        return take_role(key.pair, PairRole::long_term);
    }
    if (prefix == wire::welcome_nonce) {
        TRY(take_role(key.pair, PairRole::client_transient));
        return key.pair->hello_sent ? Status{} : Status(not_this_step());
    }
    if (prefix == wire::initiate_nonce) {
        TRY(take_role(key.pair, PairRole::server_transient));
        return std::exchange(key.pair->initiated, true) ? Status(not_this_step()) : Status{};
    }
    if (prefix == wire::vouch_nonce) {
        TRY(take_role(key.pair, PairRole::server_transient));
        return key.pair->initiated && !key.pair->vouched ? Status{} : Status(not_this_step());
    }
    return not_this_step();
}

// [CURVE-32] The vouch names the client's transient key and the key that said WELCOME, not another of ours, which may
// have another gate; from here on the gate watches its sender.
Status ShimKeys::note_vouch(Pair& pair, const CurveKey& client, Bytes vouch) noexcept
{
    if (vouch.size() != 2 * CurveKey::size) {
        return fail(Kind::malformed, "a vouch has another size");
    }
    CurveKey server;
    copy_bytes(server.bytes, vouch.subspan(CurveKey::size));
    const bool ours = pair.welcomed && server == pair.welcomed_by;
    if (!ours || !same_bytes(vouch.first(CurveKey::size), pair.client_transient.bytes)) {
        return fail(Kind::unauthentic, "the vouch speaks of another session or server");
    }
    pair.peer = client;
    pair.vouched = true;
    auto* gate = pair.server != nullptr ? gate_of_(gate_context_, *pair.server) : nullptr;
    if (gate != nullptr && !gate->admits(client, runtime_.ticks())) {
        return fail(Kind::expired, "the peer's node is not trusted now");
    }
    return {};
}

Status ShimKeys::box(const Handle& handle, const CurveKey& theirs, const Nonce& nonce, Bytes text,
                     MutableBytes output) noexcept
{
    auto key = TRY(secret_of(handle));
    const auto step = step_of(nonce);
    TRY(permit_seal(key, step, text));
    const auto pair_key = TRY(shared_key(theirs, *key.secret));
    seal_box(output.data(), text, nonce, pair_key);
    if (step == wire::hello_nonce) {
        key.pair->peer = theirs;
    }
    if (step == wire::initiate_nonce) {
        *key.pair = Pair{}; // [CURVE-33] c' ends with INITIATE, though libzmq never says so
    }
    return {};
}

Status ShimKeys::box_open(const Handle& handle, const CurveKey& theirs, const Nonce& nonce, Bytes box,
                          MutableBytes output) noexcept
{
    auto key = TRY(secret_of(handle));
    const auto step = step_of(nonce);
    TRY(permit_open(key, step));
    const auto pair_key = TRY(shared_key(theirs, *key.secret));
    TRY(open_box(output.data(), box, nonce, pair_key));
    if (step == wire::initiate_nonce) {
        key.pair->client_transient = theirs;
    }
    if (step == wire::vouch_nonce) {
        TRY(note_vouch(*key.pair, theirs, output.first(box.size() - wire::tag_bytes)));
    }
    return {};
}

Result<Handle> ShimKeys::beforenm(const Handle& handle, const CurveKey& theirs) noexcept
{
    const auto key = TRY(secret_of(handle));
    auto* pair = key.pair;
    const bool client =
        pair != nullptr && pair->role == PairRole::client_transient && pair->hello_sent && !pair->shared_made;
    const bool server = pair != nullptr && pair->role == PairRole::server_transient && pair->vouched &&
                        pair->client_transient == theirs; // [CURVE-32] no session but the vouched one
    if (!client && !server) {
        return not_this_step();
    }
    auto session_key = TRY(shared_key(theirs, *key.secret));
    auto& shared = place_in(shared_);
    shared.used = true;
    shared.touched = ++clock_;
    shared.key = std::move(session_key);
    shared.is_server = server;
    runtime_.random(shared.handle.bytes);
    if (server) {
        shared.peer = pair->peer;
        shared.server = pair->server;
        shared.gate = pair->server != nullptr ? gate_of_(gate_context_, *pair->server) : nullptr;
        *pair = Pair{}; // [CURVE-33] s' ends here
    } else {
        pair->shared_made = true; // [CURVE-33] a second handle would count from the start again
    }
    return shared.handle;
}

// [CURVE-34] Our direction's prefix only, counters strictly rising, and the gate open.
Status ShimKeys::box_afternm(const Handle& handle, const Nonce& nonce, Bytes text, MutableBytes output) noexcept
{
    auto* shared = TRY(find_shared(handle));
    const auto step = step_of(nonce);
    const bool permitted = shared->is_server ? step == wire::ready_nonce || step == wire::message_to_client_nonce
                                             : step == wire::message_to_server_nonce;
    const auto counter = counter_of(nonce);
    if (!permitted || counter <= shared->sent) {
        return not_this_step();
    }
    if (shared->gate != nullptr && !shared->gate->permits_message(shared->peer, runtime_.ticks())) {
        *shared = Shared{};
        return fail(Kind::expired, "the peer's node is not trusted now");
    }
    shared->sent = counter;
    seal_box(output.data(), text, nonce, shared->key);
    return {};
}

Status ShimKeys::box_open_afternm(const Handle& handle, const Nonce& nonce, Bytes box, MutableBytes output) noexcept
{
    auto* shared = TRY(find_shared(handle));
    const auto step = step_of(nonce);
    const bool permitted = shared->is_server ? step == wire::message_to_server_nonce
                                             : step == wire::ready_nonce || step == wire::message_to_client_nonce;
    const auto counter = counter_of(nonce);
    if (!permitted || counter <= shared->received) {
        return not_this_step();
    }
    if (shared->gate != nullptr && !shared->gate->permits_message(shared->peer, runtime_.ticks())) {
        *shared = Shared{};
        return fail(Kind::expired, "the peer's node is not trusted now");
    }
    TRY(open_box(output.data(), box, nonce, shared->key));
    shared->received = counter;
    return {};
}

// [CURVE-26] The place of a forgotten key becomes another's, with another gate or none.
void ShimKeys::forget(const LongTermKey& key) noexcept
{
    for (auto& pair : pairs_) {
        if (pair.server == &key) {
            pair = Pair{};
        }
    }
    for (auto& shared : shared_) {
        if (shared.server == &key) {
            shared = Shared{};
        }
    }
}

} // namespace caisson::trusted::curve
