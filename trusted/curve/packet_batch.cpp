#include "trusted/curve/packet_batch.hpp"

#include "core/check.hpp"
#include "core/wire.hpp"
#include "trusted/curve/e2e_place.hpp"

namespace caisson::trusted::curve {
namespace {

namespace e2e = protocol::e2e;

constexpr std::size_t flags_at = sizeof(std::uint32_t);                                  // of a request to seal
constexpr std::size_t content_at = flags_at + sizeof(std::uint32_t) - 1;                 // its last octet of the flags
constexpr std::size_t answer_head_bytes = sizeof(std::uint32_t) + sizeof(std::uint64_t); // flags, counter
// The content of a box is a flags octet and the text. Of an answer that was opened, the octet before the text is the
// last one of the head, which is written when the content has been read. So nothing needs to be moved.
constexpr std::size_t opened_at = answer_head_bytes - 1;

} // namespace

bool PacketBatch::must_be_alone(const E2eSession& session, std::uint8_t flags) noexcept
{
    return (flags & e2e::flag_close) != 0 || moves_on(session);
}

bool PacketBatch::must_be_alone(const E2eSession& session, const Packet& packet) noexcept
{
    const auto place = packet.type == PacketType::fanout ? slot_place_of(session, packet) : read_place(packet.body);
    return place && place->epoch != session.receiving.epoch;
}

PacketBatch::Waiting& PacketBatch::wait(airlock::Exchange& exchange, E2eSession& session, JobKind kind,
                                        std::uint64_t counter) noexcept
{
    CHECK(count_ < waiting_.size());
    return waiting_[count_++] = {&exchange, &session, session.curve.id, 0, kind, counter, {}};
}

// [E2E-18]
Status PacketBatch::add_sealing(airlock::Exchange& exchange, E2eSession& session, std::uint8_t flags) noexcept
{
    const auto content = exchange.input.subspan(content_at); // the row demands so much
    if (exchange.output.size() < content.size() - 1 + e2e::data_overhead_bytes) {
        return fail(Kind::exhausted, "the buffer for a packet is too small");
    }
    const auto counter = TRY(next_place(session, content.size() - 1));
    Writer writer(exchange.output);
    e2e::write_packet_head(writer, PacketType::data, session.session_id);
    writer.write_be(session.sending.epoch);
    writer.write_be(counter);
    content[0] = flags;
    wait(exchange, session, JobKind::sealing, counter).place = static_cast<std::uint32_t>(sealing_count_);
    sealing_[sealing_count_++] = {&data_subkey(session.sending, session.curve.is_server), counter, content.data(),
                                  writer.rest().data(), content.size()};
    return {};
}

// Whether the place is free is asked once more when it is this packet's turn: one before it may have taken it.
Status PacketBatch::add_opening(airlock::Exchange& exchange, E2eSession& session, const Packet& packet) noexcept
{
    if (packet.type == PacketType::fanout) {
        return add_fanout(exchange, session, packet);
    }
    const auto place = TRY(place_of(session, packet));
    const auto content_bytes = place.box.size() - e2e::tag_bytes;
    if (exchange.output.size() < answer_head_bytes + content_bytes) {
        return fail(Kind::exhausted, "the buffer for a message is too small");
    }
    TRY(check_new(session, place.counter));
    wait(exchange, session, JobKind::opening, place.counter).place = static_cast<std::uint32_t>(opening_count_);
    opening_[opening_count_++] = {&data_subkey(session.receiving, !session.curve.is_server), place.counter,
                                  place.box.data(), exchange.output.data() + opened_at, content_bytes};
    return {};
}

// The text goes where it stays, behind the head.
Status PacketBatch::add_fanout(airlock::Exchange& exchange, E2eSession& session, const Packet& packet) noexcept
{
    const auto place = TRY(slot_place_of(session, packet));
    if (exchange.output.size() < answer_head_bytes + e2e::content_of(packet).size()) {
        return fail(Kind::exhausted, "the buffer for a message is too small");
    }
    TRY(check_new(session, place.counter));
    wait(exchange, session, JobKind::fanout, place.counter).place =
        static_cast<std::uint32_t>(fanouts_.add(session, place, packet, exchange.output.data() + answer_head_bytes));
    return {};
}

void PacketBatch::add_refused(airlock::Exchange& exchange, E2eSession& session, Error why) noexcept
{
    wait(exchange, session, JobKind::sealing, 0).joined = std::unexpected(why);
}

void PacketBatch::make_boxes() noexcept
{
    const auto jobs = std::span<const crypto::BoxJob>(sealing_).first(sealing_count_);
    if (jobs.empty() || seal_messages(jobs)) {
        return;
    }
    for (std::size_t index = 0; index < count_; ++index) {
        const auto& waiting = waiting_[index];
        if (waiting.joined && waiting.kind == JobKind::sealing) {
            const auto& job = sealing_[waiting.place];
            const auto& session = *waiting.session;
            seal_box(job.to, {job.from, job.size},
                     nonce_of(PacketType::data, session.curve.is_server, session.sending.epoch, job.counter),
                     session.sending.key);
        }
    }
}

void PacketBatch::open_boxes() noexcept
{
    const auto jobs = std::span<const crypto::BoxJob>(opening_).first(opening_count_);
    if (jobs.empty() || open_messages(jobs, std::span(opened_).first(opening_count_))) {
        return;
    }
    for (std::size_t index = 0; index < count_; ++index) {
        const auto& waiting = waiting_[index];
        if (waiting.joined && waiting.kind == JobKind::opening) {
            const auto& job = opening_[waiting.place];
            const auto& session = *waiting.session;
            const auto nonce =
                nonce_of(PacketType::data, !session.curve.is_server, session.receiving.epoch, job.counter);
            opened_[waiting.place] =
                open_box(job.to, {job.from, job.size + e2e::tag_bytes}, nonce, session.receiving.key).has_value();
        }
    }
}

// Requires: what was to be opened has been tried.
bool PacketBatch::is_authentic(const Waiting& waiting) const noexcept
{
    return waiting.kind == JobKind::fanout ? fanouts_.slot_opened(waiting.place) : opened_[waiting.place];
}

// Requires: it is authentic.
std::uint8_t PacketBatch::flags_of(const Waiting& waiting) const noexcept
{
    return waiting.kind == JobKind::fanout ? fanouts_.flags(waiting.place) : *opening_[waiting.place].to;
}

// [E2E-8] [E2E-9] [E2E-10]
Status PacketBatch::judge(const Waiting& waiting) const noexcept
{
    const auto& session = *waiting.session;
    if (session.curve.id != waiting.session_id) {
        return fail(Kind::missing, "a packet before this one ended the session");
    }
    TRY(waiting.joined);
    if (waiting.kind == JobKind::sealing) {
        return {};
    }
    TRY(check_new(session, waiting.counter));
    if (!is_authentic(waiting)) {
        return fail(Kind::unauthentic, "a box does not open");
    }
    TRY(check_gap(session, waiting.counter));
    TRY(check_packet_flags(flags_of(waiting)));
    if (waiting.kind == JobKind::fanout && !fanouts_.content_opened(waiting.place)) {
        return fail(Kind::unauthentic, "a content is not the one that was sealed for this recipient");
    }
    return {};
}

void PacketBatch::refuse(const Waiting& waiting, Error why) noexcept
{
    if (waiting.joined && waiting.kind == JobKind::fanout) {
        wipe(fanouts_.text(waiting.place));
    } else if (waiting.joined) {
        const bool opening = waiting.kind == JobKind::opening;
        const auto& job = (opening ? opening_ : sealing_)[waiting.place];
        wipe({job.to, job.size + (opening ? 0 : e2e::tag_bytes)});
    }
    waiting.exchange->answer.result = std::unexpected(why);
    if (why.kind == Kind::conflict) { // [E2E-9] what is lost does not come back
        E2eSessions::close(*waiting.session);
    }
}

void PacketBatch::finish(const Waiting& waiting) noexcept
{
    if (const auto judged = judge(waiting); !judged) {
        refuse(waiting, judged.error());
        return;
    }
    auto& answer = waiting.exchange->answer;
    if (waiting.kind == JobKind::sealing) {
        answer.result = sealing_[waiting.place].size - 1 + e2e::data_overhead_bytes;
        return;
    }
    auto& session = *waiting.session;
    const auto flags = flags_of(waiting);
    take_present_place(session, waiting.counter);
    Writer writer(waiting.exchange->output);
    writer.write_le(std::uint32_t{flags});
    writer.write_le(waiting.counter);
    answer.result = waiting.kind == JobKind::fanout ? answer_head_bytes + fanouts_.text(waiting.place).size()
                                                    : opened_at + opening_[waiting.place].size;
    if ((flags & e2e::flag_close) != 0) { // [E2E-12]
        E2eSessions::close(session);
    }
}

void PacketBatch::run() noexcept
{
    make_boxes();
    open_boxes();
    fanouts_.run();
    for (std::size_t index = 0; index < count_; ++index) {
        finish(waiting_[index]);
    }
    fanouts_.clear();
    count_ = sealing_count_ = opening_count_ = 0;
}

} // namespace caisson::trusted::curve
