#include "library/connection.hpp"

#include "core/text.hpp"
#include "protocol/curve.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace caisson::library {
namespace {

namespace curve = protocol::curve;
namespace zmtp = protocol::zmtp;
using host::enclave::CurveMessage;

constexpr std::size_t read_bytes = std::size_t{64} << 10U;
constexpr std::size_t batch_max = 64;
constexpr std::size_t command_bytes_max = airlock::curve::metadata_bytes_max + 1024; // while nobody is proven
constexpr std::size_t ping_context_bytes_max = 16;
constexpr std::size_t subscription_bytes_max = 65536;
constexpr std::string_view ping_name = "\x04PING";
constexpr std::string_view pong_name = "\x04PONG";
constexpr std::string_view subscribe_name = "\x09SUBSCRIBE";
constexpr std::string_view cancel_name = "\x06"
                                         "CANCEL";

constexpr std::array<const char*, 11> type_names = {"PAIR",   "PUB",  "SUB",  "REQ",  "REP", "DEALER",
                                                    "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"};

struct Fit {
    std::string_view ours;
    std::array<std::string_view, 3> theirs;
};
constexpr std::array<Fit, 11> fits = {{
    {"PAIR", {"PAIR"}},
    {"PUB", {"SUB", "XSUB"}},
    {"SUB", {"PUB", "XPUB"}},
    {"REQ", {"REP", "ROUTER"}},
    {"REP", {"REQ", "DEALER"}},
    {"DEALER", {"REP", "DEALER", "ROUTER"}},
    {"ROUTER", {"REQ", "DEALER", "ROUTER"}},
    {"PULL", {"PUSH"}},
    {"PUSH", {"PULL"}},
    {"XPUB", {"SUB", "XSUB"}},
    {"XSUB", {"PUB", "XPUB"}},
}};

bool starts_with(Bytes body, std::string_view name) noexcept
{
    return body.size() >= name.size() && text_of(body.first(name.size())) == name;
}

bool is_publisher(int type) noexcept
{
    return type == CAISSON_PUB || type == CAISSON_XPUB;
}

} // namespace

bool types_fit(std::string_view ours, std::string_view theirs) noexcept
{
    for (const auto& fit : fits) {
        if (fit.ours == ours) {
            return !theirs.empty() && std::find(fit.theirs.begin(), fit.theirs.end(), theirs) != fit.theirs.end();
        }
    }
    return false;
}

const char* type_name(int type) noexcept
{
    return type >= 0 && static_cast<std::size_t>(type) < type_names.size() ? type_names[static_cast<std::size_t>(type)]
                                                                           : nullptr;
}

Connection::Connection(Descriptor descriptor, const SocketSettings& settings)
    : descriptor_(std::move(descriptor))
    , settings_(settings)
{
    output_.append(zmtp::write_greeting({is_curve() ? zmtp::Mechanism::curve : zmtp::Mechanism::null, 1}));
}

Connection::~Connection()
{
    if (session_ != 0) {
        // It may have ended by itself; then there is nothing to close.
        static_cast<void>(settings_.chamber->ask(Request::close_session, {Number(session_)}, 0));
    }
    if (peer_kept_) {
        settings_.chamber->release_peer(*settings_.key, peer_key_);
    }
}

bool Connection::expired(Clock::time_point now) const
{
    return state_ != State::open && now - began_ > settings_.handshake;
}

void Connection::end(std::string reason)
{
    state_ = State::ended;
    reason_ = std::move(reason);
}

// Room behind what waits, which moves to the front when there is too little; made once, not for each read.
MutableBytes Connection::room_for_input()
{
    const auto waiting = input();
    if (waiting.empty()) {
        input_used_ = input_end_ = 0;
    } else if (input_.size() - input_end_ < read_bytes && input_used_ > 0) {
        std::memmove(input_.data(), waiting.data(), waiting.size());
        input_end_ = waiting.size();
        input_used_ = 0;
    }
    if (input_.size() - input_end_ < read_bytes) {
        input_.resize(std::max(input_end_ + read_bytes, input_.size() + input_.size() / 2));
    }
    return MutableBytes(input_).subspan(input_end_, read_bytes);
}

void Connection::on_readable()
{
    const auto room = room_for_input();
    const auto got = ::recv(descriptor(), room.data(), room.size(), 0);
    input_end_ += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        end("the peer has gone");
        return;
    }
    if (const auto done = progress(); !done) {
        end(done.error().what);
    }
}

