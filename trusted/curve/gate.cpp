#include "trusted/curve/gate.hpp"

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

// Until two tokens have shown the rate, and whatever they show: slower counters than 500 MHz and faster than 10 GHz are
// nobody's, so a host that plays with the counter stretches a hold time by no more than their ratio.
constexpr std::uint64_t ticks_per_ms_min = 500'000;
constexpr std::uint64_t ticks_per_ms_max = 10'000'000;
constexpr std::uint64_t calibration_ms_min = 20;

} // namespace

Clock::Clock() noexcept
    : ticks_per_ms_(ticks_per_ms_min)
{
}

const protocol::TimeNonce& Clock::make_nonce(Runtime& runtime) noexcept
{
    runtime.random(nonce_.bytes);
    nonce_live_ = true;
    nonce_ticks_ = runtime.ticks();
    return nonce_;
}

void Clock::use_nonce(const protocol::TimeNonce& nonce, std::uint64_t now_ticks) noexcept
{
    nonce_ = nonce;
    nonce_live_ = true;
    nonce_ticks_ = now_ticks;
}

// [CURVE-21] Between two signatures at least (made_now - accepted_before) ticks passed and at most
// (accepted_now - made_before): the first bounds the rate from below, and the second tells when the counter has slowed.
void Clock::calibrate(const protocol::TimeToken& token, std::uint64_t now_ticks) noexcept
{
    const auto elapsed_ms = token.time_ms - last_.time_ms;
    if (elapsed_ms < calibration_ms_min || nonce_ticks_ <= last_accepted_ticks_) {
        return;
    }
    const auto least = (nonce_ticks_ - last_accepted_ticks_) / (elapsed_ms + 1);
    const auto most = (now_ticks - last_made_ticks_) / (elapsed_ms - 1);
    ticks_per_ms_ = std::max(ticks_per_ms_, least);
    ticks_per_ms_ = std::clamp(std::min(ticks_per_ms_, most), ticks_per_ms_min, ticks_per_ms_max);
}

// [CURVE-20]
Status Clock::accept(const protocol::TimeToken& token, std::uint64_t now_ticks) noexcept
{
    if (!nonce_live_ || token.nonce != nonce_) {
        return fail(Kind::forbidden, "a time token answers another nonce");
    }
    nonce_live_ = false;
    if (known() && token.time_ms < last_.time_ms) {
        return fail(Kind::conflict, "a time token would turn time back");
    }
    if (known()) {
        calibrate(token, now_ticks);
    }
    last_ = token;
    last_made_ticks_ = nonce_ticks_;
    last_accepted_ticks_ = now_ticks;
    messages_left_ = token.messages_max;
    ++tokens_;
    return {};
}

std::uint64_t Clock::age_ms(std::uint64_t now_ticks) const noexcept
{
    return (now_ticks - last_made_ticks_) / ticks_per_ms_ + 1;
}

std::uint64_t Clock::now_ms(std::uint64_t now_ticks) const noexcept
{
    return last_.time_ms + age_ms(now_ticks);
}

// [CURVE-22]
bool Clock::fresh(std::uint64_t now_ticks) const noexcept
{
    return known() && age_ms(now_ticks) < last_.hold_ms;
}

// [CURVE-23]
bool Clock::take_message() noexcept
{
    if (messages_left_ == 0) {
        return false;
    }
    --messages_left_;
    return true;
}

Status Gate::accept_token(Bytes document, std::uint64_t now_ticks) noexcept
{
    const auto token = TRY(protocol::verify_time_token(document, verifier_));
    return clock_.accept(token, now_ticks);
}

Gate::Node* Gate::find(const protocol::WitnessKey& node) noexcept
{
    const auto found = std::find_if(nodes_.begin(), nodes_.end(), [&node](const Node& candidate) {
        return candidate.used && candidate.node == node;
    });
    return found == nodes_.end() ? nullptr : &*found;
}

