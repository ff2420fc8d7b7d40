// What both sides of CURVE share of a link: its life, its turn, its waiting.
#include "services/gateway/link.hpp"

#include "host/text.hpp"
#include "protocol/curve.hpp"

#include <unistd.h>

namespace caisson::services::gateway {
namespace {

namespace curve = protocol::curve;
namespace zmtp = protocol::zmtp;
using host::hex;

constexpr std::chrono::seconds handshake_time{30}; // libzmq's own
constexpr std::chrono::seconds hurried_handshake_time{3};
constexpr std::chrono::milliseconds silent_greeting_time{100};
constexpr std::size_t handshake_body_bytes_max = curve::initiate_bytes_min + airlock::curve::metadata_bytes_max;
constexpr std::size_t output_bytes_max = std::size_t{1} << 20U; // above it the other side is not read from
constexpr std::chrono::seconds drain_time{30};                  // for what a side sent before it went
constexpr std::size_t own_properties_bytes_max = 1024;

// In a handshake only a frame above its limit is `exhausted`; what the chamber has no place for says so itself.
Reason reason_of(const Error& error)
{
    return error.kind == Kind::exhausted ? Reason::too_large : Reason::bad_handshake;
}

} // namespace

std::string z85_of(const protocol::CurveKey& key)
{
    return host::z85(key.bytes);
}

Link::Link(Hub& hub, std::shared_ptr<Route> route, ListeningSocket::Accepted accepted, bool parked)
    : hub_(hub)
    , route_(std::move(route))
    , outer_(*this)
    , plain_(*this)
    , source_(std::move(accepted.source))
    , name_(std::move(accepted.name))
{
    ++route_->metrics.accepted;
    ++route_->metrics.handshaking;
    (is_server() ? outer_ : plain_).stream = std::move(accepted.stream);
    if (!parked) {
        begin();
    }
}

Link::~Link()
{
    end(Reason::stopped, "stopped");
    *alive_ = false;
}

void Link::begin()
{
    parked_ = false;
    began_ = stage_since_ = Clock::now();
    outer_.heard = plain_.heard = began_;
    if (is_server()) {
        stage_ = Stage::outer_greeting;
        update_wishes();
        return;
    }
    stage_ = Stage::plain_greeting;
    plain_.stream.write(zmtp::write_greeting({zmtp::Mechanism::null, 1}));
    if (const auto known = check_plain_user(plain_); !known) {
        end(Reason::plain_user, std::string("refused: ") + known.error().what);
        return;
    }
    wake();
}

void Link::wake()
{
    if (!awake_ && stage_ != Stage::ended) {
        awake_ = true;
        if (is_stranger()) { // [GATE-23]
            hub_.strangers.wake(*this);
        } else {
            hub_.awake.push_back(this);
        }
    }
}

void Link::close_session()
{
    if (std::exchange(kept_, false) && hub_.feeder != nullptr) {
        hub_.feeder->release_peer(peer_key_);
    }
    if (session_ != 0) {
        hub_.chamber.close_session(std::exchange(session_, 0));
    }
}

// [GATE-32]
void Link::end(Reason reason, const std::string& why)
{
    if (stage_ == Stage::ended) {
        return;
    }
    auto& metrics = route_->metrics;
    --(stage_ == Stage::open ? metrics.open : metrics.handshaking);
    ++metrics.ended[static_cast<std::size_t>(reason)];
    metrics.traffic += traffic_;
    const bool known = peer_key_ != protocol::CurveKey{};
    hub_.log.line(route_->config.name + ": " + name_ + ": " + why, {{"listener", route_->config.name},
                                                                    {"peer", name_},
                                                                    {"key", known ? z85_of(peer_key_) : std::string()},
                                                                    {"reason", reason_name(reason)},
                                                                    {"stage", stage_name()}});
    stage_ = Stage::ended;
    outer_.stream.close();
    plain_.stream.close();
    close_session();
    hub_.on_ended(*this);
}

bool Link::is_unlisted() const
{
    const auto state =
        route_->is_gated() ? hub_.chamber.peer_state(peer_key_) : Result<host::enclave::CurvePeerState>{};
    return route_->is_listed() && (!route_->is_gated() || (state && state->admitted));
}

void Link::end_untrusted()
{
    if (is_unlisted()) {
        session_ = 0;
        end(Reason::revoked, "cut off: the chamber's access list names " + z85_of(peer_key_) + " no more");
        return;
    }
    if (hub_.feeder != nullptr) {
        hub_.feeder->want_peer(peer_key_);
    }
    const auto state = hub_.chamber.peer_state(peer_key_);
    session_ = 0;
    end(Reason::untrusted, "cut off: the node of " + z85_of(peer_key_) + " is not trusted now (" +
                               (state ? protocol::trust_tier_name(state->tier) : "the chamber does not answer") + ")");
}

// [GATE-40]
void Link::lose_chamber()
{
    if (stage_ == Stage::ended || stage_ == Stage::parked || !route_->is_protected()) {
        return;
    }
    session_ = 0; // there is none to be closed
    const bool begun = own_key_ != 0 || asked_ > 0 || wanted_ > 0 || stage_ == Stage::open;
    if (!begun) {
        return;
    }
    forget_asked();
    if (is_server() || stage_ == Stage::open) {
        end(Reason::chamber_lost, "cut off: the chamber has ended, and the session with it");
    } else {
        retry_later("the chamber has ended");
    }
}

const char* Link::stage_name() const noexcept
{
    switch (stage_) {
    case Stage::ended: return "ended";
    case Stage::parked: return "waiting";
    case Stage::outer_greeting: return "greeting";
    case Stage::hello: return "hello";
    case Stage::initiate: return "initiate";
    case Stage::judged: return "zap";
    case Stage::plain_greeting:
    case Stage::plain_ready: return "plain";
    case Stage::retry: return "retry";
    case Stage::welcome: return "welcome";
    case Stage::outer_ready: return "ready";
    case Stage::open: return "open";
    }
    return "";
}

void Link::End::on_ready(bool readable, bool writable)
{
    if (!stream.open() || link.ended()) {
        return;
    }
    // What is still there whole comes first; the socket keeps the rest.
    if (readable && !full_frames && !gone) {
        if (!stream.read_some()) {
            if (link.drains(*this)) {
                gone = true;
                gone_since = Clock::now();
                link.hub_.loop.forget(stream.descriptor(), wish);
                link.wake();
                return;
            }
            if (&link.outer_ == this && !link.is_server() && !link.is_open()) {
                const auto how = stream.what_broke();
                link.retry_later("the connection to the server broke" + (how.empty() ? "" : ": " + how));
                return;
            }
            link.end(&link.outer_ == this || link.is_open() || !link.is_server() ? Reason::closed
                                                                                 : Reason::plain_unavailable,
                     &link.outer_ == this ? "the peer is gone"
                                          : (link.is_open() ? "the program on the plain side is gone"
                                                            : "the plain side " + link.route_->config.plain().text() +
                                                                  " takes no connection"));
            return;
        }
        heard = Clock::now();
    }
    if (writable && !stream.flush()) {
        link.end(Reason::closed, "a connection broke");
        return;
    }
    link.wake();
}

void Link::update_wishes()
{
    if (stage_ == Stage::ended || stage_ == Stage::parked) {
        return;
    }
    const bool relays = stage_ == Stage::open; // [GATE-6]
    for (auto* end : {&outer_, &plain_}) {
        const auto& other = end == &outer_ ? plain_ : outer_;
        if (end->stream.open() && !end->gone) {
            const bool read = !relays || !is_full(other);
            loop().watch(end->stream.descriptor(), *end, end->wish, read, end->stream.output_bytes() > 0);
        }
    }
}

// [GATE-6]
bool Link::is_full(const End& to) noexcept
{
    return to.stream.output_bytes() >= output_bytes_max;
}

// [GATE-22] Something that came of it whole is not given on yet, or not read.
bool Link::drains(const End& from) const noexcept
{
    const auto& to = &from == &outer_ ? plain_ : outer_;
    return stage_ == Stage::open && !to.gone && (to.stream.output_bytes() > 0 || to.stream.is_unread());
}

void Link::settle()
{
    for (auto* end : {&outer_, &plain_}) {
        const bool may_send = end->stream.open() && !end->gone && !end->stream.is_blocked();
        if (stage_ != Stage::ended && may_send && !end->stream.flush()) {
            this->end(Reason::closed, "a connection broke");
        }
    }
    for (auto* end : {&outer_, &plain_}) {
        if (stage_ != Stage::ended && end->gone && !drains(*end)) {
            this->end(Reason::closed, end == &outer_ ? "the peer is gone" : "the program on the plain side is gone");
        }
    }
    if (stage_ == Stage::open) {
        go_on_when_not_full();
    }
    update_wishes();
}

void Link::ask(airlock::curve::Request request, std::uint32_t subject, Bytes rest, std::size_t room)
{
    steps_[wanted_++] = {request, subject, rest, room};
}

void Link::forget_asked() noexcept
{
    wanted_ = asked_ = 0;
}

// Up to the first that the chamber refuses: what is behind it has found no session.
Status Link::absorb_steps()
{
    const auto steps = steps_;
    const auto count = std::exchange(asked_, 0);
    for (std::size_t index = 0; index < count; ++index) {
        const auto request = steps[index].request;
        const auto answer = hub_.crossing.answer(ticket_ + index);
        TRY(is_server() ? absorb_server(request, answer) : absorb_client(request, answer));
    }
    return {};
}

// Steps that need no chamber are made at once, up to the first that does.
void Link::gather(Voyage& voyage)
{
    awake_ = false;
    bool moved = true;
    while (moved && stage_ != Stage::ended && stage_ != Stage::open && wanted_ == 0) {
        moved = false;
        if (const auto done = is_server() ? step_server(moved) : step_client(moved); !done) {
            refuse(done.error());
        }
    }
    if (stage_ != Stage::ended) {
        asked_ = std::exchange(wanted_, 0);
        for (std::size_t index = 0; index < asked_; ++index) {
            const auto& step = steps_[index];
            const auto ticket = hub_.crossing.ask(step.request, step.subject, step.rest, step.room);
            ticket_ = index == 0 ? ticket : ticket_;
        }
    }
    if (stage_ == Stage::open) {
        gather_relay(voyage);
    }
}

void Link::absorb(const Voyage& voyage)
{
    if (stage_ == Stage::open) {
        absorb_relay(voyage);
    }
}

void Link::take_answer()
{
    if (asked_ == 0 || stage_ == Stage::ended) {
        return;
    }
    if (const auto done = absorb_steps(); !done) {
        refuse(done.error());
    }
    if (wanted_ > 0 || outer_.stream.input().size() > 0 || plain_.stream.input().size() > 0) {
        wake();
    }
}

// [GATE-2] A handshake that went wrong: the server's side closes, the client's tries again.
void Link::refuse(const Error& error)
{
    if (stage_ == Stage::ended || stage_ == Stage::retry) {
        return;
    }
    if (!is_server() && stage_ != Stage::plain_greeting && stage_ != Stage::plain_ready) {
        retry_later(error.what);
        return;
    }
    end(stage_ == Stage::outer_greeting ? Reason::no_zmtp : reason_of(error), std::string("refused: ") + error.what);
}

void Link::on_tick(Clock::time_point now)
{
    for (const auto* end : {&outer_, &plain_}) {
        if (stage_ == Stage::open && end->gone && now - end->gone_since > drain_time) {
            this->end(Reason::closed, "a side is gone, and the other one does not take what it sent before");
        }
    }
    if (outer_.gone || plain_.gone) {
        settle(); // nothing else tells that the other side has read the last of it
    }
    if (stage_ == Stage::open) {
        beat(outer_, now);
        if (stage_ == Stage::open) {
            beat(plain_, now);
        }
        return;
    }
    if (stage_ == Stage::ended) {
        return;
    }
    if (stage_ == Stage::retry) {
        if (now >= retry_at_) {
            connect_outer();
        }
        return;
    }
    const bool hurried = hub_.hurried && is_server() && !authenticated_ && stage_ != Stage::parked; // [GATE-3]
    if (now - stage_since_ > (hurried ? hurried_handshake_time : handshake_time)) {
        if (!is_server() && plain_greeted_) {
            retry_later("the server did not finish the handshake within 30 s");
        } else {
            end(Reason::handshake_time,
                hurried ? "no handshake within 3 s, and others wait for its place" : "no handshake within 30 s");
        }
        return;
    }
    if (stage_ == Stage::outer_greeting && is_server() && !greeted_ && now - stage_since_ >= silent_greeting_time) {
        greet(); // perhaps it waits for ours
        settle();
        return;
    }
    if (stage_ == Stage::plain_greeting && is_server() && !plain_.stream.open()) {
        open_backend(); // its queue was full
        wake();
    }
}

void Link::write_frame(Stream& stream, std::uint8_t flags, Bytes body)
{
    ByteArray<zmtp::frame_head_bytes_max> head;
    stream.write(Bytes(head).first(zmtp::write_frame_head(head, flags, body.size())));
    stream.write(body);
}

// True when it was there whole, and wants the mechanism.
Result<bool> Link::read_greeting(End& end, zmtp::Mechanism mechanism)
{
    if (end.stream.input().size() < zmtp::greeting_bytes) {
        return false;
    }
    ByteArray<zmtp::greeting_bytes> bytes;
    copy_bytes(bytes, end.stream.input().first(zmtp::greeting_bytes));
    const auto greeting = TRY(zmtp::read_greeting(bytes));
    if (greeting.mechanism != mechanism) {
        switch (mechanism) { // [ZMTP-3]
        case zmtp::Mechanism::curve: return fail(Kind::forbidden, "the peer does not speak CURVE");
        case zmtp::Mechanism::plain: return fail(Kind::forbidden, "the peer does not speak PLAIN");
        case zmtp::Mechanism::null:
            return fail(Kind::forbidden, "the peer wants security of its own; it must be plain");
        }
    }
    end.stream.consume(zmtp::greeting_bytes);
    end.minor = greeting.minor;
    return true;
}

// A command of the handshake; nothing while it is incomplete.
Result<std::optional<zmtp::Frame>> Link::next_command(Stream& stream)
{
    const auto frame = TRY(zmtp::read_frame(stream.input(), handshake_body_bytes_max));
    if (frame && (frame->flags & zmtp::frame_command) == 0) {
        return fail(Kind::malformed, "a message stands where the handshake's command belongs");
    }
    return frame;
}

// [GATE-16]
void Link::with_address(const Endpoint& endpoint, void (Link::*then)(host::Outcome<SocketAddress>))
{
    if (auto known = known_address(endpoint)) {
        (this->*then)(std::move(*known));
        return;
    }
    if (std::exchange(looking_up_, true)) {
        return;
    }
    const std::weak_ptr<bool> alive = alive_;
    hub_.resolver.ask(endpoint, [this, alive, then](host::Outcome<SocketAddress> address) {
        const auto still = alive.lock();
        if (still && *still && stage_ != Stage::ended && std::exchange(looking_up_, false)) {
            (this->*then)(std::move(address));
            wake();
        }
    });
}

// [ZMTP-8] Only for ipc: the kernel says who is at the other end.
Status Link::check_plain_user(End& end)
{
    if (route_->config.plain().transport != Endpoint::Transport::ipc) {
        return {};
    }
    static const auto own_uid = ::geteuid();
    const auto uid = end.stream.peer_uid();
    if (!uid || *uid != route_->config.plain_uid.value_or(own_uid)) {
        return fail(Kind::forbidden, "the program on the plain side is another user's than configured");
    }
    return {};
}

// [ZMTP-9] Who the other side is: applications read these as message properties.
void Link::write_own_properties(Writer& writer) const
{
    if (!user_.empty()) {
        zmtp::write_property(writer, "User-Id", bytes_of(user_));
    }
    zmtp::write_property(writer, "X-Caisson-Address", bytes_of(is_server() ? name_ : route_->config.outer().text()));
    if (peer_key_ == protocol::CurveKey{}) {
        return;
    }
    zmtp::write_property(writer, "X-Caisson-Key", bytes_of(z85_of(peer_key_)));
    if (!route_->is_gated()) {
        return;
    }
    const auto state = hub_.chamber.peer_state(peer_key_);
    if (state) {
        zmtp::write_property(writer, "X-Caisson-Trust", bytes_of(protocol::trust_tier_name(state->tier)));
        zmtp::write_property(writer, "X-Caisson-Node", bytes_of(hex(state->node.bytes)));
        if (state->measurement != Digest{}) {
            zmtp::write_property(writer, "X-Caisson-Measurement", bytes_of(hex(state->measurement)));
        }
    }
}

// READY for the plain side: what the other side says of itself, and what we say of it.
std::vector<std::uint8_t> Link::ready_for_plain() const
{
    std::vector<std::uint8_t> ready(zmtp::ready_name.size() + metadata_.size() + user_.size() +
                                    (verdict_ ? verdict_->metadata.size() : 0) + own_properties_bytes_max);
    Writer writer(ready);
    writer.write_bytes(bytes_of(zmtp::ready_name));
    zmtp::copy_ends_properties(writer, metadata_);
    if (verdict_) {
        zmtp::copy_ends_properties(writer, verdict_->metadata);
    }
    write_own_properties(writer);
    ready.resize(writer.written().size());
    return ready;
}

void Link::become_open()
{
    stage_ = Stage::open;
    stage_since_ = outer_.heard = plain_.heard = outer_.pinged = plain_.pinged = Clock::now();
    auto& metrics = route_->metrics;
    --metrics.handshaking;
    ++metrics.open;
    ++metrics.opened;
    metadata_ = {};
    verdict_.reset();
    backoff_ = {};
    const bool known = peer_key_ != protocol::CurveKey{};
    const auto who = known ? z85_of(peer_key_) : (user_.empty() ? "UNPROTECTED" : user_ + ", UNPROTECTED");
    hub_.log.line(route_->config.name + ": " + name_ + ": open, the " + (is_server() ? "client" : "server") + " is " +
                      who,
                  {{"listener", route_->config.name}, {"peer", name_}, {"key", known ? who : ""}, {"reason", "open"}});
    if (!authenticated_) {
        authenticated_ = true;
        hub_.on_authenticated(*this);
    }
}

void Link::check_allowed()
{
    if (stage_ == Stage::ended) {
        return;
    }
    if (route_->gone) {
        end(Reason::stopped, "cut off: the listener is gone from the file");
        return;
    }
    const auto own = std::any_of(route_->keys.begin(), route_->keys.end(),
                                 [this](const RouteKey& key) { return key.loaded.id == own_key_; });
    if (own_key_ != 0 && !own) {
        end(Reason::revoked, "cut off: the key it came with is gone from the file");
    } else if (is_server() && authenticated_ && route_->allowed && !route_->allowed->contains(peer_key_)) {
        end(Reason::revoked, "cut off: " + z85_of(peer_key_) + " is not in the allow list any more");
    }
}

} // namespace caisson::services::gateway