void Connection::flush()
{
    if (const auto sealed = seal_pending(); !sealed) {
        end(sealed.error().what);
        return;
    }
    const int error = output_.write_to(descriptor());
    if (error != 0 && error != EAGAIN && error != EINTR && error != ENOTCONN) {
        end("the peer has gone");
    }
}

void Connection::write_frame(std::uint8_t flags, Buffer&& body)
{
    ByteArray<zmtp::frame_head_bytes_max> head{};
    output_.append(Bytes(head).first(zmtp::write_frame_head(head, flags, body.size())));
    output_.append(std::move(body));
}

bool Connection::has_room() const noexcept
{
    return output_.bytes() + pending_bytes_ < settings_.send_queue_bytes;
}

// In a MESSAGE 2 is a command, on the plain wire 4.
void Connection::send_part(std::uint32_t message_flags, Buffer&& body)
{
    if (is_curve()) {
        pending_bytes_ += body.size();
        pending_.push_back({message_flags, std::move(body)});
        return;
    }
    const bool is_command = (message_flags & airlock::curve::message_command) != 0;
    write_frame(is_command ? zmtp::frame_command : static_cast<std::uint8_t>(message_flags), std::move(body));
}

void Connection::queue(std::span<const Bytes> parts)
{
    Parts copies;
    for (const auto& part : parts) {
        copies.emplace_back(part.begin(), part.end());
    }
    queue(copies);
}

void Connection::queue(std::span<Buffer> parts)
{
    for (std::size_t index = 0; index < parts.size(); ++index) {
        send_part(index + 1 < parts.size() ? airlock::curve::message_more : 0, std::move(parts[index]));
    }
}

// ZMTP 3.0 has messages for it, 3.1 commands.
void Connection::queue_subscription(Bytes prefix, bool subscribe)
{
    const auto& name = subscribe ? subscribe_name : cancel_name;
    Buffer body;
    if (peer_minor_ >= 1) {
        body.assign(name.begin(), name.end());
    } else {
        body.assign(1, subscribe ? 1 : 0);
    }
    body.insert(body.end(), prefix.begin(), prefix.end());
    send_part(peer_minor_ >= 1 ? airlock::curve::message_command : 0, std::move(body));
}

Done Connection::seal_pending()
{
    if (pending_.empty()) {
        return {};
    }
    std::vector<CurveMessage> messages(pending_.size());
    for (std::size_t index = 0; index < messages.size(); ++index) {
        messages[index].session = session_;
        messages[index].flags = pending_[index].flags;
        messages[index].input = pending_[index].text;
    }
    host::enclave::CurveChamber(settings_.chamber->enclave()).produce_messages(messages);
    for (auto& message : messages) {
        if (!message.status) {
            return fault(message.status.error().kind, std::string("sending: ") + message.status.error().what);
        }
        write_frame(0, std::move(message.output));
    }
    pending_.clear();
    pending_bytes_ = 0;
    return {};
}

std::size_t Connection::frame_bytes_max() const noexcept
{
    if (state_ != State::open) {
        return command_bytes_max;
    }
    return settings_.part_bytes_max + (is_curve() ? curve::message_overhead_bytes : 0);
}

Done Connection::progress()
{
    if (state_ == State::greeting && input().size() >= zmtp::greeting_bytes) {
        TRY(take_greeting());
    }
    while (state_ != State::greeting && state_ != State::open) {
        const auto frame = TRY(zmtp::read_frame(input(), frame_bytes_max()));
        if (!frame) {
            return {};
        }
        if ((frame->flags & zmtp::frame_command) == 0) {
            return fault(Kind::malformed, "the peer sends a message before its handshake");
        }
        const Buffer body(frame->body.begin(), frame->body.end());
        input_used_ += frame->wire_bytes;
        TRY(take_command(body));
    }
    if (state_ == State::open) {
        return is_curve() ? take_sealed_frames() : take_frames();
    }
    return {};
}

Done Connection::take_greeting()
{
    ByteArray<zmtp::greeting_bytes> bytes{};
    copy_bytes(bytes, input().first(bytes.size()));
    input_used_ += bytes.size();
    const auto greeting = TRY(zmtp::read_greeting(bytes));
    if ((greeting.mechanism == zmtp::Mechanism::curve) != is_curve()) {
        return fault(Kind::unacceptable, is_curve() ? "the peer does not speak CURVE" : "the peer wants CURVE");
    }
    peer_minor_ = greeting.minor;
    return begin_handshake();
}

