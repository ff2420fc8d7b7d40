// A link on the client's side of CURVE, or of PLAIN and NULL: the program here first, then the server outside, tried
// again and again with growing pauses while the program waits.
#include "core/wire.hpp"
#include "protocol/curve.hpp"
#include "services/gateway/link.hpp"

#include <algorithm>

namespace caisson::services::gateway {
namespace {

namespace zmtp = protocol::zmtp;
using airlock::curve::Request;

// No larger than the answers are: then many handshakes make one group in the chamber.
constexpr std::size_t small_answer_bytes = protocol::curve::hello_bytes + 24; // and what READY has beside its metadata

} // namespace

Status Link::step_client(bool& moved)
{
    switch (stage_) {
    case Stage::plain_greeting:
        if (TRY(read_greeting(plain_, zmtp::Mechanism::null))) {
            stage_ = Stage::plain_ready;
            moved = true;
        }
        return {};
    case Stage::plain_ready: return read_program_ready(moved);
    case Stage::outer_greeting: return begin_outer(moved);
    case Stage::welcome: return read_welcome(moved);
    case Stage::outer_ready: return read_outer_ready(moved);
    case Stage::ended:
    case Stage::parked:
    case Stage::hello:
    case Stage::initiate:
    case Stage::judged:
    case Stage::retry:
    case Stage::open: return {};
    }
    return {};
}

// [GATE-4] [CURVE-18]
Status Link::read_program_ready(bool& moved)
{
    const auto frame = TRY(next_command(plain_.stream));
    if (!frame) {
        return {};
    }
    const auto metadata = TRY(zmtp::read_null_ready(frame->body));
    metadata_.resize(metadata.size());
    Writer writer(metadata_);
    zmtp::copy_ends_properties(writer, metadata);
    metadata_.resize(writer.written().size());
    plain_.stream.consume(frame->wire_bytes);
    plain_greeted_ = true;
    moved = true;
    connect_outer();
    return {};
}

void Link::connect_outer()
{
    stage_ = Stage::outer_greeting;
    stage_since_ = Clock::now();
    with_address(route_->config.outer(), &Link::take_outer_address);
}

void Link::take_outer_address(host::Outcome<SocketAddress> address)
{
    auto stream = address ? Stream::connect(route_->config.outer(), *address) : std::unexpected(address.error());
    if (!stream) {
        retry_later(stream.error().what);
        return;
    }
    outer_.stream = std::move(*stream);
    outer_.wish = {};
    outer_.heard = Clock::now();
    outer_.stream.write(zmtp::write_greeting({route_->config.mechanism, plain_.minor}));
    if (route_->is_protected()) { // HELLO depends on nothing that the server says, and goes with the greeting
        own_key_ = route_->keys.front().loaded.id;
        peer_key_ = *route_->config.server_key;
        ask(Request::begin_client, own_key_, peer_key_.bytes, small_answer_bytes);
    }
    wake();
}

// [GATE-5] The pause doubles up to its largest; what the server said is for the log alone, as anybody on the way could
// have said it.
void Link::retry_later(const std::string& why)
{
    close_session();
    outer_.stream.close();
    outer_.wish = {};
    forget_asked();
    looking_up_ = false;
    peer_key_ = {};
    own_key_ = 0;
    const auto& config = route_->config;
    backoff_ = std::min(config.reconnect_max, backoff_.count() == 0 ? config.reconnect : 2 * backoff_);
    retry_at_ = Clock::now() + backoff_;
    stage_ = Stage::retry;
    ++route_->metrics.ended[static_cast<std::size_t>(Reason::outer_unavailable)];
    hub_.log.line(config.name + ": " + name_ + ": " + config.outer().text() + ": " + why + "; again in " +
                      std::to_string(backoff_.count()) + " ms",
                  {{"listener", config.name}, {"peer", name_}, {"reason", reason_name(Reason::outer_unavailable)}});
    update_wishes();
}

Status Link::begin_outer(bool& moved)
{
    if (!TRY(read_greeting(outer_, route_->config.mechanism))) {
        return {};
    }
    moved = true;
    if (route_->is_protected()) {
        stage_ = Stage::welcome;
        return {};
    }
    ByteArray<600> words;
    Writer writer(words);
    if (route_->config.mechanism == zmtp::Mechanism::plain) {
        TRY(zmtp::write_plain_hello(writer, {route_->config.username, route_->password}));
        write_frame(outer_.stream, zmtp::frame_command, writer.written());
        stage_ = Stage::welcome;
        return {};
    }
    std::vector<std::uint8_t> ready(bytes_of(zmtp::ready_name).begin(), bytes_of(zmtp::ready_name).end());
    ready.insert(ready.end(), metadata_.begin(), metadata_.end());
    write_frame(outer_.stream, zmtp::frame_command, ready);
    stage_ = Stage::outer_ready;
    return {};
}

Status Link::read_welcome(bool& moved)
{
    const auto frame = TRY(next_command(outer_.stream));
    if (!frame) {
        return {};
    }
    TRY(zmtp::read_metadata(frame->body.first(std::min(frame->body.size(), zmtp::welcome_name.size())),
                            zmtp::welcome_name));
    if (route_->is_protected()) {
        ask(Request::process_welcome, session_, frame->body, small_answer_bytes);
        ask(Request::produce_initiate, session_, metadata_, protocol::curve::initiate_bytes_min + metadata_.size());
        return {};
    }
    outer_.stream.consume(frame->wire_bytes);
    std::vector<std::uint8_t> initiate(bytes_of(zmtp::initiate_name).begin(), bytes_of(zmtp::initiate_name).end());
    initiate.insert(initiate.end(), metadata_.begin(), metadata_.end());
    write_frame(outer_.stream, zmtp::frame_command, initiate);
    stage_ = Stage::outer_ready;
    moved = true;
    return {};
}

Status Link::read_outer_ready(bool& moved)
{
    const auto frame = TRY(next_command(outer_.stream));
    if (!frame) {
        return {};
    }
    if (text_of(frame->body).starts_with(zmtp::error_name)) {
        return fail(Kind::unacceptable, "the server answers ERROR");
    }
    if (route_->is_protected()) {
        ask(Request::process_ready, session_, frame->body, frame->body.size());
        return {};
    }
    const auto metadata = TRY(zmtp::read_null_ready(frame->body));
    std::vector<std::uint8_t> kept(metadata.begin(), metadata.end());
    outer_.stream.consume(frame->wire_bytes);
    moved = true;
    return take_outer_ready(kept);
}

Status Link::absorb_client(Request request, Result<Bytes> answer)
{
    if (!answer) {
        session_ = 0; // a step that fails ends its session
        return fail(answer.error().kind,
                    request == Request::process_welcome ? "WELCOME does not open: another server key than configured?"
                    : request == Request::process_ready ? "READY does not open, or the server is not trusted now"
                                                        : "the chamber takes no further session");
    }
    switch (request) {
    case Request::begin_client: {
        Reader reader(*answer);
        session_ = TRY(reader.read_le<std::uint32_t>());
        write_frame(outer_.stream, zmtp::frame_command, reader.rest());
        return {};
    }
    case Request::process_welcome: outer_.stream.consume(TRY(next_command(outer_.stream))->wire_bytes); return {};
    case Request::produce_initiate:
        write_frame(outer_.stream, zmtp::frame_command, *answer);
        stage_ = Stage::outer_ready;
        return {};
    case Request::process_ready:
        outer_.stream.consume(TRY(next_command(outer_.stream))->wire_bytes);
        return take_outer_ready(*answer);
    default: return {};
    }
}

Status Link::take_outer_ready(Bytes metadata)
{
    const std::vector<std::uint8_t> own = std::exchange(metadata_, {metadata.begin(), metadata.end()});
    note_trust();
    if (route_->is_gated() && hub_.feeder != nullptr) {
        kept_ = hub_.feeder->keep_peer(peer_key_);
    }
    write_frame(plain_.stream, zmtp::frame_command, ready_for_plain());
    become_open();
    return {};
}

void Link::note_trust()
{
    if (!route_->is_gated()) {
        trust_ = route_->is_protected() ? "ungated" : "unprotected";
        return;
    }
    const auto state = hub_.chamber.peer_state(peer_key_);
    trust_ = state ? protocol::trust_tier_name(state->tier) : "unknown";
}

} // namespace caisson::services::gateway
