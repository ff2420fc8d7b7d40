#include "services/gateway/zap_client.hpp"

#include "core/wire.hpp"
#include "protocol/zmtp.hpp"

#include <charconv>

namespace caisson::services::gateway {
namespace {

namespace zmtp = protocol::zmtp;

constexpr std::string_view version = "1.0";
constexpr std::size_t frame_bytes_max = std::size_t{16} << 10U;
constexpr std::size_t reply_frames_max = 16;
constexpr std::size_t reply_frames = 6; // after the empty delimiter: version, id, status, text, user, metadata
constexpr std::size_t pending_max = 4096;
constexpr std::chrono::seconds answer_time{10};

std::string text_from(Bytes bytes)
{
    return std::string(text_of(bytes));
}

void write_frame(Stream& stream, std::uint8_t flags, Bytes body)
{
    ByteArray<zmtp::frame_head_bytes_max> head;
    stream.write(Bytes(head).first(zmtp::write_frame_head(head, flags, body.size())));
    stream.write(body);
}

} // namespace

// [GATE-21]
std::vector<std::string> zap_frames(const ZapRequest& request, const std::string& id)
{
    std::vector<std::string> frames{std::string(),    std::string(version), id, request.domain, request.address,
                                    request.identity, request.mechanism};
    frames.insert(frames.end(), request.credentials.begin(), request.credentials.end());
    return frames;
}

Result<ZapReply> read_zap_reply(const std::vector<std::string>& frames)
{
    if (frames.size() != reply_frames + 1 || !frames[0].empty() || frames[1] != version) {
        return fail(Kind::malformed, "a ZAP reply has other frames than RFC 27 says");
    }
    ZapReply reply;
    reply.id = frames[2];
    const auto& status = frames[3];
    const auto read = std::from_chars(status.data(), status.data() + status.size(), reply.verdict.status);
    const auto& number = reply.verdict.status;
    if (status.size() != 3 || read.ec != std::errc() || read.ptr != status.data() + status.size() ||
        (number != 200 && number != 300 && number != 400 && number != 500)) {
        return fail(Kind::malformed, "a ZAP reply has another status than RFC 27 says");
    }
    reply.verdict.text = frames[4];
    reply.verdict.user = frames[5];
    Reader metadata(bytes_of(frames[6]));
    while (TRY(zmtp::read_property(metadata))) {
    }
    reply.verdict.metadata.assign(frames[6].begin(), frames[6].end());
    return reply;
}

ZapClient::ZapClient(const Loop& loop, Endpoint endpoint)
    : loop_(loop)
    , endpoint_(std::move(endpoint))
{
}

void ZapClient::ask(const ZapRequest& request, Answer answer)
{
    if (pending_.size() >= pending_max) {
        answer({});
        return;
    }
    const auto id = std::to_string(next_id_++);
    const auto& pending =
        pending_.emplace(id, Pending{zap_frames(request, id), std::move(answer), Clock::now()}).first->second;
    if (stage_ == Stage::closed) {
        connect();
    } else if (stage_ == Stage::open) {
        send(pending);
        if (!stream_.flush()) {
            drop();
        }
    }
    update_wish();
}

void ZapClient::connect()
{
    auto stream = Stream::connect(endpoint_);
    if (!stream) {
        return; // those who wait are told when their time is over, or served when it goes at a later tick
    }
    stream_ = std::move(*stream);
    wish_ = {};
    stage_ = Stage::greeting;
    incoming_.clear();
    stream_.write(zmtp::write_greeting({zmtp::Mechanism::null, 1}));
    if (!stream_.flush()) {
        drop();
    }
}

void ZapClient::send(const Pending& pending)
{
    for (std::size_t index = 0; index < pending.frames.size(); ++index) {
        const bool more = index + 1 < pending.frames.size();
        write_frame(stream_, more ? zmtp::frame_more : std::uint8_t{0}, bytes_of(pending.frames[index]));
    }
}

void ZapClient::drop()
{
    stream_.close();
    wish_ = {};
    stage_ = Stage::closed;
}

void ZapClient::update_wish()
{
    if (stream_.open()) {
        loop_.watch(stream_.descriptor(), *this, wish_, true, stream_.output_bytes() > 0);
    }
}

void ZapClient::on_ready(bool readable, bool writable)
{
    if (!stream_.open()) {
        return;
    }
    bool sound = (!readable || stream_.read_some()) && (!writable || stream_.flush());
    for (bool moved = true; sound && moved;) {
        moved = false;
        sound = step(moved).has_value();
    }
    if (!sound || !stream_.flush()) {
        drop(); // what was asked is asked again at the next tick
    }
    update_wish();
}

Status ZapClient::step(bool& moved)
{
    if (stage_ == Stage::greeting) {
        if (stream_.input().size() < zmtp::greeting_bytes) {
            return {};
        }
        ByteArray<zmtp::greeting_bytes> bytes;
        copy_bytes(bytes, stream_.input().first(zmtp::greeting_bytes));
        if (TRY(zmtp::read_greeting(bytes)).mechanism != zmtp::Mechanism::null) {
            return fail(Kind::unacceptable, "a ZAP handler wants security of its own");
        }
        stream_.consume(zmtp::greeting_bytes);
        ByteArray<64> ready;
        Writer writer(ready);
        writer.write_bytes(bytes_of(zmtp::ready_name));
        zmtp::write_property(writer, "Socket-Type", bytes_of("DEALER"));
        zmtp::write_property(writer, "Identity", {});
        write_frame(stream_, zmtp::frame_command, writer.written());
        stage_ = Stage::ready;
        moved = true;
        return {};
    }
    const auto frame = TRY(zmtp::read_frame(stream_.input(), frame_bytes_max));
    if (!frame) {
        return {};
    }
    moved = true;
    const auto done = take_frame(frame->flags, frame->body);
    if (stream_.open()) {
        stream_.consume(frame->wire_bytes);
    }
    return done;
}

Status ZapClient::take_frame(std::uint8_t flags, Bytes body)
{
    if (stage_ == Stage::ready) {
        TRY(zmtp::read_null_ready(body));
        stage_ = Stage::open;
        for (const auto& [id, pending] : pending_) {
            send(pending);
        }
        return {};
    }
    if ((flags & zmtp::frame_command) != 0) {
        const auto command = TRY(zmtp::read_command(body));
        if (command.kind == zmtp::Command::Kind::ping) {
            ByteArray<32> pong;
            Writer writer(pong);
            zmtp::write_pong(writer, command.rest);
            write_frame(stream_, zmtp::frame_command, writer.written());
        }
        return {};
    }
    incoming_.push_back(text_from(body));
    if (incoming_.size() > reply_frames_max) {
        return fail(Kind::malformed, "a ZAP reply has other frames than RFC 27 says");
    }
    if ((flags & zmtp::frame_more) == 0) {
        const auto frames = std::exchange(incoming_, {});
        const auto reply = read_zap_reply(frames);
        if (reply) {
            settle(reply->id, reply->verdict);
        } else if (frames.size() > 2) {
            settle(frames[2], {}); // it means somebody, and says nothing that admits him
        }
    }
    return {};
}

void ZapClient::settle(const std::string& id, ZapVerdict verdict)
{
    const auto found = pending_.find(id);
    if (found == pending_.end()) {
        return; // late, or never asked
    }
    const auto answer = std::move(found->second.answer);
    pending_.erase(found);
    answer(std::move(verdict));
}

void ZapClient::on_tick(Clock::time_point now)
{
    std::vector<std::string> late;
    for (const auto& [id, pending] : pending_) {
        if (now - pending.asked > answer_time) {
            late.push_back(id);
        }
    }
    for (const auto& id : late) {
        settle(id, {});
    }
    if (stage_ == Stage::closed && !pending_.empty()) {
        connect();
        update_wish();
    }
}

} // namespace caisson::services::gateway
