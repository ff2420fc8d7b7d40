#include "trusted/curve/session.hpp"

#include "core/crypto/constant_time.hpp"

#include <algorithm>
#include <utility>

namespace caisson::trusted::curve {
namespace {

namespace wire = protocol::curve;
using wire::short_nonce_bytes;
using wire::tag_bytes;

// A command body after its name, which it must have.
Result<Reader> after_name(Bytes body, std::string_view name) noexcept
{
    Reader reader(body);
    if (text_of(TRY(reader.read_bytes(name.size()))) != name) {
        return fail(Kind::malformed, "another command was expected");
    }
    return reader;
}

struct Counted {
    std::uint64_t counter = 0;
    Bytes box;
};

// Short nonce and box: the end of READY and MESSAGE.
Result<Counted> read_counted(Bytes body, std::string_view name) noexcept
{
    auto reader = TRY(after_name(body, name));
    Counted counted;
    counted.counter = TRY(reader.read_be<std::uint64_t>());
    counted.box = reader.rest();
    return counted;
}

bool is_letter(std::uint8_t octet) noexcept
{
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') || (octet >= '0' && octet <= '9') ||
           octet == '-' || octet == '_' || octet == '.' || octet == '+';
}

// Name, counter and box of `text`.
Result<std::size_t> write_counted(Session& session, std::string_view name, std::string_view prefix, Bytes text,
                                  MutableBytes output) noexcept
{
    const auto size = name.size() + short_nonce_bytes + tag_bytes + text.size();
    if (output.size() < size) {
        return fail(Kind::exhausted, "the buffer for a command is too small");
    }
    const auto counter = TRY(next_counter(session));
    Writer writer(output);
    writer.write_bytes(bytes_of(name));
    writer.write_be(counter);
    seal_box(writer.rest().data(), text, wire::short_nonce(prefix, counter), session.key);
    return size;
}

} // namespace

Result<Session*> Sessions::open(std::uint64_t now_ticks) noexcept
{
    Session* session = nullptr;
    if (free_count_ > 0) {
        session = &sessions_[free_first_];
        free_first_ = session->next_free;
        --free_count_;
    } else {
        session = TRY(sessions_.add());
    }
    const auto index = static_cast<std::uint32_t>(session - sessions_.begin());
    generation_ = std::max((generation_ + 1) & ((1U << (32 - index_bits)) - 1), std::uint32_t{1});
    session->id = (generation_ << index_bits) | index;
    session->began_ticks = now_ticks;
    return session;
}

Result<Session*> Sessions::find(std::uint32_t id) noexcept
{
    auto* const session = at(id);
    if (session == nullptr) {
        return fail(Kind::missing, "there is no such session");
    }
    return session;
}

Result<const Session*> Sessions::find(std::uint32_t id) const noexcept
{
    return TRY(const_cast<Sessions*>(this)->find(id));
}

void Sessions::close(Session& session) noexcept
{
    if (session.id == 0) {
        return;
    }
    wipe(session.cookie);
    session = Session{};
    const auto index = static_cast<std::uint32_t>(&session - sessions_.begin());
    (free_count_ == 0 ? free_first_ : sessions_[free_last_].next_free) = index;
    free_last_ = index;
    ++free_count_;
}

std::span<Session> Sessions::places(std::size_t first, std::size_t count) noexcept
{
    const auto rest = sessions_.all().subspan(std::min(first, sessions_.size()));
    return rest.first(std::min(count, rest.size()));
}

void Sessions::close_all_of(std::uint32_t own_key) noexcept
{
    for (auto& session : sessions_) {
        if (session.id != 0 && session.own_key == own_key) {
            close(session);
        }
    }
}

void Sessions::close_all() noexcept
{
    for (auto& session : sessions_) {
        if (session.id != 0) {
            close(session);
        }
    }
}

// [CURVE-51]
void Sessions::close_late_handshakes(std::uint64_t now_ticks) noexcept
{
    for (auto& session : sessions_) {
        const bool shaking = session.state < SessionState::open;
        if (session.id != 0 && shaking && now_ticks - session.began_ticks > handshake_ticks_max) {
            close(session);
        }
    }
}

// [CURVE-5]
Result<std::size_t> produce_hello(Runtime& runtime, Session& session, MutableBytes output) noexcept
{
    if (output.size() < wire::hello_bytes) {
        return fail(Kind::exhausted, "the buffer for HELLO is too small");
    }
    session.own_transient = make_key_pair(runtime, session.transient);
    const auto key = TRY(shared_key(session.peer, session.transient));
    session.sent = 1;
    Writer writer(output);
    writer.write_bytes(bytes_of(wire::HELLO));
    writer.write_be(std::uint16_t{0x0100}); // version 1.0
    writer.write_bytes(ByteArray<wire::hello_padding_bytes>{});
    writer.write_bytes(session.own_transient.bytes);
    writer.write_be(session.sent);
    seal_box(writer.rest().data(), ByteArray<wire::hello_zeros_bytes>{},
             wire::short_nonce(wire::hello_nonce, session.sent), key);
    return wire::hello_bytes;
}

// [CURVE-6] [CURVE-7] [CURVE-8]
Result<std::size_t> process_hello(Runtime& runtime, Cookies& cookies, const LongTermKey& own, Bytes body,
                                  MutableBytes output) noexcept
{
    auto reader = TRY(after_name(body, wire::HELLO));
    if (body.size() != wire::hello_bytes || TRY(reader.read_be<std::uint16_t>()) != 0x0100) {
        return fail(Kind::malformed, "HELLO has another size or version");
    }
    const auto padding = TRY(reader.read_array<wire::hello_padding_bytes>());
    if (padding != ByteArray<wire::hello_padding_bytes>{}) {
        return fail(Kind::malformed, "HELLO's padding is not zero");
    }
    CurveKey client_transient;
    client_transient.bytes = TRY(reader.read_array<CurveKey::size>());
    const auto counter = TRY(reader.read_be<std::uint64_t>());
    const auto key = TRY(shared_key(client_transient, own.secret));
    ByteArray<wire::hello_zeros_bytes> zeros;
    TRY(open_box(zeros.data(), reader.rest(), wire::short_nonce(wire::hello_nonce, counter), key));
    if (zeros != ByteArray<wire::hello_zeros_bytes>{}) {
        return fail(Kind::malformed, "HELLO's box does not hold zeros");
    }
    if (output.size() < wire::welcome_bytes) {
        return fail(Kind::exhausted, "the buffer for WELCOME is too small");
    }
    TransientSeed seed;
    runtime.random(seed.expose());
    const auto own_transient = public_key_of(transient_of(seed));
    ByteArray<CurveKey::size + wire::cookie_bytes> content;
    copy_bytes(content, own_transient.bytes);
    copy_bytes(MutableBytes(content).subspan(CurveKey::size), cookies.make(runtime, client_transient, counter, seed));
    ByteArray<wire::long_nonce_bytes> random;
    runtime.random(random);
    Writer writer(output);
    writer.write_bytes(bytes_of(wire::WELCOME));
    writer.write_bytes(random);
    seal_box(writer.rest().data(), content, wire::long_nonce(wire::welcome_nonce, random), key);
    return wire::welcome_bytes;
}

Status process_welcome(Session& session, Bytes body) noexcept
{
    auto reader = TRY(after_name(body, wire::WELCOME));
    if (body.size() != wire::welcome_bytes) {
        return fail(Kind::malformed, "WELCOME has another size");
    }
    const auto random = TRY(reader.read_bytes(wire::long_nonce_bytes));
    const auto key = TRY(shared_key(session.peer, session.transient));
    ByteArray<CurveKey::size + wire::cookie_bytes> content;
    TRY(open_box(content.data(), reader.rest(), wire::long_nonce(wire::welcome_nonce, random), key));
    copy_bytes(session.peer_transient.bytes, Bytes(content).first(CurveKey::size));
    copy_bytes(session.cookie, Bytes(content).subspan(CurveKey::size));
    session.key = TRY(shared_key(session.peer_transient, session.transient));
    return {};
}

// [CURVE-11]
Result<std::size_t> produce_initiate(Runtime& runtime, Session& session, const LongTermKey& own, Bytes metadata,
                                     MutableBytes output) noexcept
{
    TRY(check_metadata(metadata));
    const auto size = wire::initiate_bytes_min + metadata.size();
    if (output.size() < size) {
        return fail(Kind::exhausted, "the buffer for INITIATE is too small");
    }
    session.sent = 2;
    Writer writer(output);
    writer.write_bytes(bytes_of(wire::INITIATE));
    writer.write_bytes(session.cookie);
    writer.write_be(session.sent);
    // The content is written where it will be encrypted in place: own key, vouch, metadata.
    auto* box = writer.rest().data();
    Writer content(writer.rest().subspan(tag_bytes));
    content.write_bytes(own.public_key.bytes);
    ByteArray<wire::long_nonce_bytes> random;
    runtime.random(random);
    content.write_bytes(random);
    ByteArray<2 * CurveKey::size> vouch;
    copy_bytes(vouch, session.own_transient.bytes);
    copy_bytes(MutableBytes(vouch).subspan(CurveKey::size), session.peer.bytes);
    const auto vouch_key = TRY(shared_key(session.peer_transient, own.secret));
    seal_box(content.rest().data(), vouch, wire::long_nonce(wire::vouch_nonce, random), vouch_key);
    content.advance(vouch.size() + tag_bytes);
    content.write_bytes(metadata);
    const auto written = TRY(content.finish());
    seal_box(box, {box + tag_bytes, written}, wire::short_nonce(wire::initiate_nonce, session.sent), session.key);
    session.transient.clear(); // [CURVE-14] its last use
    wipe(session.cookie);
    return size;
}

// [CURVE-12]
Result<Initiated> process_initiate(Runtime& runtime, Cookies& cookies, const LongTermKey& own, Bytes body,
                                   MutableBytes metadata) noexcept
{
    auto reader = TRY(after_name(body, wire::INITIATE));
    if (body.size() < wire::initiate_bytes_min ||
        body.size() > wire::initiate_bytes_min + airlock::curve::metadata_bytes_max) {
        return fail(Kind::malformed, "INITIATE is too short or too long");
    }
    const auto cookie = TRY(reader.read_array<wire::cookie_bytes>());
    const auto opened_cookie = TRY(cookies.take(runtime, cookie));
    Initiated out;
    out.counter = TRY(reader.read_be<std::uint64_t>());
    out.key = TRY(shared_key(opened_cookie.client_transient, opened_cookie.own_transient));
    const auto box = reader.rest();
    if (metadata.size() < box.size()) {
        return fail(Kind::exhausted, "the buffer for metadata is too small");
    }
    TRY(open_box(metadata.data(), box, wire::short_nonce(wire::initiate_nonce, out.counter), out.key));
    Reader content(metadata.first(box.size() - tag_bytes));
    out.client.bytes = TRY(content.read_array<CurveKey::size>());
    const auto random = TRY(content.read_array<wire::long_nonce_bytes>());
    const auto vouch_box = TRY(content.read_bytes(2 * CurveKey::size + tag_bytes));
    const auto vouch_key = TRY(shared_key(out.client, opened_cookie.own_transient));
    ByteArray<2 * CurveKey::size> vouch;
    TRY(open_box(vouch.data(), vouch_box, wire::long_nonce(wire::vouch_nonce, random), vouch_key));
    if (!same_bytes(Bytes(vouch).first(CurveKey::size), opened_cookie.client_transient.bytes) ||
        !same_bytes(Bytes(vouch).subspan(CurveKey::size), own.public_key.bytes)) {
        return fail(Kind::unauthentic, "the vouch speaks of another session or server");
    }
    TRY(check_metadata(content.rest()));
    if (out.counter <= opened_cookie.hello_counter) { // [CURVE-13]
        return fail(Kind::malformed, "INITIATE's nonce is not above HELLO's");
    }
    if (out.counter >= counter_max) {
        return fail(Kind::malformed, "INITIATE's nonce is none");
    }
    out.metadata_bytes = content.rest().size();
    copy_bytes(metadata, content.rest());
    return out;
}

Result<std::size_t> produce_ready(Session& session, Bytes metadata, MutableBytes output) noexcept
{
    TRY(check_metadata(metadata));
    return write_counted(session, wire::READY, wire::ready_nonce, metadata, output);
}

Result<std::size_t> process_ready(Session& session, Bytes body, MutableBytes metadata) noexcept
{
    const auto counted = TRY(read_counted(body, wire::READY));
    if (counted.box.size() < tag_bytes || counted.box.size() - tag_bytes > airlock::curve::metadata_bytes_max) {
        return fail(Kind::malformed, "READY is too short or too long");
    }
    if (metadata.size() < counted.box.size()) {
        return fail(Kind::exhausted, "the buffer for metadata is too small");
    }
    TRY(take_counter(session, counted.counter));
    TRY(open_box(metadata.data(), counted.box, wire::short_nonce(wire::ready_nonce, counted.counter), session.key));
    const auto size = counted.box.size() - tag_bytes;
    TRY(check_metadata(metadata.first(size)));
    session.received = counted.counter;
    return size;
}

// [CURVE-17] Not encrypted, so believed for nothing but words to the operator.
Result<std::size_t> process_error(Bytes body, MutableBytes reason) noexcept
{
    auto reader = TRY(after_name(body, wire::ERROR));
    const auto size = TRY(reader.read_le<std::uint8_t>());
    const auto text = TRY(reader.read_bytes(size));
    TRY(reader.finish());
    if (reason.size() < text.size()) {
        return fail(Kind::exhausted, "the buffer for a reason is too small");
    }
    for (std::size_t index = 0; index < text.size(); ++index) {
        const bool printable = text[index] >= 0x20 && text[index] < 0x7f;
        reason[index] = printable ? text[index] : std::uint8_t{'?'};
    }
    return text.size();
}

Status check_metadata(Bytes metadata) noexcept
{
    if (metadata.size() > airlock::curve::metadata_bytes_max) {
        return fail(Kind::malformed, "the metadata is too long");
    }
    Reader reader(metadata);
    while (!reader.rest().empty()) {
        const auto name_size = TRY(reader.read_le<std::uint8_t>());
        const auto name = TRY(reader.read_bytes(name_size));
        if (name.empty() || !std::all_of(name.begin(), name.end(), is_letter)) {
            return fail(Kind::malformed, "a property's name is empty or has other letters");
        }
        const auto value_size = TRY(reader.read_be<std::uint32_t>());
        TRY(reader.read_bytes(value_size));
    }
    return {};
}

} // namespace caisson::trusted::curve
