#include "trusted/curve/handshake_step.hpp"

#include <utility>

namespace caisson::trusted::curve {
namespace {

namespace wire = protocol::curve;
using wire::tag_bytes;

constexpr std::uint16_t version = 0x0100; // 1.0

void want(HandshakeStep& step, const CurveKey& theirs, const CurveSecretKey& secret,
          Status (*then)(Sources&, HandshakeStep&) noexcept) noexcept
{
    step.theirs = &theirs;
    step.secret = &secret;
    step.go_on = then;
}

// Its key opens WELCOME too.
Status write_hello(Sources& /*sources*/, HandshakeStep& step) noexcept
{
    auto& session = *step.session;
    session.key = std::move(step.key);
    session.sent = 1;
    Writer writer(step.output);
    writer.write_bytes(bytes_of(wire::HELLO));
    writer.write_be(version);
    writer.write_bytes(ByteArray<wire::hello_padding_bytes>{});
    writer.write_bytes(session.own_transient.bytes);
    writer.write_be(session.sent);
    seal_box(writer.rest().data(), ByteArray<wire::hello_zeros_bytes>{},
             wire::short_nonce(wire::hello_nonce, session.sent), session.key);
    step.written = wire::hello_bytes;
    return {};
}

// [CURVE-6] [CURVE-7] [CURVE-8]
Status answer_hello(Sources& sources, HandshakeStep& step) noexcept
{
    ByteArray<wire::hello_zeros_bytes> zeros;
    TRY(open_box(zeros.data(), step.box, wire::short_nonce(wire::hello_nonce, step.counter), step.key));
    if (zeros != ByteArray<wire::hello_zeros_bytes>{}) {
        return fail(Kind::malformed, "HELLO's box does not hold zeros");
    }
    if (step.output.size() < wire::welcome_bytes) {
        return fail(Kind::exhausted, "the buffer for WELCOME is too small");
    }
    auto& runtime = sources.runtime;
    const auto own = sources.transients.take(runtime);
    ByteArray<CurveKey::size + wire::cookie_bytes> content;
    copy_bytes(content, own.public_key.bytes);
    copy_bytes(MutableBytes(content).subspan(CurveKey::size),
               sources.cookies.make(runtime, step.client_transient, step.counter, own.seed));
    ByteArray<wire::long_nonce_bytes> random;
    runtime.random(random);
    Writer writer(step.output);
    writer.write_bytes(bytes_of(wire::WELCOME));
    writer.write_bytes(random);
    seal_box(writer.rest().data(), content, wire::long_nonce(wire::welcome_nonce, random), step.key);
    step.written = wire::welcome_bytes;
    return {};
}

Status keep_session_key(Sources& /*sources*/, HandshakeStep& step) noexcept
{
    step.session->key = std::move(step.key);
    return {};
}

Status write_initiate(Sources& sources, HandshakeStep& step) noexcept
{
    auto& session = *step.session;
    session.sent = 2;
    Writer writer(step.output);
    writer.write_bytes(bytes_of(wire::INITIATE));
    writer.write_bytes(session.cookie);
    writer.write_be(session.sent);
    // The content is written where it will be encrypted in place: own key, vouch, metadata.
    auto* box = writer.rest().data();
    Writer content(writer.rest().subspan(tag_bytes));
    content.write_bytes(step.own->public_key.bytes);
    ByteArray<wire::long_nonce_bytes> random;
    sources.runtime.random(random);
    content.write_bytes(random);
    ByteArray<2 * CurveKey::size> vouch;
    copy_bytes(vouch, session.own_transient.bytes);
    copy_bytes(MutableBytes(vouch).subspan(CurveKey::size), session.peer.bytes);
    seal_box(content.rest().data(), vouch, wire::long_nonce(wire::vouch_nonce, random), step.key);
    content.advance(vouch.size() + tag_bytes);
    content.write_bytes(step.body);
    const auto written = TRY(content.finish());
    seal_box(box, {box + tag_bytes, written}, wire::short_nonce(wire::initiate_nonce, session.sent), session.key);
    session.transient.clear(); // [CURVE-14] its last use
    wipe(session.cookie);
    step.written = wire::initiate_bytes_min + step.body.size();
    return {};
}

Status check_vouch(Sources& /*sources*/, HandshakeStep& step) noexcept
{
    Reader content(step.output.first(step.box.size() - tag_bytes));
    TRY(content.read_bytes(CurveKey::size));
    const auto random = TRY(content.read_array<wire::long_nonce_bytes>());
    const auto box = TRY(content.read_bytes(2 * CurveKey::size + tag_bytes));
    ByteArray<2 * CurveKey::size> vouch;
    TRY(open_box(vouch.data(), box, wire::long_nonce(wire::vouch_nonce, random), step.key));
    if (!same_bytes(Bytes(vouch).first(CurveKey::size), step.cookie.client_transient.bytes) ||
        !same_bytes(Bytes(vouch).subspan(CurveKey::size), step.own->public_key.bytes)) {
        return fail(Kind::unauthentic, "the vouch speaks of another session or server");
    }
    TRY(check_metadata(content.rest()));
    if (step.counter <= step.cookie.hello_counter) { // [CURVE-13]
        return fail(Kind::malformed, "INITIATE's nonce is not above HELLO's");
    }
    if (step.counter >= counter_max) {
        return fail(Kind::malformed, "INITIATE's nonce is none");
    }
    step.written = content.rest().size();
    copy_bytes(step.output, content.rest());
    return {};
}

Status open_initiate(Sources& /*sources*/, HandshakeStep& step) noexcept
{
    if (step.output.size() < step.box.size()) {
        return fail(Kind::exhausted, "the buffer for metadata is too small");
    }
    step.session_key = std::move(step.key);
    TRY(open_box(step.output.data(), step.box, wire::short_nonce(wire::initiate_nonce, step.counter),
                 step.session_key));
    Reader content(step.output.first(step.box.size() - tag_bytes));
    step.client.bytes = TRY(content.read_array<CurveKey::size>());
    want(step, step.client, step.cookie.own_transient, check_vouch);
    return {};
}

} // namespace

// [CURVE-5]
Status begin_produce_hello(Sources& sources, HandshakeStep& step) noexcept
{
    if (step.output.size() < wire::hello_bytes) {
        return fail(Kind::exhausted, "the buffer for HELLO is too small");
    }
    auto& session = *step.session;
    const auto own = sources.transients.take(sources.runtime);
    session.transient = transient_of(own.seed);
    session.own_transient = own.public_key;
    want(step, session.peer, session.transient, write_hello);
    return {};
}

// [CURVE-6]
Status begin_process_hello(HandshakeStep& step) noexcept
{
    auto reader = TRY(after_name(step.body, wire::HELLO));
    if (step.body.size() != wire::hello_bytes || TRY(reader.read_be<std::uint16_t>()) != version) {
        return fail(Kind::malformed, "HELLO has another size or version");
    }
    const auto padding = TRY(reader.read_array<wire::hello_padding_bytes>());
    if (padding != ByteArray<wire::hello_padding_bytes>{}) {
        return fail(Kind::malformed, "HELLO's padding is not zero");
    }
    step.client_transient.bytes = TRY(reader.read_array<CurveKey::size>());
    step.counter = TRY(reader.read_be<std::uint64_t>());
    step.box = reader.rest();
    want(step, step.client_transient, step.own->secret, answer_hello);
    return {};
}

Status begin_process_welcome(HandshakeStep& step) noexcept
{
    auto reader = TRY(after_name(step.body, wire::WELCOME));
    if (step.body.size() != wire::welcome_bytes) {
        return fail(Kind::malformed, "WELCOME has another size");
    }
    auto& session = *step.session;
    const auto random = TRY(reader.read_bytes(wire::long_nonce_bytes));
    ByteArray<CurveKey::size + wire::cookie_bytes> content;
    TRY(open_box(content.data(), reader.rest(), wire::long_nonce(wire::welcome_nonce, random), session.key));
    copy_bytes(session.peer_transient.bytes, Bytes(content).first(CurveKey::size));
    copy_bytes(session.cookie, Bytes(content).subspan(CurveKey::size));
    want(step, session.peer_transient, session.transient, keep_session_key);
    return {};
}

// [CURVE-11]
Status begin_produce_initiate(HandshakeStep& step) noexcept
{
    TRY(check_metadata(step.body));
    if (step.output.size() < wire::initiate_bytes_min + step.body.size()) {
        return fail(Kind::exhausted, "the buffer for INITIATE is too small");
    }
    want(step, step.session->peer_transient, step.own->secret, write_initiate);
    return {};
}

// [CURVE-12]
Status begin_process_initiate(Sources& sources, HandshakeStep& step) noexcept
{
    auto reader = TRY(after_name(step.body, wire::INITIATE));
    if (step.body.size() < wire::initiate_bytes_min ||
        step.body.size() > wire::initiate_bytes_min + airlock::curve::metadata_bytes_max) {
        return fail(Kind::malformed, "INITIATE is too short or too long");
    }
    const auto cookie = TRY(reader.read_array<wire::cookie_bytes>());
    step.cookie = TRY(sources.cookies.take(sources.runtime, cookie));
    step.counter = TRY(reader.read_be<std::uint64_t>());
    step.box = reader.rest();
    want(step, step.cookie.client_transient, step.cookie.own_transient, open_initiate);
    return {};
}

Status go_on(Sources& sources, HandshakeStep& step, bool has_key) noexcept
{
    const auto then = std::exchange(step.go_on, nullptr);
    if (!has_key) {
        return fail(Kind::unauthentic, "a public key is a point of low order");
    }
    return then(sources, step);
}

} // namespace caisson::trusted::curve
