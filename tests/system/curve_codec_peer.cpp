// The curve chamber at one end of a TCP connection, for curve_interop.py: the process platform, raw ZMTP 3.1, CURVE
// client or server, a DEALER. Usage:
//   curve_codec_peer FOLDER serve PLAN...                    prints "listening PORT PUBLIC-KEY"
//   curve_codec_peer FOLDER connect PORT SERVER-KEY PLAN...
// Each connection follows the next PLAN: a count of messages each way, and then ":ATTACK" (altered, truncated,
// replayed, reordered) on what the peer sends after them. A line for each tells how it ended.
#include "core/text.hpp"
#include "host/enclave/curve_chamber.hpp"
#include "host/enclave/root.hpp"
#include "protocol/curve.hpp"
#include "protocol/zmtp.hpp"
#include "services/gateway/stream.hpp"

#include <poll.h>

#include <charconv>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace caisson;
namespace curve = protocol::curve;
namespace zmtp = protocol::zmtp;
using airlock::curve::Request;
using host::enclave::CurveMessage;
using services::gateway::Endpoint;
using services::gateway::ListeningSocket;
using services::gateway::Stream;
using Buffer = std::vector<std::uint8_t>;

constexpr int patience_ms = 30'000;
constexpr std::size_t batch_max = 64;
constexpr std::size_t output_bytes_max = std::size_t{1} << 20U;
constexpr std::size_t frame_bytes_max = std::size_t{1} << 20U;

// The messages as curve_interop.py makes them: from 1 to 3 parts, the first with the number, each a piece of one
// pattern; every 16th is empty. The two directions differ.
namespace story {

constexpr std::size_t sizes[] = {0, 1, 33, 200, 222, 223, 256, 1000, 4096};
constexpr std::size_t period = 4096;
constexpr std::size_t from_server = 1009;
constexpr std::size_t from_client = 2003;

const Buffer& pattern()
{
    static const Buffer octets = [] {
        Buffer made(3 * period);
        for (std::size_t index = 0; index < made.size(); ++index) {
            made[index] = static_cast<std::uint8_t>(index * 7 + index / 256);
        }
        return made;
    }();
    return octets;
}

std::size_t parts_of(std::size_t number)
{
    return number % 16 == 15 ? 1 : 1 + number % 3;
}

Buffer part(std::size_t number, std::size_t index, std::size_t direction)
{
    if (number % 16 == 15) {
        return {};
    }
    const auto size = sizes[(number * 5 + index * 3) % std::size(sizes)];
    const auto start = pattern().begin() + static_cast<std::ptrdiff_t>((number * 31 + index * 7 + direction) % period);
    Buffer octets(index == 0 ? sizeof(std::uint64_t) : 0);
    if (index == 0) {
        Writer(octets).write_be(std::uint64_t{number});
    }
    octets.insert(octets.end(), start, start + static_cast<std::ptrdiff_t>(size));
    return octets;
}

// A part of the conversation: where one direction stands.
struct Place {
    std::size_t number = 0;
    std::size_t index = 0;
    void advance()
    {
        if (++index == parts_of(number)) {
            index = 0;
            ++number;
        }
    }
    [[nodiscard]] std::uint32_t flags() const
    {
        return index + 1 < parts_of(number) ? airlock::curve::message_more : 0;
    }
};

} // namespace story

struct Plan {
    std::size_t count = 0;
    std::string attack;
};

Plan parse_plan(const std::string& word)
{
    Plan plan;
    const auto colon = word.find(':');
    std::from_chars(word.data(), word.data() + std::min(colon, word.size()), plan.count);
    if (colon != std::string::npos) {
        plan.attack = word.substr(colon + 1);
    }
    return plan;
}

struct Codec {
    host::enclave::Enclave& enclave;
    host::enclave::CurveChamber chamber{enclave};
    host::enclave::LoadedCurveKey key{};