Done Connection::begin_handshake()
{
    if (!is_curve()) {
        Buffer body(zmtp::ready_name.begin(), zmtp::ready_name.end());
        const auto metadata = own_metadata();
        body.insert(body.end(), metadata.begin(), metadata.end());
        write_frame(zmtp::frame_command, std::move(body));
        state_ = State::ready;
        return {};
    }
    if (!is_client()) {
        state_ = State::hello;
        return {};
    }
    auto& chamber = *settings_.chamber;
    make_peer_live(*settings_.server_key);
    const auto opened = TRY(chamber.ask(Request::open_client, {Number(*settings_.key), peer_key_.bytes}, 16));
    Reader reader(opened);
    session_ = TRY(reader.read_le<std::uint32_t>());
    write_frame(zmtp::frame_command, TRY(chamber.ask(Request::produce_hello, {Number(session_)}, 512)));
    state_ = State::welcome;
    return {};
}

void Connection::make_peer_live(const CurveKey& peer)
{
    peer_key_ = peer;
    settings_.chamber->keep_peer(*settings_.key, peer);
    peer_kept_ = true;
}

Done Connection::take_command(Bytes body)
{
    if (starts_with(body, curve::ERROR) && is_client()) {
        return fault(Kind::unacceptable, "the server answers ERROR");
    }
    switch (state_) {
    case State::hello: return take_hello(body);
    case State::welcome: return take_welcome(body);
    case State::initiate: return take_initiate(body);
    case State::ready: return take_ready(body);
    default: return fault(Kind::malformed, "a command comes out of turn");
    }
}

Done Connection::take_hello(Bytes body)
{
    write_frame(zmtp::frame_command,
                TRY(settings_.chamber->ask(Request::process_hello, {Number(*settings_.key), body}, 512)));
    state_ = State::initiate;
    return {};
}

Done Connection::take_welcome(Bytes body)
{
    auto& chamber = *settings_.chamber;
    TRY(chamber.ask(Request::process_welcome, {Number(session_), body}, 0));
    const auto metadata = own_metadata();
    write_frame(zmtp::frame_command,
                TRY(chamber.ask(Request::produce_initiate, {Number(session_), metadata}, metadata.size() + 512)));
    state_ = State::ready;
    return {};
}

Done Connection::take_initiate(Bytes body)
{
    auto& chamber = *settings_.chamber;
    const auto initiated = TRY(host::enclave::CurveChamber(chamber.enclave()).process_initiate(*settings_.key, body));
    const bool allowed = settings_.allowed.empty() || settings_.allowed.contains(initiated.client);
    if (!initiated.admitted || !allowed) {
        if (initiated.session != 0) {
            static_cast<void>(chamber.ask(Request::close_session, {Number(initiated.session)}, 0));
        }
        chamber.want_peer(*settings_.key, initiated.client); // who comes again may be known then
        return fault(Kind::unacceptable,
                     allowed ? "the client's node is not trusted now" : "the client is not allowed");
    }
    session_ = initiated.session;
    make_peer_live(initiated.client);
    TRY(take_metadata(initiated.metadata));
    write_frame(zmtp::frame_command,
                TRY(chamber.ask(Request::produce_ready, {Number(session_), own_metadata()}, 1024)));
    state_ = State::open;
    return {};
}

Done Connection::take_ready(Bytes body)
{
    if (is_curve()) {
        const auto metadata =
            TRY(settings_.chamber->ask(Request::process_ready, {Number(session_), body}, body.size() + 64));
        TRY(take_metadata(metadata));
    } else {
        const auto metadata = TRY(zmtp::read_null_ready(body));
        TRY(take_metadata(metadata));
    }
    state_ = State::open;
    return {};
}

Done Connection::take_metadata(Bytes metadata)
{
    Reader reader(metadata);
    std::string_view type;
    while (const auto property = TRY(zmtp::read_property(reader))) {
        if (property->name == "Socket-Type") {
            type = text_of(property->value);
        } else if (property->name == "Identity" && property->value.size() <= 255) {
            peer_identity_.assign(property->value.begin(), property->value.end());
        }
    }
    if (!types_fit(type_name(settings_.type), type)) {
        return fault(Kind::unacceptable, "the peer's socket type does not fit ours");
    }
    return {};
}

