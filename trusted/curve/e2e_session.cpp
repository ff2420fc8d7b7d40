#include "trusted/curve/e2e_place.hpp"

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

namespace e2e = protocol::e2e;

constexpr std::uint32_t index_bits = 8;
static_assert(airlock::curve::e2e_sessions_max == 1U << index_bits);
} // namespace

Result<E2eSession*> E2eSessions::open() noexcept
{
    auto* session = std::find_if(sessions_.begin(), sessions_.end(), [](const auto& one) { return one.curve.id == 0; });
    if (session == sessions_.end()) {
        session = TRY(sessions_.add());
    }
    generation_ = std::max((generation_ + 1) & ((1U << (32 - index_bits)) - 1), std::uint32_t{1});
    session->curve.id = (generation_ << index_bits) | static_cast<std::uint32_t>(session - sessions_.begin());
    return session;
}

Result<const E2eSession*> E2eSessions::find(std::uint32_t id) const noexcept
{
    const auto index = id & ((1U << index_bits) - 1);
    if (id == 0 || index >= sessions_.size() || sessions_[index].curve.id != id) {
        return fail(Kind::missing, "there is no such end-to-end session");
    }
    return &sessions_[index];
}

Result<E2eSession*> E2eSessions::find(std::uint32_t id) noexcept
{
    TRY(std::as_const(*this).find(id));
    return &sessions_[id & ((1U << index_bits) - 1)];
}

void E2eSessions::close_all_of(std::uint32_t own_key) noexcept
{
    for (auto& session : sessions_) {
        if (session.curve.id != 0 && session.curve.own_key == own_key) {
            close(session);
        }
    }
}

// [CURVE-50]
void E2eSessions::close_all() noexcept
{
    for (auto& session : sessions_) {
        if (session.curve.id != 0) {
            close(session);
        }
    }
}

Result<std::size_t> e2e_seal(E2eSession& session, PacketType type, std::uint8_t flags, Bytes text,
                             MutableBytes output) noexcept
{
    const auto size = text.size() + e2e::data_overhead_bytes;
    if (output.size() < size) {
        return fail(Kind::exhausted, "the buffer for a packet is too small");
    }
    const auto counter = TRY(next_place(session, text.size()));
    Writer writer(output);
    e2e::write_packet_head(writer, type, session.session_id);
    writer.write_be(session.sending.epoch);
    writer.write_be(counter);
    auto* box = writer.rest().data();
    box[e2e::tag_bytes] = flags;
    copy_bytes(writer.rest().subspan(e2e::tag_bytes + 1), text);
    seal_box(box, {box + e2e::tag_bytes, text.size() + 1},
             nonce_of(type, session.curve.is_server, session.sending.epoch, counter), session.sending.key);
    return size;
}

Result<E2eOpened> e2e_open(E2eSession& session, const Packet& packet, MutableBytes text) noexcept
{
    if (packet.type == PacketType::fanout) {
        return e2e_open_fanout(session, packet, text);
    }
    const auto place = TRY(place_of(session, packet));
    const auto content_bytes = place.box.size() - e2e::tag_bytes;
    if (text.size() < content_bytes) {
        return fail(Kind::exhausted, "the buffer for a message is too small");
    }
    auto key = TRY(open_at(session, packet.type, place, text));
    E2eOpened out{text[0], place.counter, content_bytes - 1};
    TRY(check_packet_flags(out.flags));
    take_place(session, place, std::move(key));
    copy_bytes(text, text.subspan(1, out.text_bytes));
    return out;
}

} // namespace caisson::trusted::curve
