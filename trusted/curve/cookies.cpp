#include "trusted/curve/cookies.hpp"

#include "core/wire.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

using protocol::curve::cookie_nonce;
using protocol::curve::key_bytes;
using protocol::curve::long_nonce;
using protocol::curve::long_nonce_bytes;

// About half a minute at the rates of today's time-stamp counters; a cookie lives one to two of these.
constexpr std::uint64_t generation_ticks = std::uint64_t{1} << 36U;

struct ContentTag;
using Content = Secret<2 * key_bytes, ContentTag>; // C', HELLO's counter, what s' is made of
static_assert(key_bytes + sizeof(std::uint64_t) + TransientSeed::size == Content::size);

constexpr std::string_view transient_domain = "caisson s' v1";

} // namespace

// [CURVE-9]
CurveSecretKey transient_of(const TransientSeed& seed) noexcept
{
    CurveSecretKey secret;
    crypto_generichash(secret.expose().data(), CurveSecretKey::size, bytes_of(transient_domain).data(),
                       transient_domain.size(), seed.expose().data(), TransientSeed::size);
    return secret;
}

void Cookies::renew_if_due(Runtime& runtime) noexcept
{
    const auto now = runtime.ticks();
    auto& current = generations_[current_];
    if (current.live && !current.used.full() && now - current_since_ticks_ < generation_ticks) {
        return;
    }
    current_ = 1 - current_;
    auto& next = generations_[current_];
    runtime.random(next.key.expose());
    next.used.clear();
    next.live = true;
    current_since_ticks_ = now;
}

void Cookies::forget() noexcept
{
    for (auto& generation : generations_) {
        generation.key.clear();
        generation.used.clear();
        generation.live = false;
    }
}

// [CURVE-9]
Cookie Cookies::make(Runtime& runtime, const CurveKey& client_transient, std::uint64_t hello_counter,
                     const TransientSeed& seed) noexcept
{
    renew_if_due(runtime);
    Cookie cookie{};
    const auto nonce = MutableBytes(cookie).first(long_nonce_bytes);
    runtime.random(nonce);
    Content content;
    Writer writer(content.expose());
    writer.write_bytes(client_transient.bytes);
    writer.write_le(hello_counter);
    writer.write_bytes(seed.expose());
    seal_box(cookie.data() + long_nonce_bytes, content.expose(), long_nonce(cookie_nonce, nonce),
             generations_[current_].key);
    return cookie;
}

// [CURVE-10]
Result<Cookies::Opened> Cookies::take(Runtime& runtime, const Cookie& cookie) noexcept
{
    renew_if_due(runtime);
    const auto nonce = long_nonce(cookie_nonce, Bytes(cookie).first(long_nonce_bytes));
    const auto box = Bytes(cookie).subspan(long_nonce_bytes);
    for (auto& generation : generations_) {
        Content content;
        if (!generation.live || !open_box(content.expose().data(), box, nonce, generation.key)) {
            continue;
        }
        Opened opened;
        Reader reader(content.expose());
        opened.client_transient.bytes = TRY(reader.read_array<CurveKey::size>());
        opened.hello_counter = TRY(reader.read_le<std::uint64_t>());
        TransientSeed seed;
        copy_bytes(seed.expose(), reader.rest());
        opened.own_transient = transient_of(seed);
        Mark mark;
        copy_bytes(mark, Bytes(opened.client_transient.bytes).first(mark.size()));
        if (std::find(generation.used.begin(), generation.used.end(), mark) != generation.used.end()) {
            return fail(Kind::expired, "a cookie was used before");
        }
        if (generation.used.full()) {
            return fail(Kind::expired, "a cookie is too old");
        }
        generation.used.add() = mark;
        return opened;
    }
    return fail(Kind::unauthentic, "a cookie was not made here, or is too old");
}

} // namespace caisson::trusted::curve
