#include "protocol/zmtp.hpp"

#include <algorithm>

namespace caisson::protocol::zmtp {
namespace {

constexpr std::uint8_t signature_first = 0xff;
constexpr std::uint8_t signature_last = 0x7f;
constexpr std::size_t signature_bytes = 10;
constexpr std::size_t version_at = 10;
constexpr std::size_t minor_at = 11;
constexpr std::size_t mechanism_at = 12;
constexpr std::size_t as_server_at = 32;
constexpr std::uint8_t version_major = 3;
constexpr std::size_t short_body_bytes_max = 255;

std::string_view mechanism_name(Mechanism mechanism) noexcept
{
    switch (mechanism) {
    case Mechanism::curve: return "CURVE";
    case Mechanism::plain: return "PLAIN";
    case Mechanism::null: break;
    }
    return "NULL";
}

constexpr std::string_view ping_name = "\x04PING";
constexpr std::string_view pong_name = "\x04PONG";
constexpr std::string_view subscribe_name = "\x09SUBSCRIBE";
constexpr std::string_view cancel_name = "\x06"
                                         "CANCEL";

bool starts_with(Bytes body, std::string_view name) noexcept
{
    return body.size() >= name.size() && text_of(body.first(name.size())) == name;
}

char lower(char letter) noexcept
{
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

bool starts_with_in_any_case(std::string_view text, std::string_view prefix) noexcept
{
    return text.size() >= prefix.size() &&
           std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) { return lower(a) == lower(b); });
}

} // namespace

ByteArray<greeting_bytes> write_greeting(const Greeting& greeting) noexcept
{
    ByteArray<greeting_bytes> bytes{};
    bytes[0] = signature_first;
    bytes[signature_bytes - 1] = signature_last;
    bytes[version_at] = version_major;
    bytes[minor_at] = greeting.minor;
    copy_bytes(MutableBytes(bytes).subspan(mechanism_at), bytes_of(mechanism_name(greeting.mechanism)));
    return bytes;
}

// The padding in the signature and as-server say nothing: libzmq writes the first and never sets the second.
Result<Greeting> read_greeting(const ByteArray<greeting_bytes>& bytes) noexcept
{
    static_assert(as_server_at == mechanism_at + mechanism_bytes);
    if (bytes[0] != signature_first || (bytes[signature_bytes - 1] & 1U) == 0) {
        return fail(Kind::malformed, "the peer does not speak ZMTP");
    }
    if (bytes[version_at] < version_major) {
        return fail(Kind::malformed, "the peer speaks ZMTP before 3.0, which knows no security");
    }
    Greeting greeting;
    greeting.minor = bytes[version_at] == version_major ? std::min<std::uint8_t>(bytes[minor_at], 1) : 1;
    const auto name = Bytes(bytes).subspan(mechanism_at, mechanism_bytes);
    for (const auto mechanism : {Mechanism::null, Mechanism::plain, Mechanism::curve}) {
        ByteArray<mechanism_bytes> expected{};
        copy_bytes(expected, bytes_of(mechanism_name(mechanism)));
        if (same_bytes(name, expected)) {
            greeting.mechanism = mechanism;
            return greeting;
        }
    }
    return fail(Kind::malformed, "the peer wants a mechanism other than NULL, PLAIN and CURVE");
}

Result<std::optional<FrameHead>> read_frame_head(Bytes buffered) noexcept
{
    Reader reader(buffered);
    const auto flags = reader.read_le<std::uint8_t>();
    if (!flags) {
        return std::optional<FrameHead>();
    }
    const bool is_command = (*flags & frame_command) != 0;
    if ((*flags & ~(frame_more | frame_long | frame_command)) != 0 || (is_command && (*flags & frame_more) != 0)) {
        return fail(Kind::malformed, "a frame has reserved flags");
    }
    FrameHead head;
    head.flags = static_cast<std::uint8_t>(*flags & ~frame_long);
    if ((*flags & frame_long) != 0) {
        const auto long_size = reader.read_be<std::uint64_t>();
        if (!long_size) {
            return std::optional<FrameHead>();
        }
        head.body_bytes = *long_size;
    } else {
        const auto short_size = reader.read_le<std::uint8_t>();
        if (!short_size) {
            return std::optional<FrameHead>();
        }
        head.body_bytes = *short_size;
    }
    head.head_bytes = buffered.size() - reader.rest().size();
    return head;
}

Result<std::optional<Frame>> read_frame(Bytes buffered, std::size_t body_bytes_max) noexcept
{
    const auto head = TRY(read_frame_head(buffered));
    if (!head) {
        return std::optional<Frame>();
    }
    if (head->body_bytes > body_bytes_max) {
        return fail(Kind::exhausted, "a frame is larger than the limit");
    }
    if (buffered.size() - head->head_bytes < head->body_bytes) {
        return std::optional<Frame>();
    }
    return Frame{head->flags, buffered.subspan(head->head_bytes, head->body_bytes),
                 head->head_bytes + static_cast<std::size_t>(head->body_bytes)};
}

