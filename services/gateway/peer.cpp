#include "services/gateway/peer.hpp"

#include "core/text.hpp"
#include "protocol/curve.hpp"

#include <unistd.h>

namespace caisson::services::gateway {
namespace {

namespace curve = protocol::curve;
namespace zmtp = protocol::zmtp;
using host::enclave::CurveMessage;

constexpr std::chrono::seconds handshake_time{30}; // libzmq's own
constexpr std::size_t handshake_body_bytes_max = curve::initiate_bytes_min + airlock::curve::metadata_bytes_max;
constexpr std::size_t message_body_bytes_max = airlock::message_bytes_max + curve::message_overhead_bytes;
constexpr std::size_t output_bytes_max = std::size_t{1} << 20U; // above it the other side is not read from
constexpr std::size_t batch_max = 64;
constexpr std::size_t own_properties_bytes_max = 512;

std::string z85(const protocol::CurveKey& key)
{
    std::string text(protocol::CurveKey::size / 4 * 5, '\0');
    write_z85(text, key.bytes);
    return text;
}

std::string hex(Bytes bytes)
{
    std::string text(2 * bytes.size(), '\0');
    write_hex(text, bytes);
    return text;
}

// [ZMTP-5] Inside the box COMMAND is 2, on the plain wire 4; MORE is 1 in both.
std::uint8_t plain_flags(std::uint32_t inner) noexcept
{
    return static_cast<std::uint8_t>(((inner & airlock::curve::message_more) != 0 ? zmtp::frame_more : 0U) |
                                     ((inner & airlock::curve::message_command) != 0 ? zmtp::frame_command : 0U));
}

std::uint32_t inner_flags(std::uint8_t plain) noexcept
{
    return ((plain & zmtp::frame_more) != 0 ? airlock::curve::message_more : 0U) |
           ((plain & zmtp::frame_command) != 0 ? airlock::curve::message_command : 0U);
}

// Frames of one stream that are there whole, up to a batch.
Result<std::vector<zmtp::Frame>> frames_in(const Stream& stream, std::size_t body_bytes_max)
{
    std::vector<zmtp::Frame> frames;
    auto rest = stream.input();
    while (frames.size() < batch_max) {
        const auto frame = TRY(zmtp::read_frame(rest, body_bytes_max));
        if (!frame) {
            break;
        }
        frames.push_back(*frame);
        rest = rest.subspan(frame->wire_bytes);
    }
    return frames;
}

std::size_t wire_bytes_of(std::span<const zmtp::Frame> frames)
{
    std::size_t size = 0;
    for (const auto& frame : frames) {
        size += frame.wire_bytes;
    }
    return size;
}

} // namespace

Peer::Peer(const PeerContext& context, ListeningSocket::Accepted accepted)
    : context_(context)
    , client_(std::move(accepted.stream))
    , source_(std::move(accepted.source))
    , name_(std::move(accepted.name))
{
    client_.write(zmtp::write_greeting({zmtp::Mechanism::curve, 1}));
    advance();
}

Peer::~Peer()
{
    close_session();
}

void Peer::close_session()
{
    if (std::exchange(kept_, false)) {
        context_.feeder->release_peer(client_key_);
    }
    if (session_ != 0) {
        context_.chamber.close_session(std::exchange(session_, 0));
    }
}

void Peer::want() const
{
    if (context_.feeder != nullptr) {
        context_.feeder->want_peer(client_key_);
    }
}

void Peer::end(const std::string& why)
{
    if (stage_ == Stage::ended) {
        return;
    }
    context_.log(name_ + ": " + why);
    stage_ = Stage::ended;
    client_.close();
    backend_.close();
    close_session();
}

Peer::Wish Peer::client_wish() const noexcept
{
    return {client_.descriptor(), backend_.output_bytes() < output_bytes_max, client_.output_bytes() > 0};
}

Peer::Wish Peer::backend_wish() const noexcept
{
    return {backend_.descriptor(), client_.output_bytes() < output_bytes_max, backend_.output_bytes() > 0};
}

void Peer::on_client_ready(bool readable, bool writable)
{
    if ((readable && !client_.read_some()) || (writable && !client_.flush())) {
        end("the client is gone");
        return;
    }
    advance();
}

void Peer::on_backend_ready(bool readable, bool writable)
{
    if ((readable && !backend_.read_some()) || (writable && !backend_.flush())) {
        end(stage_ == Stage::open ? "the back end is gone"
                                  : "the back end " + context_.config.backend.text() + " takes no connection");
        return;
    }
    advance();
}

void Peer::on_tick(Clock::time_point now)
{
    if (stage_ != Stage::open && now - began_ > handshake_time) {
        end("no handshake within 30 s");
        return;
    }
    if (session_ == 0 || !context_.key.gated) {
        return;
    }
    const auto state = context_.chamber.peer_state(client_key_);
    if (!state || !state->admitted) {
        want();
        end("cut off: the node of " + z85(client_key_) + " is not trusted now (" +
            (state ? protocol::trust_tier_name(state->tier) : "the chamber does not answer") + ")");
    }
}

bool Peer::is_allowed(const protocol::CurveKey& key) const
{
    return !context_.config.allow || context_.config.allow->contains(key);
}

void Peer::check_allowed()
{
    if (session_ != 0 && !is_allowed(client_key_)) {
        end("cut off: " + z85(client_key_) + " is not in the allow list any more");
    }
}

void Peer::advance()
{
    bool moved = true;
    while (moved && stage_ != Stage::ended) {
        moved = false;
        if (const auto status = step(moved); !status) {
            end(std::string("refused: ") + status.error().what);
            return;
        }
    }
    if (stage_ != Stage::ended && (!client_.flush() || (backend_.open() && !backend_.flush()))) {
        end("a connection broke");
    }
}

Status Peer::step(bool& moved)
{
    switch (stage_) {
    case Stage::ended: return {};
    case Stage::client_greeting: return read_client_greeting(moved);
    case Stage::hello: return process_hello(moved);
    case Stage::initiate: return process_initiate(moved);
    case Stage::backend_greeting: return read_backend_greeting(moved);
    case Stage::backend_ready: return read_backend_ready(moved);
    case Stage::open: TRY(relay_to_backend(moved)); return relay_to_client(moved);
    }
    return {};
}

void Peer::write_frame(Stream& stream, std::uint8_t flags, Bytes body)
{
    ByteArray<zmtp::frame_head_bytes_max> head;
    stream.write(Bytes(head).first(zmtp::write_frame_head(head, flags, body.size())));
    stream.write(body);
}

Status Peer::read_client_greeting(bool& moved)
{
    if (client_.input().size() < zmtp::greeting_bytes) {
        return {};
    }
    ByteArray<zmtp::greeting_bytes> bytes;
    copy_bytes(bytes, client_.input().first(zmtp::greeting_bytes));
    const auto greeting = TRY(zmtp::read_greeting(bytes));
    if (greeting.mechanism != zmtp::Mechanism::curve) {
        return fail(Kind::forbidden, "the client does not speak CURVE"); // [ZMTP-3]
    }
    client_.consume(zmtp::greeting_bytes);
    minor_ = greeting.minor;
    stage_ = Stage::hello;
    moved = true;
    return {};
}

// A command of the handshake; nothing while it is incomplete.
Result<std::optional<zmtp::Frame>> Peer::next_handshake_frame(Stream& stream)
{
    const auto frame = TRY(zmtp::read_frame(stream.input(), handshake_body_bytes_max));
    if (frame && (frame->flags & zmtp::frame_command) == 0) {
        return fail(Kind::malformed, "a message stands where the handshake's command belongs");
    }
    return frame;
}

Status Peer::process_hello(bool& moved)
{
    const auto frame = TRY(next_handshake_frame(client_));
    if (!frame) {
        return {};
    }
    const auto welcome = TRY(context_.chamber.process_hello(context_.key.id, frame->body));
    client_.consume(frame->wire_bytes);
    write_frame(client_, zmtp::frame_command, welcome);
    stage_ = Stage::initiate;
    moved = true;
    return {};
}

Status Peer::process_initiate(bool& moved)
{
    const auto frame = TRY(next_handshake_frame(client_));
    if (!frame) {
        return {};
    }
    const auto initiated = TRY(context_.chamber.process_initiate(context_.key.id, frame->body));
    client_.consume(frame->wire_bytes);
    TRY(admit(initiated));
    TRY(open_backend());
    moved = true;
    return {};
}

// [ZMTP-4] The chamber's word first; the allow list can only narrow it.
Status Peer::admit(const host::enclave::InitiatedSession& initiated)
{
    client_key_ = initiated.client;
    session_ = initiated.session;
    if (!initiated.admitted) {
        want();
        context_.log(name_ + ": the client is " + z85(client_key_));
        return fail(Kind::forbidden, "the client's node is not trusted now, or not known yet");
    }
    if (!is_allowed(client_key_)) {
        context_.log(name_ + ": the client is " + z85(client_key_));
        return fail(Kind::forbidden, "the client's key is not in the allow list");
    }
    if (context_.key.gated && context_.feeder != nullptr) {
        kept_ = context_.feeder->keep_peer(client_key_);
        if (!kept_) {
            return fail(Kind::exhausted, "too many clients whose trust is to be kept fresh");
        }
    }
    metadata_.assign(initiated.metadata.begin(), initiated.metadata.end());
    return {};
}

Status Peer::open_backend()
{
    auto stream = Stream::connect(context_.config.backend);
    if (!stream) {
        context_.log(name_ + ": " + stream.error().what);
        return fail(Kind::unavailable, "the back end takes no connection");
    }
    backend_ = std::move(*stream);
    if (context_.config.backend.transport == Endpoint::Transport::ipc) {
        const auto uid = backend_.peer_uid();
        if (!uid || *uid != context_.config.backend_uid.value_or(::geteuid())) {
            return fail(Kind::forbidden, "the back end is another user's than configured");
        }
    }
    backend_.write(zmtp::write_greeting({zmtp::Mechanism::null, minor_}));
    stage_ = Stage::backend_greeting;
    return {};
}

Status Peer::read_backend_greeting(bool& moved)
{
    if (backend_.input().size() < zmtp::greeting_bytes) {
        return {};
    }
    ByteArray<zmtp::greeting_bytes> bytes;
    copy_bytes(bytes, backend_.input().first(zmtp::greeting_bytes));
    if (TRY(zmtp::read_greeting(bytes)).mechanism != zmtp::Mechanism::null) {
        return fail(Kind::unacceptable, "the back end wants security of its own; it must be plain");
    }
    backend_.consume(zmtp::greeting_bytes);
    // The client's own properties, and who it is: applications read them as message properties.
    std::vector<std::uint8_t> ready(zmtp::ready_name.size() + metadata_.size() + own_properties_bytes_max);
    Writer writer(ready);
    writer.write_bytes(bytes_of(zmtp::ready_name));
    writer.write_bytes(metadata_);
    zmtp::write_property(writer, "X-Caisson-Key", bytes_of(z85(client_key_)));
    if (context_.key.gated) {
        const auto state = TRY(context_.chamber.peer_state(client_key_));
        zmtp::write_property(writer, "X-Caisson-Trust", bytes_of(protocol::trust_tier_name(state.tier)));
        zmtp::write_property(writer, "X-Caisson-Node", bytes_of(hex(state.node.bytes)));
    }
    ready.resize(TRY(writer.finish()));
    write_frame(backend_, zmtp::frame_command, ready);
    stage_ = Stage::backend_ready;
    moved = true;
    return {};
}

Status Peer::read_backend_ready(bool& moved)
{
    const auto frame = TRY(next_handshake_frame(backend_));
    if (!frame) {
        return {};
    }
    const auto metadata = TRY(zmtp::read_null_ready(frame->body));
    const auto ready = TRY(context_.chamber.produce_ready(session_, metadata));
    backend_.consume(frame->wire_bytes);
    write_frame(client_, zmtp::frame_command, ready);
    context_.log(name_ + ": open, the client is " + z85(client_key_));
    stage_ = Stage::open;
    moved = true;
    return {};
}

Status Peer::relay_to_backend(bool& moved)
{
    if (backend_.output_bytes() >= output_bytes_max) {
        return {};
    }
    const auto frames = TRY(frames_in(client_, message_body_bytes_max));
    if (frames.empty()) {
        return {};
    }
    std::vector<CurveMessage> messages(frames.size());
    for (std::size_t index = 0; index < frames.size(); ++index) {
        messages[index].session = session_;
        messages[index].input = frames[index].body;
    }
    context_.chamber.process_messages(messages);
    for (const auto& message : messages) {
        TRY(message.status);
        write_frame(backend_, plain_flags(message.flags), message.output);
    }
    client_.consume(wire_bytes_of(frames));
    moved = true;
    return {};
}

Status Peer::relay_to_client(bool& moved)
{
    if (client_.output_bytes() >= output_bytes_max) {
        return {};
    }
    const auto frames = TRY(frames_in(backend_, airlock::message_bytes_max));
    if (frames.empty()) {
        return {};
    }
    std::vector<CurveMessage> messages(frames.size());
    for (std::size_t index = 0; index < frames.size(); ++index) {
        messages[index].session = session_;
        messages[index].flags = inner_flags(frames[index].flags);
        messages[index].input = frames[index].body;
    }
    context_.chamber.produce_messages(messages);
    for (const auto& message : messages) {
        TRY(message.status);
        write_frame(client_, 0, message.output); // MESSAGE travels as a message, as libzmq wants it
    }
    backend_.consume(wire_bytes_of(frames));
    moved = true;
    return {};
}

} // namespace caisson::services::gateway