Result<Gate::Node*> Gate::place_for_new(std::uint64_t now_ticks) noexcept
{
    for (auto& candidate : nodes_) {
        const bool over = clock_.known() && candidate.expires_ms < clock_.now_ms(now_ticks);
        if (!candidate.used || over) {
            forgotten_issued_ms_ = std::max(forgotten_issued_ms_, candidate.issued_ms);
            candidate = Node{};
            return &candidate;
        }
    }
    return fail(Kind::exhausted, "the gate knows as many nodes as it can");
}

// [CURVE-24] Also where the newest result gave way: it may have been a bad one that expired before an older good one.
Status Gate::accept_result(Bytes document, std::uint64_t now_ticks) noexcept
{
    const auto result = TRY(protocol::verify_attestation_result(document, verifier_));
    auto* place = find(result.node);
    if (result.issued_ms < (place != nullptr ? place->issued_ms : forgotten_issued_ms_)) {
        return fail(Kind::conflict, "an older Attestation Result than the one that is known");
    }
    if (place == nullptr) {
        place = TRY(place_for_new(now_ticks));
    }
    place->used = true;
    place->node = result.node;
    place->issued_ms = result.issued_ms;
    place->expires_ms = result.expires_ms;
    place->status = result.status;
    place->key_count = 0;
    for (std::size_t index = 0; index < result.key_count; ++index) {
        const auto& claim = result.keys[index];
        // A key that lives in a debug enclave, or in none, is nobody's.
        if (!claim.debug && claim.platform != protocol::sgx::Platform::inproc) {
            place->mrenclaves[place->key_count] = claim.mrenclave;
            place->keys[place->key_count++] = claim.key;
        }
    }
    return {};
}

std::optional<std::size_t> Gate::place_of(const Node& node, const CurveKey& peer) const noexcept
{
    for (std::size_t place = 0; node.used && place < node.key_count; ++place) {
        if (node.keys[place] == peer) {
            return place;
        }
    }
    return std::nullopt;
}

Gate::PeerState Gate::peer_state(const CurveKey& peer, std::uint64_t now_ticks) const noexcept
{
    PeerState state;
    if (!clock_.known()) {
        return state;
    }
    const auto now = clock_.now_ms(now_ticks);
    bool trusted_by_all = clock_.fresh(now_ticks);
    bool owned = false;
    for (const auto& node : nodes_) {
        const auto place = place_of(node, peer);
        if (!place) {
            continue;
        }
        owned = true;
        state.node = node.node;
        state.mrenclave = node.mrenclaves[*place];
        state.tier = node.status;
        state.expires_in_ms = node.expires_ms > now ? node.expires_ms - now : 0;
        trusted_by_all = trusted_by_all && node.status == protocol::TrustTier::affirming && node.expires_ms > now;
    }
    state.admitted = owned && trusted_by_all;
    return state;
}

// [CURVE-62] A list that is over names nobody, where there is a time to know it by.
bool Gate::list_names(const CurveKey& peer, std::uint64_t now_ticks) const noexcept
{
    const bool over =
        list_->expires_ms() != 0 && asks_trust() && clock_.known() && list_->expires_ms() <= clock_.now_ms(now_ticks);
    return !over && list_->names(peer);
}

// [CURVE-25] [CURVE-60]
bool Gate::admits(const CurveKey& peer, std::uint64_t now_ticks) const noexcept
{
    return (list_ == nullptr || list_names(peer, now_ticks)) && (!asks_trust() || peer_state(peer, now_ticks).admitted);
}

bool Gate::permits_message(const CurveKey& peer, std::uint64_t now_ticks) noexcept
{
    return admits(peer, now_ticks) && (!asks_trust() || clock_.take_message());
}

std::uint32_t Gate::result_count() const noexcept
{
    return static_cast<std::uint32_t>(
        std::count_if(nodes_.begin(), nodes_.end(), [](const Node& node) { return node.used; }));
}

} // namespace caisson::trusted::curve
