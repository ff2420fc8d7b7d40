#include "trusted/curve/shim_keys.hpp"

#include "core/crypto/constant_time.hpp"
#include "trusted/curve/session.hpp"

#include <sodium.h>

#include <utility>

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

template <typename Name>
std::uint64_t mark_of(const Name& name) noexcept
{
    std::uint64_t mark = 0;
    std::memcpy(&mark, name.bytes.data(), sizeof mark);
    return mark;
}

// [CURVE-36] The handle of a lasting pair: a random seed, and a tag that tells it from other octets. The secret comes
// from the seed and the handle key.
constexpr std::string_view secret_domain = "caisson lasting secret v1";
constexpr std::string_view tag_domain = "caisson lasting handle v1";
constexpr std::size_t seed_bytes = 16;

void derive(MutableBytes output, std::string_view domain, Bytes seed, const HandleKey& key) noexcept
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key.expose().data(), key.expose().size(), output.size());
    crypto_generichash_update(&state, bytes_of(domain).data(), domain.size());
    crypto_generichash_update(&state, seed.data(), seed.size());
    crypto_generichash_final(&state, output.data(), output.size());
    wipe({reinterpret_cast<std::uint8_t*>(&state), sizeof state});
}

// A session key that nobody used for this long ends: more than a day at the rates of today's time-stamp counters.
constexpr std::uint64_t idle_ticks_max = std::uint64_t{1} << 48U;

// A message in pieces that went wrong is over.
Result<std::size_t> or_end(StreamLease& lease, Result<std::size_t> result) noexcept
{
    if (!result) {
        lease.end();
    }
    return result;
}

std::unexpected<Error> not_this_step() noexcept
{
    return fail(Kind::forbidden, "this key is not for this step of the protocol");
}

} // namespace

ShimKeys::ShimKeys(Runtime& runtime, Arena& arena, KeyTable& keys, Streams& streams, GateOf gate_of,
                   void* gate_context) noexcept
    : runtime_(runtime)
    , keys_(keys)
    , streams_(streams)
    , gate_of_(gate_of)
    , gate_context_(gate_context)
    , pairs_(arena)
    , shared_(arena)
{
}

void ShimKeys::take_handle_key(Bytes key) noexcept
{
    copy_bytes(handle_key_.expose(), key);
    has_handle_key_ = true;
}

void ShimKeys::end_pair(Pair& pair) noexcept
{
    pair_places_.free(static_cast<std::size_t>(&pair - pairs_.begin()));
    pair = Pair{};
}

void ShimKeys::end_shared(Shared& shared) noexcept
{
    shared_places_.free(static_cast<std::size_t>(&shared - shared_.begin()));
    shared = Shared{};
}

Result<Pair*> ShimKeys::add_pair(const Handle& handle, const CurveKey& public_key, std::uint64_t now_ticks) noexcept
{
    const auto index = pair_places_.oldest();
    if (index == pairs_.size()) {
        TRY(pairs_.add());
        handle_marks_.add();
        public_marks_.add();
    }
    pair_places_.touch(index);
    auto& pair = pairs_[index];
    pair = Pair{};
    pair.used = true;
    pair.began_ticks = now_ticks;
    pair.handle = handle;
    pair.public_key = public_key;
    handle_marks_[index] = mark_of(handle);
    public_marks_[index] = mark_of(public_key);
    return &pair;
}

// Random octets for all of them come from the generator at once.
void ShimKeys::draw_secrets(std::span<NewPair> pairs) noexcept
{
    constexpr auto drawn_bytes = Handle::size + CurveSecretKey::size;
    Secret<group_requests_max * drawn_bytes, HandleKeyTag> drawn;
    const auto all = drawn.expose().first(pairs.size() * drawn_bytes);
    runtime_.random(all);
    for (std::size_t index = 0; index < pairs.size(); ++index) {
        auto& pair = pairs[index];
        const auto own = all.subspan(index * drawn_bytes, drawn_bytes);
        copy_bytes(pair.handle.bytes, own.first(Handle::size));
        if (!pair.lasting || !has_handle_key_) {
            copy_bytes(pair.secret.expose(), own.subspan(Handle::size));
            continue;
        }
        const auto seed = MutableBytes(pair.handle.bytes).first(seed_bytes);
        derive(MutableBytes(pair.handle.bytes).subspan(seed_bytes), tag_domain, seed, handle_key_);
        derive(pair.secret.expose(), secret_domain, seed, handle_key_);
    }
}

void ShimKeys::make_pairs(std::span<NewPair> pairs) noexcept
{
    if (pairs.empty()) {
        return;
    }
    draw_secrets(pairs);
    std::array<PublicKeyJob, group_requests_max> jobs{};
    for (std::size_t index = 0; index < pairs.size(); ++index) {
        jobs[index] = {&pairs[index].secret, &pairs[index].public_key};
    }
    make_public_keys(std::span(jobs).first(pairs.size()));
    const auto now = runtime_.ticks();
    for (auto& made : pairs) {
        const auto pair = add_pair(made.handle, made.public_key, now);
        made.made = pair ? Status{} : Status(std::unexpected(pair.error()));
        if (pair) {
            (*pair)->secret = std::move(made.secret);
            (*pair)->lasting = made.lasting;
        }
        made.secret.clear();
    }
}

