// A message larger than a request of the chamber: in pieces, as they come. What the chamber makes of it is held back
// until the chamber has seen the end and said yes; each octet crosses once.
#include "protocol/curve.hpp"
#include "services/gateway/link.hpp"

#include <algorithm>

namespace caisson::services::gateway {
namespace {

namespace curve = protocol::curve;
namespace zmtp = protocol::zmtp;

constexpr std::size_t piece_bytes_max = airlock::message_bytes_max;
constexpr std::size_t head_bytes = zmtp::frame_head_bytes_max; // a large frame is a long one
constexpr std::size_t tag_at = curve::MESSAGE.size() + curve::short_nonce_bytes;

void write_head(MutableBytes at, std::uint8_t flags, std::size_t body_bytes) noexcept
{
    ByteArray<head_bytes> head;
    static_cast<void>(zmtp::write_frame_head(head, flags, body_bytes));
    copy_bytes(at, head);
}

} // namespace

// [GATE-9] Room is asked for at once, but memory comes with the octets that are written.
Status Link::begin_large_inward(const zmtp::FrameHead& frame)
{
    const auto input = outer_.stream.input();
    if (input.size() < frame.head_bytes + curve::message_overhead_bytes) {
        return {};
    }
    auto large = std::make_unique<Large>();
    large->left = frame.body_bytes - curve::message_overhead_bytes;
    large->text_bytes = large->left;
    TRY(hub_.chamber.begin_process(session_, input.subspan(frame.head_bytes, curve::message_overhead_bytes),
                                   large->text_bytes));
    static_cast<void>(large->held.room(head_bytes + large->text_bytes));
    large->held.commit(head_bytes);
    outer_.stream.consume(frame.head_bytes + curve::message_overhead_bytes);
    large_inward_ = std::move(large);
    return {};
}

Status Link::pass_large_inward()
{
    auto& large = *large_inward_;
    const auto input = outer_.stream.input();
    const auto piece = input.first(std::min({input.size(), large.left, piece_bytes_max}));
    if (!piece.empty()) {
        TRY(hub_.chamber.process_piece(session_, piece, large.held.room(piece.size()).first(piece.size())));
        large.held.commit(piece.size());
        large.left -= piece.size();
        outer_.stream.consume(piece.size());
    }
    if (large.left > 0) {
        return {};
    }
    const auto flags = TRY(hub_.chamber.finish_process(session_));
    if ((flags & airlock::curve::message_command) != 0) {
        return fail(Kind::malformed, "a command is larger than commands are");
    }
    const bool more = (flags & airlock::curve::message_more) != 0;
    write_head(large.held.writable(), more ? zmtp::frame_more : std::uint8_t{0}, large.text_bytes);
    plain_.stream.give(std::move(large.held));
    traffic_.messages_in += more ? 0 : 1;
    traffic_.bytes_in += large.text_bytes;
    large_inward_.reset();
    wake();
    return {};
}

// The tag stands before the text that it is made of, so all of it has to be there before the first octet goes out.
Status Link::begin_large_outward(const zmtp::FrameHead& frame)
{
    if ((frame.flags & zmtp::frame_command) != 0) {
        return fail(Kind::malformed, "a command is larger than commands are");
    }
    auto large = std::make_unique<Large>();
    large->left = large->text_bytes = frame.body_bytes;
    large->more = (frame.flags & zmtp::frame_more) != 0;
    const auto body_head = TRY(hub_.chamber.begin_produce(
        session_, large->more ? airlock::curve::message_more : std::uint32_t{0}, large->text_bytes));
    const auto room = large->held.room(head_bytes + body_head.size() + large->text_bytes);
    write_head(room, 0, body_head.size() + large->text_bytes);
    copy_bytes(room.subspan(head_bytes), body_head);
    large->held.commit(head_bytes + body_head.size());
    plain_.stream.consume(frame.head_bytes);
    large_outward_ = std::move(large);
    return {};
}

Status Link::pass_large_outward()
{
    auto& large = *large_outward_;
    const auto input = plain_.stream.input();
    const auto piece = input.first(std::min({input.size(), large.left, piece_bytes_max}));
    if (!piece.empty()) {
        TRY(hub_.chamber.produce_piece(session_, piece, large.held.room(piece.size()).first(piece.size())));
        large.held.commit(piece.size());
        large.left -= piece.size();
        plain_.stream.consume(piece.size());
    }
    if (large.left > 0) {
        return {};
    }
    const auto tag = TRY(hub_.chamber.finish_produce(session_));
    copy_bytes(large.held.writable().subspan(head_bytes + tag_at), tag);
    outer_.stream.give(std::move(large.held));
    traffic_.messages_out += large.more ? 0 : 1;
    traffic_.bytes_out += large.text_bytes;
    large_outward_.reset();
    wake();
    return {};
}

bool Link::is_large(const End& from, const zmtp::FrameHead& frame) const noexcept
{
    const std::size_t overhead = &from == &outer_ ? curve::message_overhead_bytes : 0;
    return route_->is_protected() && frame.body_bytes > airlock::message_bytes_max + overhead &&
           frame.body_bytes <= route_->config.message_bytes_max + overhead;
}

// Or under way already.
bool Link::is_large_next(const End& from) const noexcept
{
    if ((&from == &outer_ ? large_inward_ : large_outward_) != nullptr) {
        return true;
    }
    const auto head = zmtp::read_frame_head(from.stream.input());
    return head && *head && is_large(from, **head);
}

// A frame that is too large for a batch, once those before it are gone.
Status Link::gather_large(End& from)
{
    const bool inward = &from == &outer_;
    auto& large = inward ? large_inward_ : large_outward_;
    if (large == nullptr) {
        const auto head = TRY(zmtp::read_frame_head(from.stream.input()));
        if (head) {
            TRY(inward ? begin_large_inward(*head) : begin_large_outward(*head));
        }
    }
    if (large == nullptr) {
        return {};
    }
    TRY(inward ? pass_large_inward() : pass_large_outward());
    from.full_frames = large != nullptr && !from.stream.input().empty(); // the next piece is there already
    return {};
}

} // namespace caisson::services::gateway
