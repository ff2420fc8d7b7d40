// An open link: frames of one side become frames of the other, a batch a turn, encrypted and decrypted straight into
// what is sent next.
#include "protocol/curve.hpp"
#include "services/gateway/link.hpp"

#include <algorithm>
#include <utility>

namespace caisson::services::gateway {
namespace {

namespace curve = protocol::curve;
namespace zmtp = protocol::zmtp;

constexpr std::size_t message_body_bytes_max = airlock::message_bytes_max + curve::message_overhead_bytes;
// [GATE-7] What a turn takes each way. Who has something to do shares it, so that one that floods leaves the others
// theirs; the crossing is as large as all of it.
constexpr std::size_t turn_frames = Voyage::messages_max;
constexpr std::size_t turn_bytes = std::size_t{512} << 10U;
constexpr std::size_t share_frames_min = 16;
constexpr std::size_t share_bytes_min = std::size_t{64} << 10U;
constexpr std::size_t short_head_bytes = 2;
constexpr std::size_t short_body_bytes_max = 255;
constexpr std::uint8_t subscribe_octets[] = {zmtp::subscribe_octet};
constexpr std::uint8_t cancel_octets[] = {zmtp::cancel_octet};
constexpr std::size_t said_at_once_max = 4; // who asks faster than we can answer gets no more

std::size_t head_bytes_of(std::size_t body_bytes) noexcept
{
    return body_bytes > short_body_bytes_max ? zmtp::frame_head_bytes_max : short_head_bytes;
}

void write_head(std::uint8_t* at, std::uint8_t flags, std::size_t body_bytes) noexcept
{
    ByteArray<zmtp::frame_head_bytes_max> head;
    const auto size = zmtp::write_frame_head(head, flags, body_bytes);
    std::memcpy(at, head.data(), size);
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

bool is_whole_message(std::uint8_t plain) noexcept
{
    return (plain & (zmtp::frame_more | zmtp::frame_command)) == 0;
}

} // namespace

void Link::break_off(const Error& error)
{
    const auto reason = error.kind == Kind::exhausted     ? Reason::too_large
                        : error.kind == Kind::expired     ? (is_unlisted() ? Reason::revoked : Reason::untrusted)
                        : error.kind == Kind::unavailable ? Reason::chamber_lost
                                                          : Reason::bad_message;
    end(reason, std::string("cut off: ") + error.what);
}

void Link::gather_relay(Voyage& voyage)
{
    if (!route_->is_protected()) {
        auto done = relay_unprotected(outer_, plain_);
        if (done) {
            done = relay_unprotected(plain_, outer_);
        }
        if (!done) {
            break_off(done.error());
        }
        return;
    }
    gather_inward(voyage);
    gather_outward(voyage);
    if (inward_.boards() || outward_.boards()) {
        voyage.links.push_back(this);
    }
}

// Not while too much waits for the other side: then as soon as it does not.
bool Link::may_board(End& from, const End& to) noexcept
{
    if (to.gone) {
        return false;
    }
    from.full_frames = is_full(to);
    return !from.full_frames;
}

// [GATE-8] Whole frames of one side, as many as a turn takes; `take` says what each needs of the other side's room.
template <typename Take>
void Link::take_frames(End& from, Flow& flow, std::size_t body_bytes_max, Take take)
{
    auto rest = from.stream.input();
    std::size_t bytes = 0;
    if (is_large_next(from)) {
        flow.broken = gather_large(from);
        return;
    }
    const auto share = std::max(share_frames_min, turn_frames / hub_.sharers);
    const auto frames_max = std::min(share, boarding_room_);
    const auto bytes_max = std::max(share_bytes_min, turn_bytes / hub_.sharers);
    from.full_frames = false;
    while (true) {
        const auto head = zmtp::read_frame_head(rest);
        if (head && *head && is_large(from, **head) && flow.wire_bytes > 0) {
            from.full_frames = true; // first those before it
            return;
        }
        const auto frame = zmtp::read_frame(rest, body_bytes_max);
        if (!frame) {
            flow.broken = std::unexpected(frame.error());
            return;
        }
        if (!*frame) {
            return;
        }
        if (flow.count == frames_max || bytes >= bytes_max) {
            from.full_frames = true;
            return;
        }
        const Status taken = take(**frame);
        if (!taken) {
            flow.broken = taken;
            return;
        }
        bytes += (*frame)->wire_bytes;
        flow.wire_bytes += (*frame)->wire_bytes;
        rest = rest.subspan((*frame)->wire_bytes);
    }
}

// Where a frame's octets will be: behind those before it in the room, or, where there are many, in the ring until they
// are sent, with room for the head alone.
void Link::lay_out(Passing& one, std::size_t body_bytes, Flow& flow)
{
    one.head_bytes = head_bytes_of(body_bytes);
    one.at = flow.room_bytes;
    one.lent = one.text_bytes > Voyage::copied_bytes_max + 1;
    flow.room_bytes += one.head_bytes + (one.lent ? 0 : body_bytes);
}

void Link::gather_inward(Voyage& voyage)
{
    if (!may_board(outer_, plain_)) {
        return;
    }
    write_said(plain_);
    auto& passing = voyage.passing;
    auto& flow = inward_;
    flow.first = passing.size();
    boarding_room_ = voyage.room_for_messages();
    std::vector<Bytes>& bodies = hub_.bodies;
    bodies.clear();
    take_frames(outer_, flow, std::min<std::size_t>(message_body_bytes_max, route_->config.message_bytes_max),
                [&](const zmtp::Frame& frame) -> Status {
                    if (frame.body.size() < curve::message_bytes_min) {
                        return fail(Kind::malformed, "a MESSAGE is too short");
                    }
                    Passing one;
                    one.text_bytes = frame.body.size() - curve::message_overhead_bytes;
                    lay_out(one, one.text_bytes, flow);
                    flow.room_bytes += one.lent ? 1 : 0; // the octet of a subscription
                    passing.push_back(one);
                    bodies.push_back(frame.body);
                    ++flow.count;
                    return {};
                });
    if (flow.count == 0) {
        return;
    }
    flow.room = &voyage.room(flow.room_bytes);
    const auto room = flow.room->room(flow.room_bytes);
    for (std::size_t index = 0; index < flow.count; ++index) {
        auto& one = passing[flow.first + index];
        one.ticket =
            one.lent ? voyage.process_lent(session_, bodies[index], one.text_bytes)
                     : voyage.process(session_, bodies[index], room.subspan(one.at + one.head_bytes, one.text_bytes));
    }
}

void Link::gather_outward(Voyage& voyage)
{
    if (!may_board(plain_, outer_)) {
        return;
    }
    auto& passing = voyage.passing;
    auto& flow = outward_;
    flow.first = passing.size();
    auto& texts = hub_.texts;
    texts.clear();
    const auto add = [&](const Passage& passage) {
        Passing one;
        one.text_bytes = passage.octet.size() + passage.body.size();
        lay_out(one, one.text_bytes + curve::message_overhead_bytes, flow);
        one.counts = is_whole_message(passage.flags);
        passing.push_back(one);
        texts.push_back({session_, inner_flags(passage.flags), passage.octet, passage.body});
        ++flow.count;
    };
    boarding_room_ = voyage.room_for_messages();
    outer_.said = std::min(outer_.say.size(), boarding_room_);
    for (std::size_t index = 0; index < outer_.said; ++index) {
        add({true, zmtp::frame_command, {}, outer_.say[index]});
    }
    const auto body_bytes_max = std::min<std::size_t>(airlock::message_bytes_max, route_->config.message_bytes_max);
    take_frames(plain_, flow, body_bytes_max, [&](const zmtp::Frame& frame) -> Status {
        Passage passage{true, frame.flags, {}, frame.body};
        if ((frame.flags & zmtp::frame_command) != 0) {
            passage = TRY(take_command(plain_, outer_, frame.body));
            if (!passage.forward) {
                return {};
            }
        }
        add(passage);
        return {};
    });
    if (flow.count == 0) {
        return;
    }
    flow.room = &voyage.room(flow.room_bytes);
    const auto room = flow.room->room(flow.room_bytes);
    for (std::size_t index = 0; index < flow.count; ++index) {
        auto& one = passing[flow.first + index];
        const auto body_bytes = one.text_bytes + curve::message_overhead_bytes;
        write_head(&room[one.at], 0, body_bytes); // MESSAGE travels as a message, as libzmq wants it
        one.ticket = one.lent ? voyage.produce_lent(texts[index], body_bytes)
                              : voyage.produce(texts[index], room.subspan(one.at + one.head_bytes, body_bytes));
    }
}

// Frames that are there already: nobody says that they can be read.
void Link::go_on_when_not_full()
{
    const auto goes_on = [](const End& from, const End& to) { return from.full_frames && !to.gone && !is_full(to); };
    if (goes_on(outer_, plain_) || goes_on(plain_, outer_)) {
        wake();
    }
}

void Link::absorb_relay(const Voyage& voyage)
{
    outer_.stream.consume(std::exchange(inward_.wire_bytes, 0));
    plain_.stream.consume(std::exchange(outward_.wire_bytes, 0));
    outer_.say.erase(outer_.say.begin(),
                     outer_.say.begin() + static_cast<std::ptrdiff_t>(std::exchange(outer_.said, 0)));
    absorb_inward(voyage);
    if (stage_ == Stage::open) {
        absorb_outward(voyage);
    }
}

// Moves one text to where the frames before it end: some of those may have been commands that go no further.
Status Link::pass_on(const Voyage& voyage, const Passing& one, Outgoing& out)
{
    TRY(voyage.outcome(one.ticket));
    const auto flags = plain_flags(voyage.flags(one.ticket));
    const auto text = one.lent ? voyage.lent(one.ticket) : out.room.subspan(one.at + one.head_bytes, one.text_bytes);
    Passage passage{true, flags, {}, text};
    if ((flags & zmtp::frame_command) != 0) {
        if (one.lent) {
            passage.body = out.copies.emplace_back(text.begin(), text.end());
        }
        passage = TRY(take_command(outer_, plain_, passage.body));
        if (!passage.forward) {
            return {};
        }
    }
    const auto body_bytes = passage.octet.size() + passage.body.size(); // never more than the command had
    const auto head_bytes = head_bytes_of(body_bytes);
    auto* const to = out.room.data() + out.written;
    auto* const body = to + head_bytes + passage.octet.size();
    if (!one.lent && body != passage.body.data()) {
        std::memmove(body, passage.body.data(), passage.body.size());
    }
    copy_bytes({to + head_bytes, passage.octet.size()}, passage.octet);
    write_head(to, passage.flags, body_bytes);
    out.written += head_bytes + passage.octet.size() + (one.lent ? 0 : passage.body.size());
    if (one.lent) {
        add_lent(out, passage.body);
    }
    traffic_.messages_in += is_whole_message(passage.flags) ? 1 : 0;
    traffic_.bytes_in += body_bytes;
    return {};
}

// What is written in the room goes before it.
void Link::add_lent(Outgoing& out, Bytes piece)
{
    hub_.pieces.push_back(out.room.subspan(out.given, out.written - out.given));
    hub_.pieces.push_back(piece);
    out.given = out.written;
}

// From the ring straight to the socket; what that does not take is copied, for others want the ring's room.
void Link::give(End& to, const Flow& flow, const Outgoing& out)
{
    if (out.given == 0) {
        flow.room->commit(out.written);
        to.stream.give(std::move(*flow.room));
        return;
    }
    hub_.pieces.push_back(out.room.subspan(out.given, out.written - out.given));
    to.stream.give(hub_.pieces);
    hub_.pieces.clear();
}

void Link::absorb_inward(const Voyage& voyage)
{
    const auto flow = std::exchange(inward_, {});
    Status status = flow.broken;
    if (flow.count > 0) {
        Outgoing out{flow.room->room(flow.room_bytes)};
        for (std::size_t index = 0; index < flow.count; ++index) {
            if (const auto passed = pass_on(voyage, voyage.passing[flow.first + index], out); !passed) {
                status = passed;
                break;
            }
        }
        give(plain_, flow, out);
    }
    if (!status) {
        static_cast<void>(plain_.stream.flush()); // what was good before it
        break_off(status.error());
    }
}

void Link::absorb_outward(const Voyage& voyage)
{
    const auto flow = std::exchange(outward_, {});
    Status status = flow.broken;
    if (flow.count > 0) {
        Outgoing out{flow.room->room(flow.room_bytes)};
        for (std::size_t index = 0; index < flow.count; ++index) {
            const auto& one = voyage.passing[flow.first + index];
            if (const auto produced = voyage.outcome(one.ticket); !produced) {
                status = produced;
                break;
            }
            out.written = one.at + one.head_bytes;
            if (one.lent) {
                add_lent(out, voyage.lent(one.ticket));
            } else {
                out.written += one.text_bytes + curve::message_overhead_bytes;
            }
            traffic_.messages_out += one.counts ? 1 : 0;
            traffic_.bytes_out += one.text_bytes;
        }
        give(outer_, flow, out);
    }
    if (!status) {
        static_cast<void>(outer_.stream.flush());
        break_off(status.error());
    }
}

// [ZMTP-6] PLAIN and NULL: nothing is encrypted, but limits, heartbeats and subscriptions are minded all the same.
Status Link::relay_unprotected(End& from, End& to)
{
    if (!may_board(from, to)) {
        return {};
    }
    write_said(to);
    Flow flow;
    boarding_room_ = turn_frames;
    take_frames(from, flow, std::min<std::uint64_t>(route_->config.message_bytes_max, SIZE_MAX),
                [&](const zmtp::Frame& frame) -> Status {
                    Passage passage{true, frame.flags, {}, frame.body};
                    if ((frame.flags & zmtp::frame_command) != 0) {
                        passage = TRY(take_command(from, to, frame.body));
                    }
                    if (!passage.forward) {
                        return {};
                    }
                    ++flow.count;
                    const auto body_bytes = passage.octet.size() + passage.body.size();
                    ByteArray<zmtp::frame_head_bytes_max> head;
                    to.stream.write(Bytes(head).first(zmtp::write_frame_head(head, passage.flags, body_bytes)));
                    to.stream.write(passage.octet);
                    to.stream.write(passage.body);
                    const bool inward = &from == &outer_;
                    (inward ? traffic_.messages_in : traffic_.messages_out) += is_whole_message(passage.flags) ? 1 : 0;
                    (inward ? traffic_.bytes_in : traffic_.bytes_out) += body_bytes;
                    return {};
                });
    from.stream.consume(flow.wire_bytes);
    return flow.broken;
}

// [ZMTP-7] Heartbeats end at the gateway; a subscription becomes what the other side's version has for it.
Result<Link::Passage> Link::take_command(End& from, const End& to, Bytes body)
{
    const auto command = TRY(zmtp::read_command(body));
    Passage passage;
    passage.body = body;
    switch (command.kind) {
    case zmtp::Command::Kind::ping: {
        from.ttl = std::chrono::milliseconds(100) * command.ttl_deciseconds;
        ByteArray<zmtp::ping_context_bytes_max + 8> pong;
        Writer writer(pong);
        zmtp::write_pong(writer, command.rest);
        say(from, writer.written());
        passage.forward = false;
        break;
    }
    case zmtp::Command::Kind::pong: passage.forward = false; break;
    case zmtp::Command::Kind::subscribe:
    case zmtp::Command::Kind::cancel:
        if (to.minor == 0) {
            passage.flags = 0;
            passage.octet = command.kind == zmtp::Command::Kind::subscribe ? Bytes(subscribe_octets) : cancel_octets;
            passage.body = command.rest;
        }
        break;
    case zmtp::Command::Kind::other: break;
    }
    return passage;
}

// A command of our own, to be sent in the link's next turn.
void Link::say(End& to, Bytes command)
{
    if (to.say.size() < said_at_once_max) {
        to.say.emplace_back(command.begin(), command.end());
        wake();
    }
}

void Link::write_said(End& to)
{
    for (const auto& command : to.say) {
        write_frame(to.stream, zmtp::frame_command, command);
    }
    to.say.clear();
}

// [ZMTP-7] Any octet is a sign of life. A side that is not read from, because the other one is full, is not silent.
void Link::beat(End& end, Clock::time_point now)
{
    const auto& config = route_->config;
    if (!end.wish.read) {
        end.heard = now;
    }
    const auto patience = config.heartbeat.count() > 0 ? config.heartbeat + config.heartbeat_timeout : end.ttl;
    const auto shortest = end.ttl.count() > 0 ? std::min(patience, end.ttl) : patience;
    if (shortest.count() > 0 && now - end.heard > shortest) {
        this->end(Reason::silent, &end == &outer_ ? "cut off: the peer gives no sign of life"
                                                  : "cut off: the program on the plain side gives no sign of life");
        return;
    }
    if (config.heartbeat.count() > 0 && end.minor > 0 && now - end.pinged >= config.heartbeat) {
        end.pinged = now;
        ByteArray<16> ping;
        Writer writer(ping);
        zmtp::write_ping(writer, 0);
        say(end, writer.written());
    }
}

} // namespace caisson::services::gateway
