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
    return mechanism == Mechanism::curve ? "CURVE" : "NULL";
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
    for (const auto mechanism : {Mechanism::null, Mechanism::curve}) {
        ByteArray<mechanism_bytes> expected{};
        copy_bytes(expected, bytes_of(mechanism_name(mechanism)));
        if (same_bytes(name, expected)) {
            greeting.mechanism = mechanism;
            return greeting;
        }
    }
    return fail(Kind::malformed, "the peer wants a mechanism other than NULL and CURVE");
}

Result<std::optional<Frame>> read_frame(Bytes buffered, std::size_t body_bytes_max) noexcept
{
    Reader reader(buffered);
    const auto flags = reader.read_le<std::uint8_t>();
    if (!flags) {
        return std::optional<Frame>();
    }
    const bool is_command = (*flags & frame_command) != 0;
    if ((*flags & ~(frame_more | frame_long | frame_command)) != 0 || (is_command && (*flags & frame_more) != 0)) {
        return fail(Kind::malformed, "a frame has reserved flags");
    }
    std::uint64_t size = 0;
    if ((*flags & frame_long) != 0) {
        const auto long_size = reader.read_be<std::uint64_t>();
        if (!long_size) {
            return std::optional<Frame>();
        }
        size = *long_size;
    } else {
        const auto short_size = reader.read_le<std::uint8_t>();
        if (!short_size) {
            return std::optional<Frame>();
        }
        size = *short_size;
    }
    if (size > body_bytes_max) {
        return fail(Kind::exhausted, "a frame is larger than the limit");
    }
    const auto head = buffered.size() - reader.rest().size();
    const auto body = reader.read_bytes(size);
    if (!body) {
        return std::optional<Frame>();
    }
    return Frame{static_cast<std::uint8_t>(*flags & ~frame_long), *body, head + size};
}

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
    const auto starts_with = [body](std::string_view name) {
        return body.size() >= name.size() && text_of(body.first(name.size())) == name;
    };
    if (starts_with(error_name)) {
        return fail(Kind::unacceptable, "the back end answers ERROR");
    }
    if (!starts_with(ready_name)) {
        return fail(Kind::malformed, "the back end does not answer READY");
    }
    const auto metadata = body.subspan(ready_name.size());
    Reader reader(metadata);
    while (TRY(read_property(reader))) {
    }
    return metadata;
}

} // namespace caisson::protocol::zmtp