// [ZMTP-10]
std::size_t write_frame_head(std::span<std::uint8_t, frame_head_bytes_max> head, std::uint8_t flags,
                             std::size_t body_bytes) noexcept
{
    Writer writer(head);
    if (body_bytes > short_body_bytes_max) {
        writer.write_le(static_cast<std::uint8_t>(flags | frame_long));
        writer.write_be(std::uint64_t{body_bytes});
    } else {
        writer.write_le(flags);
        writer.write_le(static_cast<std::uint8_t>(body_bytes));
    }
    return writer.written().size();
}

void write_property(Writer& writer, std::string_view name, Bytes value) noexcept
{
    writer.write_le(static_cast<std::uint8_t>(name.size()));
    writer.write_bytes(bytes_of(name));
    writer.write_be(static_cast<std::uint32_t>(value.size()));
    writer.write_bytes(value);
}

// [ZMTP-11]
Result<std::optional<Property>> read_property(Reader& metadata) noexcept
{
    if (metadata.rest().empty()) {
        return std::optional<Property>();
    }
    const auto name_size = TRY(metadata.read_le<std::uint8_t>());
    const auto name = TRY(metadata.read_bytes(name_size));
    if (name.empty()) {
        return fail(Kind::malformed, "a property has no name");
    }
    const auto value_size = TRY(metadata.read_be<std::uint32_t>());
    const auto value = TRY(metadata.read_bytes(value_size));
    return Property{text_of(name), value};
}

Result<Bytes> read_null_ready(Bytes body) noexcept
{
    return read_metadata(body, ready_name);
}

// [ZMTP-12]
Result<Bytes> read_metadata(Bytes body, std::string_view name) noexcept
{
    if (starts_with(body, error_name)) {
        return fail(Kind::unacceptable, "the other side answers ERROR");
    }
    if (!starts_with(body, name)) {
        return fail(Kind::malformed, "another command was expected in a handshake");
    }
    const auto metadata = body.subspan(name.size());
    Reader reader(metadata);
    while (TRY(read_property(reader))) {
    }
    return metadata;
}

Bytes find_property(Bytes metadata, std::string_view name) noexcept
{
    Reader reader(metadata);
    while (true) {
        const auto property = read_property(reader);
        if (!property || !*property) {
            return {};
        }
        if ((*property)->name.size() == name.size() && starts_with_in_any_case((*property)->name, name)) {
            return (*property)->value;
        }
    }
}

bool is_carriers_property(std::string_view name) noexcept
{
    const auto is = [name](std::string_view one) {
        return name.size() == one.size() && starts_with_in_any_case(name, one);
    };
    return starts_with_in_any_case(name, "X-Caisson-") || is("User-Id") || is("Peer-Address") || is("__fd");
}

void copy_ends_properties(Writer& writer, Bytes metadata) noexcept
{
    Reader reader(metadata);
    while (true) {
        const auto property = read_property(reader);
        if (!property || !*property) {
            return;
        }
        if (!is_carriers_property((*property)->name)) {
            write_property(writer, (*property)->name, (*property)->value);
        }
    }
}

// [ZMTP-13]
Result<Credentials> read_plain_hello(Bytes body) noexcept
{
    if (!starts_with(body, hello_name)) {
        return fail(Kind::malformed, "another command was expected in a handshake");
    }
    Reader reader(body.subspan(hello_name.size()));
    Credentials credentials;
    const auto username_size = TRY(reader.read_le<std::uint8_t>());
    credentials.username = text_of(TRY(reader.read_bytes(username_size)));
    const auto password_size = TRY(reader.read_le<std::uint8_t>());
    credentials.password = text_of(TRY(reader.read_bytes(password_size)));
    TRY(reader.finish());
    return credentials;
}

Status write_plain_hello(Writer& writer, const Credentials& credentials) noexcept
{
    writer.write_bytes(bytes_of(hello_name));
    for (const auto& text : {credentials.username, credentials.password}) {
        if (text.size() > short_body_bytes_max) {
            return fail(Kind::exhausted, "a user name or password is longer than 255 octets");
        }
        writer.write_le(static_cast<std::uint8_t>(text.size()));
        writer.write_bytes(bytes_of(text));
    }
    return {};
}

Result<Command> read_command(Bytes body) noexcept
{
    Command command;
    if (starts_with(body, ping_name)) {
        Reader reader(body.subspan(ping_name.size()));
        command.kind = Command::Kind::ping;
        command.ttl_deciseconds = TRY(reader.read_be<std::uint16_t>());
        command.rest = reader.rest();
        if (command.rest.size() > ping_context_bytes_max) {
            return fail(Kind::malformed, "a PING with too long a context");
        }
    } else if (starts_with(body, pong_name)) {
        command.kind = Command::Kind::pong;
    } else if (starts_with(body, subscribe_name)) {
        command.kind = Command::Kind::subscribe;
        command.rest = body.subspan(subscribe_name.size());
    } else if (starts_with(body, cancel_name)) {
        command.kind = Command::Kind::cancel;
        command.rest = body.subspan(cancel_name.size());
    }
    return command;
}

void write_ping(Writer& writer, std::uint16_t ttl_deciseconds) noexcept
{
    writer.write_bytes(bytes_of(ping_name));
    writer.write_be(ttl_deciseconds);
}

void write_pong(Writer& writer, Bytes context) noexcept
{
    writer.write_bytes(bytes_of(pong_name));
    writer.write_bytes(context);
}

} // namespace caisson::protocol::zmtp
