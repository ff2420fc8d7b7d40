// Messages of a session that are larger than a request: a beginning, pieces, an end.
#include "trusted/curve/session.hpp"

namespace caisson::trusted::curve {
namespace {

namespace wire = protocol::curve;

constexpr std::size_t head_bytes = airlock::curve::message_head_bytes;
static_assert(head_bytes == wire::message_overhead_bytes);
// The octet of flags stands in the box, before the text.
constexpr std::size_t flags_at = head_bytes - 1;
constexpr std::size_t tag_at = flags_at - wire::tag_bytes;

wire::Nonce nonce_for(bool to_client, std::uint64_t counter) noexcept
{
    return wire::short_nonce(to_client ? wire::message_to_client_nonce : wire::message_to_server_nonce, counter);
}

// [CURVE-40] What the table knows of unfinished messages is the state.
void note_streams(Session& session) noexcept
{
    if (session.sealing.live()) {
        session.state = session.opening.live() ? SessionState::open_both : SessionState::open_sealing;
    } else {
        session.state = session.opening.live() ? SessionState::open_opening : SessionState::open;
    }
}

} // namespace

Result<std::size_t> produce_message_begin(Session& session, Streams& streams, Bytes rest, MutableBytes output) noexcept
{
    Reader reader(rest);
    const auto flags = TRY(reader.read_le<std::uint32_t>());
    const auto text_bytes = TRY(reader.read_le<std::uint64_t>());
    TRY(reader.finish());
    if (!known_message_flags(flags)) {
        return fail(Kind::malformed, "a message with unknown flags");
    }
    if (output.size() < head_bytes || text_bytes > airlock::curve::streamed_bytes_max - 1) {
        return fail(Kind::exhausted, "a message larger than any may be, or no room for its head");
    }
    const auto counter = TRY(next_counter(session));
    const auto nonce = nonce_for(session.is_server, counter);
    session.sealing = TRY(streams.begin_sealing({session.key, nonce, text_bytes + 1}));
    Writer writer(output);
    writer.write_bytes(bytes_of(wire::MESSAGE));
    writer.write_be(counter);
    writer.write_bytes(ByteArray<wire::tag_bytes>{});
    const ByteArray<1> first{static_cast<std::uint8_t>(flags)};
    TRY(session.sealing.feed(first, writer.rest()));
    note_streams(session);
    return head_bytes;
}

Result<std::size_t> produce_message_piece(Session& session, Bytes text, MutableBytes output) noexcept
{
    return session.sealing.feed(text, output);
}

Result<std::size_t> produce_message_finish(Session& session, MutableBytes output) noexcept
{
    const auto tag = TRY(session.sealing.finish_sealing());
    note_streams(session);
    Writer writer(output);
    writer.write_bytes(tag);
    return writer.finish();
}

Result<std::size_t> process_message_begin(Session& session, Streams& streams, Bytes rest) noexcept
{
    Reader reader(rest);
    const auto text_bytes = TRY(reader.read_le<std::uint64_t>());
    const auto body = TRY(reader.read_array<head_bytes>());
    TRY(reader.finish());
    Reader head(body);
    if (text_of(TRY(head.read_bytes(wire::MESSAGE.size()))) != wire::MESSAGE) {
        return fail(Kind::malformed, "another command was expected");
    }
    const auto counter = TRY(head.read_be<std::uint64_t>());
    TRY(take_counter(session, counter));
    if (text_bytes > airlock::curve::streamed_bytes_max - 1) {
        return fail(Kind::exhausted, "a message larger than any may be");
    }
    const auto tag = TRY(head.read_array<wire::tag_bytes>());
    const auto nonce = nonce_for(!session.is_server, counter);
    session.opening = TRY(streams.begin_opening({session.key, nonce, text_bytes + 1}, tag));
    session.received = counter;
    ByteArray<1> flags{};
    TRY(session.opening.feed(Bytes(body).subspan(flags_at), flags));
    session.opening.set_flags(flags[0]);
    note_streams(session);
    static_assert(tag_at == wire::MESSAGE.size() + wire::short_nonce_bytes);
    return std::size_t{0};
}

// [CURVE-41]
Result<std::size_t> process_message_piece(Session& session, Bytes box, MutableBytes output) noexcept
{
    return session.opening.feed(box, output);
}

Result<std::uint32_t> process_message_finish(Session& session) noexcept
{
    const std::uint32_t flags = TRY(session.opening.finish_opening());
    note_streams(session);
    if (!known_message_flags(flags)) {
        return fail(Kind::malformed, "a message has reserved flags");
    }
    return flags;
}

} // namespace caisson::trusted::curve
