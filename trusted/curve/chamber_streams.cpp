// The chamber's requests about messages that are larger than a request: of sessions, and of the shim's session keys.
#include "core/wire.hpp"
#include "trusted/curve/chamber.hpp"

namespace caisson::trusted::curve {
namespace {

struct Subject {
    std::uint32_t id = 0;
    Bytes rest;
};

Result<Subject> read_subject(Bytes input) noexcept
{
    Reader reader(input);
    Subject subject;
    subject.id = TRY(reader.read_le<std::uint32_t>());
    subject.rest = reader.rest();
    return subject;
}

struct Addressed {
    Handle handle;
    Bytes rest;
};

Result<Addressed> read_named(Bytes input) noexcept
{
    Reader reader(input);
    Addressed named;
    named.handle.bytes = TRY(reader.read_array<Handle::size>());
    named.rest = reader.rest();
    return named;
}

// [CURVE-2] A message that goes wrong ends its session; that there is no place for it now does not.
template <typename T>
Result<T> or_end(Sessions& sessions, Session& session, Result<T> result) noexcept
{
    if (!result && result.error().kind != Kind::exhausted) {
        sessions.close(session);
    }
    return result;
}

} // namespace

// [CURVE-40]
Result<std::size_t> Chamber::produce_message_begin(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    TRY(check_gate(*session));
    return or_end(sessions_, *session, curve::produce_message_begin(*session, streams_, subject.rest, output));
}

Result<std::size_t> Chamber::produce_message_piece(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    TRY(check_gate(*session));
    return or_end(sessions_, *session, curve::produce_message_piece(*session, subject.rest, output));
}

Result<std::size_t> Chamber::produce_message_finish(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    TRY(check_gate(*session));
    return or_end(sessions_, *session, curve::produce_message_finish(*session, output));
}

Result<std::size_t> Chamber::process_message_begin(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    TRY(check_gate(*session));
    return or_end(sessions_, *session, curve::process_message_begin(*session, streams_, subject.rest));
}

Result<std::size_t> Chamber::process_message_piece(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    TRY(check_gate(*session));
    return or_end(sessions_, *session, curve::process_message_piece(*session, subject.rest, output));
}

// [CURVE-41]
Result<std::size_t> Chamber::process_message_finish(Bytes input, MutableBytes output) noexcept
{
    const auto subject = TRY(read_subject(input));
    auto* session = TRY(sessions_.find(subject.id));
    TRY(check_gate(*session));
    const auto flags = TRY(or_end(sessions_, *session, curve::process_message_finish(*session)));
    Writer writer(output);
    writer.write_le(flags);
    return writer.finish();
}

Result<std::size_t> Chamber::box_afternm_begin(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto named = TRY(read_named(input));
    Reader reader(named.rest);
    const auto nonce = TRY(reader.read_array<protocol::curve::nonce_bytes>());
    const auto text_bytes = TRY(reader.read_le<std::uint64_t>());
    TRY(shim_keys_.box_begin(named.handle, nonce, text_bytes));
    return std::size_t{0};
}

Result<std::size_t> Chamber::box_afternm_piece(Bytes input, MutableBytes output) noexcept
{
    const auto named = TRY(read_named(input));
    return shim_keys_.box_piece(named.handle, named.rest, output);
}

Result<std::size_t> Chamber::box_afternm_finish(Bytes input, MutableBytes output) noexcept
{
    const auto named = TRY(read_named(input));
    const auto tag = TRY(shim_keys_.box_finish(named.handle));
    Writer writer(output);
    writer.write_bytes(tag);
    return writer.finish();
}

Result<std::size_t> Chamber::box_open_afternm_begin(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto named = TRY(read_named(input));
    Reader reader(named.rest);
    const auto nonce = TRY(reader.read_array<protocol::curve::nonce_bytes>());
    const auto text_bytes = TRY(reader.read_le<std::uint64_t>());
    const auto tag = TRY(reader.read_array<crypto::box_tag_bytes>());
    TRY(shim_keys_.open_begin(named.handle, nonce, text_bytes, tag));
    return std::size_t{0};
}

Result<std::size_t> Chamber::box_open_afternm_piece(Bytes input, MutableBytes output) noexcept
{
    const auto named = TRY(read_named(input));
    return shim_keys_.open_piece(named.handle, named.rest, output);
}

Result<std::size_t> Chamber::box_open_afternm_finish(Bytes input, MutableBytes /*output*/) noexcept
{
    const auto named = TRY(read_named(input));
    TRY(shim_keys_.open_finish(named.handle));
    return std::size_t{0};
}

} // namespace caisson::trusted::curve
