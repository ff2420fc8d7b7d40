// A link on the server's side of CURVE, or of PLAIN and NULL: the client first, then the program behind.
#include "core/wire.hpp"
#include "protocol/curve.hpp"
#include "services/gateway/link.hpp"

namespace caisson::services::gateway {
namespace {

namespace zmtp = protocol::zmtp;
using airlock::curve::Request;

// No larger than the answers are: then many handshakes make one group in the chamber.
constexpr std::size_t small_answer_bytes = 192; // WELCOME's 168, and what READY has beside its metadata
constexpr std::size_t initiated_bytes = 2 * sizeof(std::uint32_t) + protocol::CurveKey::size;

std::string mechanism_name(zmtp::Mechanism mechanism)
{
    return mechanism == zmtp::Mechanism::curve ? "CURVE" : mechanism == zmtp::Mechanism::plain ? "PLAIN" : "NULL";
}

} // namespace

// [GATE-24]
void Link::greet()
{
    if (!std::exchange(greeted_, true)) {
        outer_.stream.write(zmtp::write_greeting({route_->config.mechanism, 1}));
    }
}

Status Link::step_server(bool& moved)
{
    switch (stage_) {
    case Stage::outer_greeting:
        if (outer_.stream.input().size() > 0) {
            greet();
        }
        if (TRY(read_greeting(outer_, route_->config.mechanism))) {
            // NULL has no HELLO: what it says of itself comes with READY.
            stage_ = route_->config.mechanism == zmtp::Mechanism::null ? Stage::initiate : Stage::hello;
            moved = true;
        }
        return {};
    case Stage::hello: return read_hello(moved);
    case Stage::initiate: return read_initiate(moved);
    case Stage::judged:
        if (verdict_) {
            moved = true;
            return on_admitted();
        }
        return {};
    case Stage::plain_greeting:
        if (plain_.stream.open() && TRY(read_greeting(plain_, zmtp::Mechanism::null))) {
            stage_ = Stage::plain_ready;
            moved = true;
        }
        return {};
    case Stage::plain_ready: return read_plain_ready(moved);
    case Stage::ended:
    case Stage::parked:
    case Stage::retry:
    case Stage::welcome:
    case Stage::outer_ready:
    case Stage::open: return {};
    }
    return {};
}

Status Link::read_hello(bool& moved)
{
    const auto frame = TRY(next_command(outer_.stream));
    if (!frame) {
        return {};
    }
    if (route_->config.mechanism == zmtp::Mechanism::plain) {
        const auto credentials = TRY(zmtp::read_plain_hello(frame->body));
        std::vector<std::string> words{std::string(credentials.username), std::string(credentials.password)};
        outer_.stream.consume(frame->wire_bytes);
        moved = true;
        return ask_zap(std::move(words));
    }
    if (key_index_ >= route_->keys.size()) {
        return fail(Kind::unauthentic, "HELLO is for none of this listener's keys");
    }
    ask(Request::process_hello, route_->keys[key_index_].loaded.id, frame->body, small_answer_bytes);
    return {};
}

Status Link::read_initiate(bool& moved)
{
    const auto frame = TRY(next_command(outer_.stream));
    if (!frame) {
        return {};
    }
    if (route_->is_protected()) {
        ask(Request::process_initiate, own_key_, frame->body, initiated_bytes + frame->body.size());
        return {};
    }
    const auto is_null = route_->config.mechanism == zmtp::Mechanism::null;
    const auto metadata = TRY(zmtp::read_metadata(frame->body, is_null ? zmtp::ready_name : zmtp::initiate_name));
    metadata_.assign(metadata.begin(), metadata.end());
    outer_.stream.consume(frame->wire_bytes);
    moved = true;
    return is_null && route_->zap ? ask_zap({}) : on_admitted();
}

Status Link::absorb_server(Request request, Result<Bytes> answer)
{
    if (request == Request::process_hello && !answer && answer.error().kind == Kind::unauthentic) {
        ++key_index_; // [GATE-10] perhaps it is for the next key
        return {};
    }
    if (!answer && answer.error().kind == Kind::exhausted) {
        end(Reason::too_many, "refused: the chamber takes no further session: all are in use, or it has too little "
                              "locked memory for more (caisson doctor says how much)");
        return {};
    }
    if (!answer) {
        return fail(answer.error().kind, request == Request::process_hello ? "HELLO is malformed or does not open"
                                         : request == Request::process_initiate
                                             ? "INITIATE does not open, or was used before"
                                             : "the program's READY is not accepted by the chamber");
    }
    if (request == Request::produce_ready) {
        write_frame(outer_.stream, zmtp::frame_command, *answer);
        become_open();
        return {};
    }
    const auto frame = TRY(next_command(outer_.stream));
    outer_.stream.consume(frame->wire_bytes);
    if (request == Request::process_initiate) {
        return take_initiated(*answer);
    }
    own_key_ = route_->keys[key_index_].loaded.id;
    write_frame(outer_.stream, zmtp::frame_command, *answer);
    stage_ = Stage::initiate;
    return {};
}

Status Link::take_initiated(Bytes answer)
{
    Reader reader(answer);
    session_ = TRY(reader.read_le<std::uint32_t>());
    peer_key_.bytes = TRY(reader.read_array<protocol::CurveKey::size>());
    const auto admitted = TRY(reader.read_le<std::uint32_t>());
    metadata_.assign(reader.rest().begin(), reader.rest().end());
    return admit(admitted);
}

void Link::want() const
{
    if (hub_.feeder != nullptr) {
        hub_.feeder->want_peer(peer_key_);
    }
}

// [ZMTP-4] The chamber's word first; lists and the user's handler can only narrow it.
Status Link::admit(std::uint32_t admitted)
{
    if (admitted == 0) {
        want();
        end(why_refused(), is_unlisted()
                               ? "refused: " + z85_of(peer_key_) + " is not in the chamber's access list"
                               : "refused: the node of " + z85_of(peer_key_) + " is not trusted now, or not known yet");
        return {};
    }
    if (route_->allowed && !route_->allowed->contains(peer_key_)) {
        end(Reason::not_listed, "refused: " + z85_of(peer_key_) + " is not in the allow list");
        return {};
    }
    note_trust();
    if (route_->is_gated() && hub_.feeder != nullptr) {
        kept_ = hub_.feeder->keep_peer(peer_key_);
        if (!kept_) {
            end(Reason::too_many, "refused: too many clients whose trust is to be kept fresh");
            return {};
        }
    }
    if (!route_->zap) {
        return on_admitted();
    }
    std::string key(text_of(peer_key_.bytes));
    return ask_zap({std::move(key)});
}

// [GATE-20] The handler hears the client's own identity: it has proved a key by now, or is to be judged by a password.
Status Link::ask_zap(std::vector<std::string> credentials)
{
    const auto identity = zmtp::find_property(metadata_, "Identity");
    stage_ = Stage::judged;
    verdict_.reset();
    const std::weak_ptr<bool> alive = alive_;
    route_->zap->ask({route_->config.zap_domain, source_, std::string(text_of(identity)),
                      mechanism_name(route_->config.mechanism), std::move(credentials)},
                     [this, alive](ZapVerdict verdict) {
                         const auto still = alive.lock();
                         if (still && *still && stage_ == Stage::judged) {
                             verdict_ = std::move(verdict);
                             wake();
                         }
                     });
    return {};
}

// [GATE-1] Nobody has anything against it any more.
Status Link::on_admitted()
{
    if (verdict_ && verdict_->status != 200) {
        const bool silent = verdict_->status == 0;
        end(silent ? Reason::zap_unavailable : Reason::zap_refused,
            silent ? "refused: the ZAP handler does not answer"
                   : "refused: the ZAP handler says " + std::to_string(verdict_->status) + " " + verdict_->text);
        return {};
    }
    if (verdict_) {
        user_ = verdict_->user;
    }
    if (route_->config.mechanism == zmtp::Mechanism::plain && stage_ == Stage::judged) {
        write_frame(outer_.stream, zmtp::frame_command, bytes_of(zmtp::welcome_name));
        stage_ = Stage::initiate;
        return {};
    }
    if (!authenticated_) {
        hub_.strangers.loop().forget(outer_.stream.descriptor(), outer_.wish); // from here on with the sessions
        authenticated_ = true;
        hub_.on_authenticated(*this);
    }
    stage_ = Stage::plain_greeting;
    stage_since_ = Clock::now();
    open_backend();
    return {};
}

void Link::open_backend()
{
    with_address(route_->config.plain(), &Link::take_backend_address);
}

void Link::take_backend_address(host::Outcome<SocketAddress> address)
{
    auto stream = address ? Stream::connect(route_->config.plain(), *address) : std::unexpected(address.error());
    if (!stream && stream.error().kind == Kind::exhausted) {
        return; // the program's queue is full: the next tick tries again
    }
    if (!stream) {
        end(Reason::plain_unavailable, "refused: " + stream.error().what);
        return;
    }
    plain_.stream = std::move(*stream);
    plain_.wish = {};
    plain_.heard = Clock::now();
    if (const auto known = check_plain_user(plain_); !known) {
        end(Reason::plain_user, std::string("refused: ") + known.error().what);
        return;
    }
    // READY depends on nothing that the program says, and goes with the greeting.
    plain_.stream.write(zmtp::write_greeting({zmtp::Mechanism::null, outer_.minor}));
    write_frame(plain_.stream, zmtp::frame_command, ready_for_plain());
}

Status Link::read_plain_ready(bool& moved)
{
    const auto frame = TRY(next_command(plain_.stream));
    if (!frame) {
        return {};
    }
    const auto metadata = TRY(zmtp::read_null_ready(frame->body));
    std::vector<std::uint8_t> passed(metadata.size());
    Writer writer(passed);
    zmtp::copy_ends_properties(writer, metadata);
    passed.resize(writer.written().size());
    plain_.stream.consume(frame->wire_bytes);
    moved = true;
    return answer_outer_ready(passed);
}

Status Link::answer_outer_ready(Bytes metadata)
{
    metadata_.assign(metadata.begin(), metadata.end());
    if (route_->is_protected()) {
        ask(Request::produce_ready, session_, metadata_, metadata_.size() + small_answer_bytes);
        return {};
    }
    std::vector<std::uint8_t> ready(zmtp::ready_name.size() + metadata_.size());
    Writer writer(ready);
    writer.write_bytes(bytes_of(zmtp::ready_name));
    writer.write_bytes(metadata_);
    write_frame(outer_.stream, zmtp::frame_command, ready);
    become_open();
    return {};
}

} // namespace caisson::services::gateway
