#include "protocol/node_link.hpp"

#include "core/check.hpp"

namespace caisson::protocol::node_link {
namespace {

// The message types of docs/spec/measurement.md, section 5.
enum class Type : std::uint64_t {
    witness_target = 1,
    register_key = 2,
    time = 3,
    status = 4,
    witness_target_answer = 101,
    register_answer = 102,
    time_answer = 103,
    status_answer = 104,
    refused = 199,
};

constexpr std::size_t name_bytes_max = 256;

void begin(CborWriter& writer, Type type, std::uint64_t request, std::uint64_t fields) noexcept
{
    writer.begin_array(2 + fields);
    writer.write_uint(static_cast<std::uint64_t>(type));
    writer.write_uint(request);
}

struct BodyWriter {
    CborWriter& writer;
    std::uint64_t request;

    void operator()(const WitnessTarget& /*message*/) const noexcept
    {
        begin(writer, Type::witness_target, request, 0);
    }
    void operator()(const Register& message) const noexcept
    {
        begin(writer, Type::register_key, request, 2);
        writer.write_bytes(message.report);
        writer.write_bytes(message.key.bytes);
    }
    void operator()(const Time& message) const noexcept
    {
        CHECK(message.key_count <= keys_max);
        begin(writer, Type::time, request, 2);
        writer.write_bytes(message.nonce.bytes);
        writer.begin_array(message.key_count);
        for (std::size_t index = 0; index < message.key_count; ++index) {
            writer.write_bytes(message.keys[index].bytes);
        }
    }
    void operator()(const Status& /*message*/) const noexcept { begin(writer, Type::status, request, 0); }
    void operator()(const WitnessTargetAnswer& message) const noexcept
    {
        begin(writer, Type::witness_target_answer, request, 1);
        writer.write_bytes(message.target_info);
    }
    void operator()(const RegisterAnswer& /*message*/) const noexcept
    {
        begin(writer, Type::register_answer, request, 0);
    }
    void operator()(const TimeAnswer& message) const noexcept
    {
        CHECK(message.result_count <= keys_max);
        begin(writer, Type::time_answer, request, 2);
        writer.write_bytes(message.token);
        writer.begin_array(message.result_count);
        for (std::size_t index = 0; index < message.result_count; ++index) {
            writer.write_bytes(message.results[index]);
        }
    }
    void operator()(const StatusAnswer& message) const noexcept
    {
        begin(writer, Type::status_answer, request, 9);
        writer.write_text(message.node);
        writer.write_text(message.server);
        writer.write_bool(message.connected);
        writer.write_uint(static_cast<std::uint64_t>(message.tier));
        writer.write_uint(message.verdict_age_ms);
        writer.write_uint(message.rounds);
        writer.write_uint(message.keys);
        writer.write_text(message.text);
        writer.write_text(message.missing);
    }
    void operator()(const Refused& message) const noexcept
    {
        begin(writer, Type::refused, request, 2);
        writer.write_uint(static_cast<std::uint64_t>(message.kind));
        writer.write_text(message.text);
    }
};

Result<Message> read_register(CborReader& reader) noexcept
{
    Register message;
    message.report = TRY(reader.read_bytes(sizeof(sgx::Report)));
    message.key.bytes = TRY(reader.read_array_of_bytes<CurveKey::size>());
    if (message.report.size() != sizeof(sgx::Report)) {
        return fail(Kind::malformed, "a report has the wrong size");
    }
    return message;
}

Result<Message> read_time(CborReader& reader) noexcept
{
    Time message;
    message.nonce.bytes = TRY(reader.read_array_of_bytes<TimeNonce::size>());
    message.key_count = TRY(reader.begin_array(keys_max));
    for (std::size_t index = 0; index < message.key_count; ++index) {
        message.keys[index].bytes = TRY(reader.read_array_of_bytes<CurveKey::size>());
    }
    return message;
}

Result<Message> read_target(CborReader& reader) noexcept
{
    WitnessTargetAnswer message;
    message.target_info = TRY(reader.read_bytes(sizeof(sgx::TargetInfo)));
    if (message.target_info.size() != sizeof(sgx::TargetInfo)) {
        return fail(Kind::malformed, "a target info has the wrong size");
    }
    return message;
}

Result<Message> read_time_answer(CborReader& reader) noexcept
{
    TimeAnswer message;
    message.token = TRY(reader.read_bytes(time_token_bytes_max));
    message.result_count = TRY(reader.begin_array(keys_max));
    for (std::size_t index = 0; index < message.result_count; ++index) {
        message.results[index] = TRY(reader.read_bytes(attestation_result_bytes_max));
    }
    return message;
}

Result<TrustTier> read_tier(CborReader& reader) noexcept
{
    const auto value = TRY(reader.read_uint());
    for (const auto tier : {TrustTier::none, TrustTier::affirming, TrustTier::warning, TrustTier::contraindicated}) {
        if (value == static_cast<std::uint64_t>(tier)) {
            return tier;
        }
    }
    return fail(Kind::malformed, "an unknown tier");
}

Result<Message> read_status_answer(CborReader& reader) noexcept
{
    StatusAnswer message;
    message.node = TRY(reader.read_text(name_bytes_max));
    message.server = TRY(reader.read_text(name_bytes_max));
    message.connected = TRY(reader.read_bool());
    message.tier = TRY(read_tier(reader));
    message.verdict_age_ms = TRY(reader.read_uint());
    message.rounds = TRY(reader.read_uint());
    message.keys = TRY(reader.read_uint());
    message.text = TRY(reader.read_text(status_text_bytes_max));
    message.missing = TRY(reader.read_text(status_text_bytes_max));
    return message;
}

Result<Message> read_refused(CborReader& reader) noexcept
{
    Refused message;
    const auto kind = TRY(reader.read_uint());
    message.text = TRY(reader.read_text(refusal_text_bytes_max));
    if (kind < static_cast<std::uint64_t>(Kind::truncated) || kind > static_cast<std::uint64_t>(Kind::unavailable)) {
        return fail(Kind::malformed, "an unknown kind of refusal");
    }
    message.kind = static_cast<Kind>(kind);
    return message;
}

struct Shape {
    Type type;
    std::size_t fields;
    Result<Message> (*read)(CborReader& reader) noexcept;
};

template <typename Empty>
Result<Message> read_empty(CborReader& /*reader*/) noexcept
{
    return Empty{};
}

constexpr Shape shapes[] = {
    {Type::witness_target, 0, read_empty<WitnessTarget>},
    {Type::register_key, 2, read_register},
    {Type::time, 2, read_time},
    {Type::status, 0, read_empty<Status>},
    {Type::witness_target_answer, 1, read_target},
    {Type::register_answer, 0, read_empty<RegisterAnswer>},
    {Type::time_answer, 2, read_time_answer},
    {Type::status_answer, 9, read_status_answer},
    {Type::refused, 2, read_refused},
};
constexpr std::size_t fields_max = 9;

} // namespace

Result<std::size_t> write_frame(MutableBytes output, const Frame& frame) noexcept
{
    if (output.size() < frame_head_bytes) {
        return fail(Kind::exhausted, "no room for a frame");
    }
    CborWriter writer(output.subspan(frame_head_bytes));
    std::visit(BodyWriter{writer, frame.request}, frame.message);
    const auto size = TRY(writer.finish());
    if (size > frame_bytes_max) {
        return fail(Kind::exhausted, "a frame is too long");
    }
    Writer head(output);
    head.write_be(static_cast<std::uint32_t>(size));
    return frame_head_bytes + size;
}

// [MEASURE-15]
Result<std::size_t> read_frame_head(const ByteArray<frame_head_bytes>& head) noexcept
{
    Reader reader(head);
    const auto size = TRY(reader.read_be<std::uint32_t>());
    if (size == 0 || size > frame_bytes_max) {
        return fail(Kind::malformed, "a frame of the node link has an impossible length");
    }
    return std::size_t{size};
}

// [MEASURE-15]
Result<Frame> read_frame_body(Bytes body) noexcept
{
    CborReader reader(body);
    const auto count = TRY(reader.begin_array(2 + fields_max));
    if (count < 2) {
        return fail(Kind::malformed, "a frame of the node link lacks type and request");
    }
    const auto type = TRY(reader.read_uint());
    Frame frame;
    frame.request = TRY(reader.read_uint());
    for (const auto& shape : shapes) {
        if (static_cast<std::uint64_t>(shape.type) != type) {
            continue;
        }
        if (count != 2 + shape.fields) {
            return fail(Kind::malformed, "a frame of the node link has the wrong number of fields");
        }
        frame.message = TRY(shape.read(reader));
        TRY(reader.finish());
        return frame;
    }
    return fail(Kind::malformed, "a frame of the node link is of an unknown type");
}

} // namespace caisson::protocol::node_link
