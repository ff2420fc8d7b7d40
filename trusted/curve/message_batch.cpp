#include "trusted/curve/message_batch.hpp"

#include "core/check.hpp"
#include "core/wire.hpp"

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

namespace wire = protocol::curve;

constexpr std::size_t id_bytes = sizeof(std::uint32_t);
constexpr std::size_t flags_bytes = sizeof(std::uint32_t);
constexpr std::size_t box_at = wire::MESSAGE.size() + wire::short_nonce_bytes; // in a body
// The content of a box is a flags octet and the text. Of a request to seal, the octet before the text is the last one
// of the flags; of an answer that was opened, likewise. So nothing needs to be moved.
constexpr std::size_t content_at = flags_bytes - 1;

// The way of every message: here, unlike in Reader and Writer, the builtins are spelled out, for in sealed code, which
// is freestanding, the standard's names are calls.
template <typename T>
T load(const std::uint8_t* from) noexcept
{
    T value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

template <typename T>
void store(std::uint8_t* to, T value) noexcept
{
    __builtin_memcpy(to, &value, sizeof value);
}

constexpr auto message_name = [] {
    std::uint64_t word = 0;
    for (std::size_t index = wire::MESSAGE.size(); index-- > 0;) {
        word = word << 8U | static_cast<std::uint8_t>(wire::MESSAGE[index]);
    }
    return word;
}();
static_assert(wire::MESSAGE.size() == sizeof message_name && wire::short_nonce_bytes == sizeof(std::uint64_t));

void write_head(std::uint8_t* body, std::uint64_t counter) noexcept
{
    store(body, message_name);
    store(body + sizeof message_name, __builtin_bswap64(counter));
}

std::uint64_t read_counter(const std::uint8_t* box) noexcept
{
    return __builtin_bswap64(load<std::uint64_t>(box - wire::short_nonce_bytes));
}

std::string_view prefix_to_peer(const Session& session) noexcept
{
    return session.is_server ? wire::message_to_client_nonce : wire::message_to_server_nonce;
}

std::string_view prefix_from_peer(const Session& session) noexcept
{
    return session.is_server ? wire::message_to_server_nonce : wire::message_to_client_nonce;
}

// A run goes through the kernel in parts of two of its groups, and with each goes a part of the lines ahead.
constexpr std::size_t part_messages = 32;

template <typename Work>
void in_parts(std::size_t count, LinesAhead& ahead, Work work) noexcept
{
    for (std::size_t first = 0; first < count; first += part_messages) {
        const auto left = count - first;
        const auto some = std::min(left, part_messages);
        ahead.ask(ahead.waiting() * some / left);
        work(first, some);
    }
}

void make_message_keys(Session& session) noexcept
{
    if (!session.has_message_keys) [[unlikely]] {
        session.to_peer = message_subkey(session.key, prefix_to_peer(session));
        session.from_peer = message_subkey(session.key, prefix_from_peer(session));
        session.has_message_keys = true;
    }
}

} // namespace

crypto::BoxJob& MessageBatch::wait(airlock::Exchange& exchange, Session& session, bool opening) noexcept
{
    CHECK(count_ < waiting_.size());
    const auto place = opening ? opening_count_++ : sealing_count_++;
    waiting_[count_++] = {&exchange, &session, session.id, static_cast<std::uint32_t>(place), opening};
    return (opening ? opening_ : sealing_)[place];
}

// [CURVE-15] [CURVE-43]
Status MessageBatch::add_sealing(airlock::Exchange& exchange, Session& session) noexcept
{
    const auto flags = load<std::uint32_t>(exchange.input.data() + id_bytes); // the row demands so much
    const auto content = exchange.input.subspan(id_bytes + content_at);
    if (!known_message_flags(flags) || content.size() - 1 > airlock::message_bytes_max) {
        return fail(Kind::malformed, "a message with unknown flags, or above the limit");
    }
    if (exchange.output.size() < box_at + wire::tag_bytes + content.size()) {
        return fail(Kind::exhausted, "the buffer for MESSAGE is too small");
    }
    const auto counter = TRY(next_counter(session));
    write_head(exchange.output.data(), counter);
    content[0] = static_cast<std::uint8_t>(flags);
    make_message_keys(session);
    wait(exchange, session, false) = {&session.to_peer, counter, content.data(), exchange.output.data() + box_at,
                                      content.size()};
    return {};
}