// [CURVE-18]
Buffer Connection::own_metadata() const
{
    Buffer bytes(512);
    Writer writer(bytes);
    zmtp::write_property(writer, "Socket-Type", bytes_of(type_name(settings_.type)));
    if (settings_.type == CAISSON_REQ || settings_.type == CAISSON_DEALER || settings_.type == CAISSON_ROUTER) {
        zmtp::write_property(writer, "Identity", settings_.identity);
    }
    bytes.resize(writer.written().size());
    return bytes;
}

Done Connection::take_frames()
{
    while (true) {
        const auto frame = TRY(zmtp::read_frame(input(), frame_bytes_max()));
        if (!frame) {
            return {};
        }
        input_used_ += frame->wire_bytes;
        if ((frame->flags & zmtp::frame_command) != 0) {
            TRY(take_peer_command(frame->body));
        } else {
            TRY(take_part((frame->flags & zmtp::frame_more) != 0, frame->body));
        }
    }
}

// As many MESSAGEs as are there go into the chamber together.
Done Connection::take_sealed_frames()
{
    std::vector<CurveMessage> messages;
    do {
        messages.clear();
        while (messages.size() < batch_max) {
            const auto frame = TRY(zmtp::read_frame(input(), frame_bytes_max()));
            if (!frame) {
                break;
            }
            input_used_ += frame->wire_bytes;
            auto& message = messages.emplace_back();
            message.session = session_;
            message.input = frame->body;
        }
        host::enclave::CurveChamber(settings_.chamber->enclave()).process_messages(messages);
        for (const auto& message : messages) {
            if (!message.status) {
                return fault(message.status.error().kind, "a message of the peer does not open, or it is not trusted");
            }
            if ((message.flags & airlock::curve::message_command) != 0) {
                TRY(take_peer_command(message.output));
            } else {
                TRY(take_part((message.flags & airlock::curve::message_more) != 0, message.output));
            }
        }
    } while (messages.size() == batch_max);
    return {};
}

Done Connection::take_part(bool more, Bytes body)
{
    partial_bytes_ += body.size();
    if (partial_.size() == message_parts_max ||
        partial_bytes_ > settings_.receive_queue_bytes + settings_.part_bytes_max) {
        return fault(Kind::exhausted, "a message of the peer is larger than the limit");
    }
    // ZMTP 3.0 subscribers send their subscriptions as messages.
    if (is_publisher(settings_.type)) {
        if (partial_.empty() && !more && !body.empty() && body[0] <= 1) {
            take_subscription(body.subspan(1), body[0] == 1);
            partial_bytes_ = 0;
            return {};
        }
        if (settings_.type == CAISSON_PUB) {
            partial_bytes_ = 0;
            return {}; // a publisher hears subscriptions alone
        }
    }
    partial_.emplace_back(body.begin(), body.end());
    if (!more) {
        inbox_.push_back({Incoming::What::message, std::exchange(partial_, {}), std::exchange(partial_bytes_, 0)});
    }
    return {};
}

Done Connection::take_peer_command(Bytes body)
{
    if (starts_with(body, ping_name)) {
        const auto rest = body.subspan(ping_name.size());
        if (rest.size() < 2 || rest.size() > 2 + ping_context_bytes_max) {
            return fault(Kind::malformed, "a PING of the peer has a wrong size");
        }
        Buffer pong(pong_name.begin(), pong_name.end());
        pong.insert(pong.end(), rest.begin() + 2, rest.end());
        send_part(airlock::curve::message_command, std::move(pong));
    } else if (is_publisher(settings_.type) && starts_with(body, subscribe_name)) {
        take_subscription(body.subspan(subscribe_name.size()), true);
    } else if (is_publisher(settings_.type) && starts_with(body, cancel_name)) {
        take_subscription(body.subspan(cancel_name.size()), false);
    }
    return {}; // other commands are none of ours (RFC 37)
}

void Connection::take_subscription(Bytes prefix, bool subscribe)
{
    if (prefix.size() <= subscription_bytes_max) {
        inbox_.push_back({subscribe ? Incoming::What::subscribe : Incoming::What::cancel,
                          {Buffer(prefix.begin(), prefix.end())},
                          prefix.size()});
    }
}

} // namespace caisson::library
