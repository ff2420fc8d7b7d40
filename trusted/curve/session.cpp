#include "trusted/curve/session.hpp"

#include <algorithm>
#include <utility>

namespace caisson::trusted::curve {
namespace {

namespace wire = protocol::curve;
using wire::short_nonce_bytes;
using wire::tag_bytes;

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

Result<Reader> after_name(Bytes body, std::string_view name) noexcept
{
    Reader reader(body);
    if (text_of(TRY(reader.read_bytes(name.size()))) != name) {
        return fail(Kind::malformed, "another command was expected");
    }
    return reader;
}

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