// The counter is taken now: one whose box does not open ends the session.
Status MessageBatch::add_opening(airlock::Exchange& exchange, Session& session) noexcept
{
    const auto body = exchange.input.subspan(id_bytes);
    if (body.size() < box_at + wire::tag_bytes + 1 || load<std::uint64_t>(body.data()) != message_name) {
        return fail(Kind::malformed, "MESSAGE is too short, or another command");
    }
    const auto box = body.subspan(box_at);
    const auto counter = read_counter(box.data());
    const auto content_bytes = box.size() - wire::tag_bytes;
    if (exchange.output.size() < content_at + content_bytes) {
        return fail(Kind::exhausted, "the buffer for a message is too small");
    }
    TRY(take_counter(session, counter));
    session.received = counter;
    make_message_keys(session);
    wait(exchange, session, true) = {&session.from_peer, counter, box.data(), exchange.output.data() + content_at,
                                     content_bytes};
    return {};
}

void MessageBatch::seal_one_by_one(Part part) noexcept
{
    for (std::size_t index = 0; index < count_; ++index) {
        const auto& [exchange, session, id, place, opening] = waiting_[index];
        if (!opening && part.has(place)) {
            const auto& job = sealing_[place];
            seal_message(job.to, {job.from, job.size},
                         {session->key, session->to_peer, prefix_to_peer(*session), job.counter});
        }
    }
}

void MessageBatch::open_one_by_one(Part part) noexcept
{
    for (std::size_t index = 0; index < count_; ++index) {
        const auto& [exchange, session, id, place, opening] = waiting_[index];
        if (opening && part.has(place)) {
            const auto& job = opening_[place];
            const MessageBox box{session->key, session->from_peer, prefix_from_peer(*session), job.counter};
            opened_[place] = open_message(job.to, {job.from, job.size + wire::tag_bytes}, box).has_value();
        }
    }
}

void MessageBatch::finish(const Waiting& waiting, Sessions& sessions) noexcept
{
    auto& exchange = *waiting.exchange;
    const auto& job = (waiting.opening ? opening_ : sealing_)[waiting.place];
    if (waiting.session->id != waiting.session_id) [[unlikely]] {
        wipe({job.to, job.size});
        exchange.answer.result = fail(Kind::missing, "a message before this one ended the session");
        return;
    }
    if (!waiting.opening) {
        exchange.answer.result = box_at + wire::tag_bytes + job.size;
        return;
    }
    const bool opened = opened_[waiting.place];
    const auto flags = std::uint32_t{exchange.output[content_at]};
    if (!opened || !known_message_flags(flags)) [[unlikely]] {
        wipe({job.to, job.size});
        sessions.close(*waiting.session);
        exchange.answer.result = opened ? fail(Kind::malformed, "a message has reserved flags")
                                        : fail(Kind::unauthentic, "a box does not open");
        return;
    }
    store(exchange.output.data(), flags);
    exchange.answer.result = content_at + job.size;
}

void MessageBatch::make_boxes(Part part) noexcept
{
    const auto jobs = std::span<const crypto::BoxJob>(sealing_).subspan(part.first, part.count);
    if (!jobs.empty() && !seal_messages(jobs)) {
        seal_one_by_one(part);
    }
}

void MessageBatch::open_boxes(Part part) noexcept
{
    const auto jobs = std::span<const crypto::BoxJob>(opening_).subspan(part.first, part.count);
    if (!jobs.empty() && !open_messages(jobs, std::span(opened_).subspan(part.first, part.count))) {
        open_one_by_one(part);
    }
}

void MessageBatch::run(Sessions& sessions) noexcept
{
    if (count_ == 0) {
        return;
    }
    make_boxes({0, sealing_count_});
    open_boxes({0, opening_count_});
    for (std::size_t index = 0; index < count_; ++index) {
        finish(waiting_[index], sessions);
    }
    count_ = sealing_count_ = opening_count_ = 0;
}

// [CURVE-44]
Result<std::size_t> MessageBatch::lay_out_sealing(airlock::Exchange& exchange) noexcept
{
    const auto rest = exchange.input.subspan(id_bytes);
    std::size_t at = 0;
    std::size_t output_at = 0;
    std::size_t count = 0;
    for (; at < rest.size(); ++count) {
        constexpr std::size_t head_bytes = sizeof(std::uint32_t) + flags_bytes;
        const auto left = rest.size() - at;
        const auto text_bytes = left < head_bytes ? UINT32_MAX : load<std::uint32_t>(rest.data() + at);
        const auto flags = left < head_bytes ? 0 : load<std::uint32_t>(rest.data() + at + sizeof text_bytes);
        if (count == sealing_.size() || left < head_bytes || !known_message_flags(flags) ||
            text_bytes > left - head_bytes || text_bytes > airlock::message_bytes_max) {
            return fail(Kind::malformed, "messages with unknown flags, above the limits, or not all there");
        }
        const auto size = box_at + wire::tag_bytes + 1 + text_bytes;
        if (size > exchange.output.size() - output_at) {
            return fail(Kind::exhausted, "the buffer for MESSAGEs is too small");
        }
        const auto content = rest.subspan(at + sizeof text_bytes + content_at, 1 + text_bytes);
        content[0] = static_cast<std::uint8_t>(flags);
        sealing_[count] = {nullptr, 0, content.data(), exchange.output.data() + output_at + box_at, content.size()};
        output_at += size;
        at += sizeof text_bytes + content_at + content.size();
    }
    return count;
}