    // A client's steps, which CurveChamber does not have.
    Result<Buffer> ask(Request request, std::uint32_t subject, Bytes rest) const
    {
        Buffer input(sizeof subject + rest.size());
        Writer writer(input);
        writer.write_le(subject);
        writer.write_bytes(rest);
        Buffer output(airlock::curve::metadata_bytes_max + 512);
        output.resize(TRY(enclave.call(static_cast<std::uint32_t>(request), input, output)));
        return output;
    }
    Status make_key()
    {
        Buffer output(512);
        const auto made = TRY(ask(Request::create_key_pair, 0, ByteArray<32>{}));
        const auto loaded = chamber.import_sealed(Bytes(made).subspan(protocol::CurveKey::size));
        if (!loaded) {
            return fail(loaded.error().kind, "a sealed key does not come back");
        }
        key = *loaded;
        return {};
    }
};

class Connection {
  public:
    Connection(Codec& codec, Stream stream, bool is_server)
        : codec_(codec)
        , stream_(std::move(stream))
        , is_server_(is_server)
    {
    }
    ~Connection() { codec_.chamber.close_session(session_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    [[nodiscard]] const char* step() const noexcept { return step_; }

    Status shake_hands(const protocol::CurveKey& server)
    {
        stream_.write(zmtp::write_greeting({zmtp::Mechanism::curve, 1}));
        ByteArray<zmtp::greeting_bytes> greeting;
        while (stream_.input().size() < greeting.size()) {
            TRY(wait());
        }
        copy_bytes(greeting, stream_.input().first(greeting.size()));
        stream_.consume(greeting.size());
        if (TRY(zmtp::read_greeting(greeting)).mechanism != zmtp::Mechanism::curve) {
            return fail(Kind::malformed, "the peer does not speak CURVE");
        }
        return is_server_ ? welcome_client() : greet_server(server);
    }

    // `count` messages each way, at the same time.
    Status exchange(std::size_t count)
    {
        step_ = "messages";
        while (sent_.number < count || received_.number < count || stream_.output_bytes() > 0) {
            const bool sends = sent_.number < count && stream_.output_bytes() < output_bytes_max;
            if (sends) {
                TRY(send_some(count));
            }
            const bool received = TRY(receive_some(count));
            if (received_.number < count || stream_.output_bytes() > 0) {
                TRY(wait(sends || received ? 0 : patience_ms));
            }
        }
        return {};
    }

    // libzmq drops what it has not handed on yet when the connection ends, so the peer ends it.
    void wait_for_the_end()
    {
        while (wait()) {
            stream_.consume(stream_.input().size());
        }
    }

    // The chamber refuses the attacked MESSAGE, and then a good one too.
    Status attack(const std::string& how)
    {
        step_ = "attack";
        const auto first = TRY(next_frame(0));
        const auto second = TRY(next_frame(0));
        const auto third = TRY(next_frame(0));
        if (how == "altered") {
            auto changed = first;
            changed.back() ^= 1U;
            return refuses(changed, first);
        }
        if (how == "truncated") {
            return refuses(Bytes(first).first(first.size() - 1), first);
        }
        if (how == "replayed") {
            TRY(process(first));
            return refuses(first, second);
        }
        if (how == "reordered") {
            TRY(process(second));
            return refuses(first, third);
        }
        return fail(Kind::malformed, "no such attack");
    }

  private:
    Status wait(int timeout_ms = patience_ms)
    {
        const short output = stream_.output_bytes() > 0 ? POLLOUT : 0;
        pollfd entry{stream_.descriptor(), static_cast<short>(POLLIN | output), 0};
        if (::poll(&entry, 1, timeout_ms) == 0) {
            return timeout_ms == 0 ? Status{} : Status(fail(Kind::expired, "the peer says nothing"));
        }
        const bool readable = (entry.revents & (POLLIN | POLLHUP | POLLERR)) != 0;
        if ((readable && !stream_.read_some()) || (output != 0 && !stream_.flush())) {
            return fail(Kind::unavailable, "the peer is gone");
        }
        return {};
    }

    void write_frame(std::uint8_t flags, Bytes body)
    {
        ByteArray<zmtp::frame_head_bytes_max> head;
        stream_.write(Bytes(head).first(zmtp::write_frame_head(head, flags, body.size())));
        stream_.write(body);
    }

    Result<Buffer> next_frame(std::uint8_t flags)
    {
        while (true) {
            const auto frame = TRY(zmtp::read_frame(stream_.input(), frame_bytes_max));
            if (frame && frame->flags != flags) {
                return fail(Kind::malformed, "a command stands where a message belongs, or the reverse");
            }
            if (frame) {
                Buffer body(frame->body.begin(), frame->body.end());
                stream_.consume(frame->wire_bytes);
                return body;
            }
            TRY(wait());
        }
    }

    static Buffer metadata()
    {
        Buffer octets(64);
        Writer writer(octets);
        zmtp::write_property(writer, "Socket-Type", bytes_of("DEALER"));
        zmtp::write_property(writer, "Identity", {});
        octets.resize(writer.written().size());
        return octets;
    }

    Status welcome_client()
    {
        step_ = "hello";
        const auto hello = TRY(next_frame(zmtp::frame_command));
        write_frame(zmtp::frame_command, TRY(codec_.chamber.process_hello(codec_.key.id, hello)));
        step_ = "initiate";
        const auto body = TRY(next_frame(zmtp::frame_command));
        const auto initiated = TRY(codec_.chamber.process_initiate(codec_.key.id, body));
        session_ = initiated.session;
        step_ = "ready";
        write_frame(zmtp::frame_command, TRY(codec_.chamber.produce_ready(session_, metadata())));
        return {};
    }

    Status greet_server(const protocol::CurveKey& server)
    {
        step_ = "hello";
        const auto opened = TRY(codec_.ask(Request::open_client, codec_.key.id, server.bytes));
        std::memcpy(&session_, opened.data(), sizeof session_);
        write_frame(zmtp::frame_command, TRY(codec_.ask(Request::produce_hello, session_, {})));
        step_ = "welcome";
        const auto welcome = TRY(next_frame(zmtp::frame_command));
        TRY(codec_.ask(Request::process_welcome, session_, welcome));
        write_frame(zmtp::frame_command, TRY(codec_.ask(Request::produce_initiate, session_, metadata())));
        step_ = "ready";
        const auto ready = TRY(next_frame(zmtp::frame_command));
        TRY(codec_.ask(Request::process_ready, session_, ready));
        return {};
    }

    Status send_some(std::size_t count)
    {
        const auto direction = is_server_ ? story::from_server : story::from_client;
        std::vector<Buffer> parts;
        std::vector<CurveMessage> messages;
        parts.reserve(batch_max);
        while (messages.size() < batch_max && sent_.number < count) {
            auto& message = messages.emplace_back();
            message.session = session_;
            message.flags = sent_.flags();
            message.input = parts.emplace_back(story::part(sent_.number, sent_.index, direction));
            sent_.advance();
        }
        codec_.chamber.produce_messages(messages);
        for (const auto& message : messages) {
            TRY(message.status);
            write_frame(0, message.output);
        }
        return {};
    }

    // Whether there was one.
    Result<bool> receive_some(std::size_t count)
    {
        std::vector<CurveMessage> messages;
        auto rest = stream_.input();
        auto expected = received_;
        while (messages.size() < batch_max && expected.number < count) {
            const auto frame = TRY(zmtp::read_frame(rest, frame_bytes_max));
            if (!frame) {
                break;
            }
            auto& message = messages.emplace_back();
            message.session = session_;
            message.input = frame->body;
            rest = rest.subspan(frame->wire_bytes);
            expected.advance();
        }
        codec_.chamber.process_messages(messages);
        for (const auto& message : messages) {
            TRY(message.status);
            TRY(check_part(message));
        }
        stream_.consume(stream_.input().size() - rest.size());
        return !messages.empty();
    }

    Status check_part(const CurveMessage& message)
    {
        const auto direction = is_server_ ? story::from_client : story::from_server;
        if (message.flags != received_.flags() ||
            message.output != story::part(received_.number, received_.index, direction)) {
            return fail(Kind::conflict, "a message is not as it was sent");
        }
        received_.advance();
        return {};
    }

    Status process(Bytes body)
    {
        CurveMessage message;
        message.session = session_;
        message.input = body;
        codec_.chamber.process_messages({&message, 1});
        return message.status;
    }

    Status refuses(Bytes attacked, Bytes good)
    {
        if (const auto status = process(attacked); status || status.error().kind == Kind::unavailable) {
            return fail(Kind::conflict, "the chamber took an attacked message");
        }
        const auto status = process(good);
        if (status || status.error().kind != Kind::missing) {
            return fail(Kind::conflict, "the session goes on after an attacked message");
        }
        return {};
    }

    Codec& codec_;
    Stream stream_;
    bool is_server_;
    const char* step_ = "greeting";
    std::uint32_t session_ = 0;
    story::Place sent_;
    story::Place received_;
};

void follow(Codec& codec, Stream stream, bool is_server, const protocol::CurveKey& server, const Plan& plan)
{
    Connection connection(codec, std::move(stream), is_server);
    const auto status = [&]() -> Status {
        TRY(connection.shake_hands(server));
        TRY(connection.exchange(plan.count));
        return plan.attack.empty() ? Status{} : connection.attack(plan.attack);
    }();
    if (status) {
        std::printf("ok %zu%s%s\n", plan.count,
                    plan.attack.empty() ? "" : ", refused and ended: ", plan.attack.c_str());
    } else {
        std::printf("failed at %s: %s, %s\n", connection.step(), kind_name(status.error().kind), status.error().what);
    }
    std::fflush(stdout);
    if (status) {
        connection.wait_for_the_end();
    }
}

Endpoint local_port(const std::string& port)
{
    return {Endpoint::Transport::tcp, "127.0.0.1", port, {}};
}

int serve(Codec& codec, std::span<char*> plans)
{
    auto listening = ListeningSocket::open(local_port("0"));
    if (!listening) {
        return 1;
    }
    std::string key(protocol::CurveKey::size / 4 * 5, '\0');
    write_z85(key, codec.key.public_key.bytes);
    std::printf("listening %s %s\n", listening->endpoint().port.c_str(), key.c_str());
    std::fflush(stdout);
    for (const auto* const plan : plans) {
        pollfd entry{listening->descriptor(), POLLIN, 0};
        auto accepted = ::poll(&entry, 1, patience_ms) == 1 ? listening->accept() : std::nullopt;
        if (!accepted) {
            return 1;
        }
        follow(codec, std::move(accepted->stream), true, {}, parse_plan(plan));
    }
    return 0;
}

int connect(Codec& codec, const char* port, const char* key, std::span<char*> plans)
{
    protocol::CurveKey server;
    if (!read_z85(server.bytes, key)) {
        return 64;
    }
    for (const auto* const plan : plans) {
        auto stream = Stream::connect(local_port(port));
        if (!stream) {
            return 1;
        }
        follow(codec, std::move(*stream), false, server, parse_plan(plan));
    }
    return 0;
}

} // namespace

int main(int count, char** words)
{
    const std::span<char*> arguments(words, static_cast<std::size_t>(count));
    const std::string role = count > 2 ? words[2] : "";
    if ((role != "serve" || count < 4) && (role != "connect" || count < 6)) {
        return 64;
    }
    const auto root = host::enclave::Root::open_file(std::string(words[1]) + "/root.key");
    if (!root) {
        std::fprintf(stderr, "%s\n", root.error().what.c_str());
        return 1;
    }
    const auto enclave = host::enclave::Enclave::open({}, *root); // curve, process
    if (!enclave) {
        std::fprintf(stderr, "%s\n", enclave.error().what.c_str());
        return 1;
    }
    Codec codec{**enclave};
    if (!codec.make_key()) {
        return 1;
    }
    return role == "serve" ? serve(codec, arguments.subspan(3))
                           : connect(codec, words[3], words[4], arguments.subspan(5));
}
