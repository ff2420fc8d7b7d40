// The chamber's requests about keys and about the gate.
#include "core/check.hpp"
#include "core/wire.hpp"
#include "trusted/curve/chamber.hpp"

#include <sodium.h>

namespace caisson::trusted::curve {

Result<std::size_t> Chamber::answer_new_key(const LongTermKey& key, MutableBytes output) noexcept
{
    Writer writer(output);
    writer.write_bytes(key.public_key.bytes);
    const auto sealed = TRY(seal_key(runtime_, key, writer.rest()));
    writer.advance(sealed);
    return writer.finish();
}

namespace {

// flags, verifier and list signer at the front of a request for a new key.
Status read_gate(Reader& reader, LongTermKey& key) noexcept
{
    const auto flags = TRY(reader.read_le<std::uint32_t>());
    key.gated = (flags & airlock::curve::key_gated) != 0;
    key.listed = (flags & airlock::curve::key_listed) != 0;
    if (flags != flags_of(key)) {
        return fail(Kind::malformed, "a key with unknown flags");
    }
    key.verifier.bytes = TRY(reader.read_array<protocol::VerifyingKey::size>());
    if (key.gated == (key.verifier == protocol::VerifyingKey{})) {
        return fail(Kind::malformed, "a gated key needs a verifier, and only that one");
    }
    if (key.listed) {
        key.list_signer.bytes = TRY(reader.read_array<protocol::VerifyingKey::size>());
        if (key.list_signer == protocol::VerifyingKey{}) {
            return fail(Kind::malformed, "a listed key needs who signs its list");
        }
    }
    return {};
}

} // namespace

Result<std::size_t> Chamber::create_key_pair(Bytes input, MutableBytes output) noexcept
{
    LongTermKey key;
    Reader reader(input);
    TRY(read_gate(reader, key));
    TRY(reader.finish());
    key.public_key = make_key_pair(runtime_, key.secret);
    return answer_new_key(key, output);
}

Result<std::size_t> Chamber::import_private_key(Bytes input, MutableBytes output) noexcept
{
    LongTermKey key;
    Reader reader(input);
    TRY(read_gate(reader, key));
    const auto secret = TRY(reader.read_bytes(CurveSecretKey::size));
    TRY(reader.finish());
    copy_bytes(key.secret.expose(), secret);
    key.public_key = public_key_of(key.secret);
    return answer_new_key(key, output);
}

Result<std::size_t> Chamber::import_sealed_private_key(Bytes input, MutableBytes output) noexcept
{
    LongTermKey key;
    TRY(unseal_key(runtime_, input, key));
    TRY(gate_for(key));
    const auto* loaded = TRY(keys_.add(std::move(key)));
    Writer writer(output);
    writer.write_le(loaded->id);
    writer.write_le(flags_of(*loaded));
    writer.write_bytes(loaded->public_key.bytes);
    writer.write_bytes(loaded->handle.bytes);
    writer.write_bytes(loaded->verifier.bytes);
    writer.write_bytes(loaded->list_signer.bytes);
    return writer.finish();
}

Result<std::size_t> Chamber::export_sealed_private_key(Bytes input, MutableBytes output) noexcept
{
    Reader reader(input);
    const auto id = TRY(reader.read_le<std::uint32_t>());
    const auto* key = TRY(keys_.find(id));
    return seal_key(runtime_, *key, output);
}

// [CURVE-26]
Result<std::size_t> Chamber::forget_key(Bytes input, MutableBytes /*output*/) noexcept
{
    Reader reader(input);
    const auto id = TRY(reader.read_le<std::uint32_t>());
    auto* key = TRY(keys_.find(id));
    sessions_.close_all_of(id);
    e2e_sessions_.close_all_of(id);
    letters_.forget_all_of(id);
    shim_keys_.forget(*key);
    keys_.remove(*key);
    return std::size_t{0};
}

// [CURVE-4]
Result<std::size_t> Chamber::report_key(Bytes input, MutableBytes output) noexcept
{
    Reader reader(input);
    const auto id = TRY(reader.read_le<std::uint32_t>());
    const auto* key = TRY(keys_.find(id));
    protocol::sgx::TargetInfo target;
    std::memcpy(&target, reader.rest().data(), sizeof target);
    protocol::sgx::ReportData data{};
    crypto_hash_sha256_state hash;
    crypto_hash_sha256_init(&hash);
    constexpr auto domain = airlock::curve::report_domain;
    crypto_hash_sha256_update(&hash, bytes_of(domain).data(), domain.size());
    crypto_hash_sha256_update(&hash, key->public_key.bytes.data(), key->public_key.bytes.size());
    crypto_hash_sha256_final(&hash, data.data());
    const auto report = runtime_.report(target, data);
    Writer writer(output);
    writer.write_bytes({reinterpret_cast<const std::uint8_t*>(&report), sizeof report});
    return writer.finish();
}

const Gate* Chamber::trust_gate() const noexcept
{
    for (std::size_t index = 0; index < gates_.size(); ++index) {
        if (gates_[index].asks_trust()) {
            return &gates_[index];
        }
    }
    return nullptr;
}

// One nonce for all gates: each knows its own server's signature.
Result<std::size_t> Chamber::time_nonce(Bytes /*input*/, MutableBytes output) noexcept
{
    const protocol::TimeNonce* nonce = nullptr;
    for (std::size_t index = 0; index < gates_.size(); ++index) {
        auto& clock = gates_[index].clock();
        if (!gates_[index].asks_trust()) {
            continue;
        }
        if (nonce == nullptr) {
            nonce = &clock.make_nonce(runtime_);
        } else {
            clock.use_nonce(*nonce, runtime_.ticks());
        }
    }
    if (nonce == nullptr) {
        return fail(Kind::missing, "no key in the chamber is gated");
    }
    Writer writer(output);
    writer.write_bytes(nonce->bytes);
    return writer.finish();
}

// [CURVE-50]
Result<std::size_t> Chamber::new_epoch(Bytes /*input*/, MutableBytes /*output*/) noexcept
{
    end_epoch();
    return std::size_t{0};
}

// [CURVE-50] Between tokens the estimate runs ahead of the true time. A token that is ahead of it says that ticks were
// lost: the machine stood still, and may have been copied meanwhile.
Status Chamber::take_time_token(Gate& gate, Bytes token) noexcept
{
    constexpr std::uint64_t slack_ms = 1000; // the server's clock may be set
    const auto now = runtime_.ticks();
    const bool known = gate.clock().known();
    const auto estimated_ms = known ? gate.clock().now_ms(now) : 0;
    TRY(gate.accept_token(token, now));
    if (known && gate.clock().last_ms() > estimated_ms + slack_ms) {
        end_epoch();
    }
    return {};
}

template <typename Take>
Status Chamber::offer(Take take) noexcept
{
    Status refusal = fail(Kind::missing, "no key in the chamber is gated");
    bool taken = false;
    for (std::size_t index = 0; index < gates_.size(); ++index) {
        if (!gates_[index].asks_trust()) {
            continue;
        }
        const Status answer = take(gates_[index]);
        taken = taken || answer;
        if (!answer && (refusal.error().kind == Kind::missing || answer.error().kind != Kind::unauthentic)) {
            refusal = answer;
        }
    }
    return taken ? Status{} : refusal;
}

Result<std::size_t> Chamber::accept_time_token(Bytes input, MutableBytes /*output*/) noexcept
{
    TRY(offer([&](Gate& gate) noexcept { return take_time_token(gate, input); }));
    return std::size_t{0};
}

Result<std::size_t> Chamber::accept_result(Bytes input, MutableBytes /*output*/) noexcept
{
    TRY(offer([&](Gate& gate) noexcept { return gate.accept_result(input, runtime_.ticks()); }));
    return std::size_t{0};
}

// [CURVE-61] Which of the pinned signers it is from, its signature tells.
Result<std::size_t> Chamber::accept_access_list(Bytes input, MutableBytes output) noexcept
{
    Status refusal = fail(Kind::missing, "no key in the chamber has an access list");
    for (std::size_t index = 0; index < lists_.size(); ++index) {
        refusal = lists_[index].accept(input);
        if (refusal) {
            Writer writer(output);
            writer.write_le(lists_[index].serial());
            writer.write_le(static_cast<std::uint32_t>(lists_[index].count()));
            return writer.finish();
        }
        if (refusal.error().kind != Kind::unauthentic) {
            break;
        }
    }
    return std::unexpected(refusal.error());
}

Result<std::size_t> Chamber::gate_state(Bytes /*input*/, MutableBytes output) noexcept
{
    const auto now = runtime_.ticks();
    auto state = airlock::curve::GateState::never;
    Writer writer(output);
    const auto* gate = trust_gate();
    if (gate != nullptr && gate->clock().known()) {
        state = gate->clock().fresh(now) ? airlock::curve::GateState::open : airlock::curve::GateState::stale;
    }
    const bool known = state != airlock::curve::GateState::never;
    writer.write_le(static_cast<std::uint32_t>(state));
    writer.write_le(known ? gate->clock().age_ms(now) : std::uint64_t{0});
    writer.write_le(known ? gate->clock().messages_left() : std::uint64_t{0});
    writer.write_le(gate != nullptr ? gate->result_count() : std::uint32_t{0});
    return writer.finish();
}

Result<std::size_t> Chamber::peer_state(Bytes input, MutableBytes output) noexcept
{
    CurveKey peer;
    copy_bytes(peer.bytes, input);
    Gate::PeerState state;
    for (std::size_t index = 0; index < gates_.size() && !state.admitted; ++index) {
        state = gates_[index].peer_state(peer, runtime_.ticks());
    }
    Writer writer(output);
    writer.write_le(state.admitted ? std::uint32_t{1} : std::uint32_t{0});
    writer.write_le(static_cast<std::uint32_t>(state.tier));
    writer.write_le(state.expires_in_ms);
    writer.write_bytes(state.node.bytes);
    writer.write_bytes(state.mrenclave);
    return writer.finish();
}

} // namespace caisson::trusted::curve