// [CURVE-36] Only ever as a long-term key: what else it may have been is over.
Pair* ShimKeys::derived_pair(const Handle& handle) noexcept
{
    if (!has_handle_key_) {
        return nullptr;
    }
    const auto seed = Bytes(handle.bytes).first(seed_bytes);
    ByteArray<Handle::size - seed_bytes> tag;
    derive(tag, tag_domain, seed, handle_key_);
    if (!same_bytes(tag, Bytes(handle.bytes).subspan(seed_bytes))) {
        return nullptr;
    }
    CurveSecretKey secret;
    derive(secret.expose(), secret_domain, seed, handle_key_);
    const auto pair = add_pair(handle, public_key_of(secret), runtime_.ticks());
    if (!pair) {
        return nullptr;
    }
    (*pair)->secret = std::move(secret);
    (*pair)->lasting = true;
    (*pair)->role = PairRole::long_term;
    return *pair;
}

// [CURVE-37]
Status ShimKeys::import_raw(const Handle& raw) noexcept
{
    if (keys_.find(raw) != nullptr || find_pair(raw) != nullptr) {
        return {};
    }
    CurveSecretKey secret;
    copy_bytes(secret.expose(), raw.bytes);
    auto* pair = TRY(add_pair(raw, public_key_of(secret), runtime_.ticks()));
    pair->secret = std::move(secret);
    pair->lasting = true;
    pair->role = PairRole::long_term;
    return {};
}

Pair* ShimKeys::find_pair(const Handle& handle) noexcept
{
    const auto mark = mark_of(handle);
    for (std::size_t index = 0; index < pairs_.size(); ++index) {
        if (handle_marks_[index] == mark && pairs_[index].used && pairs_[index].handle == handle) {
            pair_places_.touch(index);
            return &pairs_[index];
        }
    }
    return derived_pair(handle);
}

// The number of its place stands in the handle of a session key.
Result<Shared*> ShimKeys::find_shared(const Handle& handle) noexcept
{
    std::uint32_t index = 0;
    std::memcpy(&index, handle.bytes.data(), sizeof index);
    if (index >= shared_.size() || !shared_[index].used || shared_[index].handle != handle) {
        return fail(Kind::missing, "there is no such session key");
    }
    shared_places_.touch(index);
    shared_[index].used_ticks = runtime_.ticks();
    return &shared_[index];
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
    const auto mark = mark_of(public_key);
    for (std::size_t index = 0; index < pairs_.size(); ++index) {
        if (public_marks_[index] == mark && pairs_[index].used && pairs_[index].public_key == public_key) {
            return &pairs_[index];
        }
    }
    return nullptr;
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
        end_pair(*key.pair); // [CURVE-33] c' ends with INITIATE, though libzmq never says so
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

// [CURVE-38]
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
    const auto index = static_cast<std::uint32_t>(shared_places_.oldest());
    if (index == shared_.size()) {
        TRY(shared_.add());
    }
    shared_places_.touch(index);
    auto& shared = shared_[index];
    shared = Shared{};
    shared.used = true;
    shared.used_ticks = runtime_.ticks();
    shared.key = std::move(session_key);
    shared.is_server = server;
    runtime_.random(shared.handle.bytes);
    std::memcpy(shared.handle.bytes.data(), &index, sizeof index);
    if (server) {
        shared.peer = pair->peer;
        shared.server = pair->server;
        shared.gate = pair->server != nullptr ? gate_of_(gate_context_, *pair->server) : nullptr;
        end_pair(*pair); // [CURVE-33] s' ends here
    } else {
        pair->shared_made = true; // [CURVE-33] a second handle would count from the start again
    }
    return shared.handle;
}

// [CURVE-34] Our direction's prefix only, counters strictly rising, one message at a time.
Status ShimKeys::permit_message_seal(const Shared& shared, const Nonce& nonce) noexcept
{
    const auto step = step_of(nonce);
    const bool permitted = shared.is_server ? step == wire::ready_nonce || step == wire::message_to_client_nonce
                                            : step == wire::message_to_server_nonce;
    return permitted && counter_of(nonce) > shared.sent && !shared.sealing.live() ? Status{} : Status(not_this_step());
}

Status ShimKeys::permit_message_open(const Shared& shared, const Nonce& nonce) noexcept
{
    const auto step = step_of(nonce);
    const bool permitted = shared.is_server ? step == wire::message_to_server_nonce
                                            : step == wire::ready_nonce || step == wire::message_to_client_nonce;
    return permitted && counter_of(nonce) > shared.received && !shared.opening.live() ? Status{}
                                                                                      : Status(not_this_step());
}