Result<std::size_t> MessageBatch::seal_run(Session& session, airlock::Exchange& exchange, std::size_t count,
                                           LinesAhead& ahead) noexcept
{
    if (session.sent + count >= counter_max) {
        return fail(Kind::exhausted, "the session's counter is used up");
    }
    make_message_keys(session);
    for (std::size_t index = 0; index < count; ++index) {
        auto& job = sealing_[index];
        job.key = &session.to_peer;
        job.counter = ++session.sent;
        write_head(job.to - box_at, job.counter);
        waiting_[index] = {&exchange, &session, session.id, static_cast<std::uint32_t>(index), false};
    }
    count_ = count;
    in_parts(count, ahead, [this](std::size_t first, std::size_t some) { make_boxes({first, some}); });
    count_ = 0;
    const auto& last = sealing_[count - 1];
    return static_cast<std::size_t>(last.to - exchange.output.data()) + wire::tag_bytes + last.size;
}

Result<std::size_t> MessageBatch::lay_out_opening(airlock::Exchange& exchange) noexcept
{
    Reader reader(exchange.input.subspan(id_bytes));
    std::size_t output_at = 0;
    std::size_t count = 0;
    for (; !reader.rest().empty(); ++count) {
        const auto body_bytes = TRY(reader.read_le<std::uint32_t>());
        const auto body = TRY(reader.read_bytes(body_bytes));
        if (count == opening_.size() || body.size() < box_at + wire::tag_bytes + 1 ||
            load<std::uint64_t>(body.data()) != message_name) {
            return fail(Kind::malformed, "more MESSAGEs than a request takes, or one that is none");
        }
        const auto box = body.subspan(box_at);
        const auto content_bytes = box.size() - wire::tag_bytes;
        if (content_at + content_bytes > exchange.output.size() - output_at) {
            return fail(Kind::exhausted, "the buffer for messages is too small");
        }
        opening_[count] = {nullptr, 0, box.data(), exchange.output.data() + output_at + content_at, content_bytes};
        output_at += content_at + content_bytes;
    }
    return count;
}

// Those in a row whose counters are good.
std::size_t MessageBatch::take_counters(Session& session, airlock::Exchange& exchange, std::size_t count,
                                        Status& all) noexcept
{
    for (std::size_t index = 0; index < count; ++index) {
        auto& job = opening_[index];
        job.key = &session.from_peer;
        job.counter = read_counter(job.from);
        all = take_counter(session, job.counter);
        if (!all) {
            return index;
        }
        session.received = job.counter;
        waiting_[index] = {&exchange, &session, session.id, static_cast<std::uint32_t>(index), true};
    }
    return count;
}

MessageBatch::OpenedRun MessageBatch::open_run(Session& session, airlock::Exchange& exchange, std::size_t laid_out,
                                               LinesAhead& ahead) noexcept
{
    OpenedRun out;
    make_message_keys(session);
    const auto count = count_ = take_counters(session, exchange, laid_out, out.all);
    in_parts(count, ahead, [this](std::size_t first, std::size_t some) { open_boxes({first, some}); });
    count_ = 0;
    std::size_t opened = 0;
    for (; opened < count; ++opened) {
        const auto& job = opening_[opened];
        const auto flags = std::uint32_t{*job.to};
        if (!opened_[opened] || !known_message_flags(flags)) {
            out.all = opened_[opened] ? fail(Kind::malformed, "a message has reserved flags")
                                      : fail(Kind::unauthentic, "a box does not open");
            break;
        }
        store(job.to - content_at, flags);
        out.output_bytes += content_at + job.size;
    }
    for (auto index = opened; index < count; ++index) { // nobody gets what came behind one that is wrong
        wipe({opening_[index].to, opening_[index].size});
    }
    return out;
}

} // namespace caisson::trusted::curve