Status ShimKeys::check_gate(Shared& shared) noexcept
{
    if (shared.gate != nullptr && !shared.gate->permits_message(shared.peer, runtime_.ticks())) {
        end_shared(shared);
        return fail(Kind::expired, "the peer's node is not trusted now");
    }
    return {};
}

Status ShimKeys::box_afternm(const Handle& handle, const Nonce& nonce, Bytes text, MutableBytes output) noexcept
{
    auto* shared = TRY(find_shared(handle));
    TRY(permit_message_seal(*shared, nonce));
    TRY(check_gate(*shared));
    shared->sent = counter_of(nonce);
    seal_box(output.data(), text, nonce, shared->key);
    return {};
}

Status ShimKeys::box_open_afternm(const Handle& handle, const Nonce& nonce, Bytes box, MutableBytes output) noexcept
{
    auto* shared = TRY(find_shared(handle));
    TRY(permit_message_open(*shared, nonce));
    TRY(check_gate(*shared));
    TRY(open_box(output.data(), box, nonce, shared->key));
    shared->received = counter_of(nonce);
    return {};
}

// [CURVE-40] The counter is used up by the beginning, whatever follows.
Status ShimKeys::box_begin(const Handle& handle, const Nonce& nonce, std::uint64_t text_bytes) noexcept
{
    auto* shared = TRY(find_shared(handle));
    TRY(permit_message_seal(*shared, nonce));
    TRY(check_gate(*shared));
    shared->sealing = TRY(streams_.begin_sealing({shared->key, nonce, text_bytes}));
    shared->sent = counter_of(nonce);
    return {};
}

Result<std::size_t> ShimKeys::box_piece(const Handle& handle, Bytes text, MutableBytes output) noexcept
{
    auto* shared = TRY(find_shared(handle));
    if (!shared->sealing.live()) {
        return not_this_step();
    }
    TRY(check_gate(*shared));
    return or_end(shared->sealing, shared->sealing.feed(text, output));
}

Result<crypto::BoxTag> ShimKeys::box_finish(const Handle& handle) noexcept
{
    auto* shared = TRY(find_shared(handle));
    if (!shared->sealing.live()) {
        return not_this_step();
    }
    return shared->sealing.finish_sealing();
}

Status ShimKeys::open_begin(const Handle& handle, const Nonce& nonce, std::uint64_t text_bytes,
                            const crypto::BoxTag& tag) noexcept
{
    auto* shared = TRY(find_shared(handle));
    TRY(permit_message_open(*shared, nonce));
    TRY(check_gate(*shared));
    shared->opening = TRY(streams_.begin_opening({shared->key, nonce, text_bytes}, tag));
    shared->received = counter_of(nonce);
    return {};
}

Result<std::size_t> ShimKeys::open_piece(const Handle& handle, Bytes box, MutableBytes output) noexcept
{
    auto* shared = TRY(find_shared(handle));
    if (!shared->opening.live()) {
        return not_this_step();
    }
    TRY(check_gate(*shared));
    return or_end(shared->opening, shared->opening.feed(box, output));
}

// [CURVE-41]
Status ShimKeys::open_finish(const Handle& handle) noexcept
{
    auto* shared = TRY(find_shared(handle));
    if (!shared->opening.live()) {
        return not_this_step();
    }
    TRY(check_gate(*shared));
    TRY(shared->opening.finish_opening());
    return {};
}

// [CURVE-26] The place of a forgotten key becomes another's, with another gate or none.
void ShimKeys::forget(const LongTermKey& key) noexcept
{
    for (auto& pair : pairs_) {
        if (pair.server == &key) {
            end_pair(pair);
        }
    }
    for (auto& shared : shared_) {
        if (shared.server == &key) {
            end_shared(shared);
        }
    }
}

// [CURVE-50]
void ShimKeys::end_transients() noexcept
{
    for (auto& pair : pairs_) {
        if (pair.used && pair.role != PairRole::long_term) {
            end_pair(pair);
        }
    }
    for (auto& shared : shared_) {
        if (shared.used) {
            end_shared(shared);
        }
    }
}

// [CURVE-51] A lasting pair that nobody used yet is a program's key, and stays.
void ShimKeys::end_late(std::uint64_t now_ticks) noexcept
{
    for (auto& pair : pairs_) {
        const bool undecided = pair.role == PairRole::undecided;
        const bool stays = pair.role == PairRole::long_term || (undecided && pair.lasting);
        if (pair.used && !stays && now_ticks - pair.began_ticks > handshake_ticks_max) {
            end_pair(pair);
        }
    }
    for (auto& shared : shared_) {
        if (shared.used && now_ticks - shared.used_ticks > idle_ticks_max) {
            end_shared(shared);
        }
    }
}

} // namespace caisson::trusted::curve
