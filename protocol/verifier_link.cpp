#include "protocol/verifier_link.hpp"

#include "core/check.hpp"

namespace caisson::protocol::verifier_link {
namespace {

template <typename T>
using Outcome = caisson::Result<T>;

enum class Type : std::uint64_t {
    enrol = 1,
    hello = 2,
    policy_request = 3,
    result = 4,
    time = 5,
    root_offer = 6,
    enrolled = 101,
    welcome = 102,
    policy = 103,
    verdict = 104,
    time_answer = 105,
    root_challenge = 106,
    refused = 199,
};

void begin(CborWriter& writer, Type type, std::uint64_t request, std::uint64_t fields) noexcept
{
    writer.begin_array(2 + fields);
    writer.write_uint(static_cast<std::uint64_t>(type));
    writer.write_uint(request);
}

struct BodyWriter {
    CborWriter& writer;
    std::uint64_t request;

    void operator()(const Enrol& message) const noexcept
    {
        begin(writer, Type::enrol, request, 5);
        writer.write_bytes(message.token);
        writer.write_text(message.name);
        writer.write_bytes(message.csr);
        writer.write_bytes(message.evidence);
        writer.write_bytes(message.root);
    }
    void operator()(const RootOffer& message) const noexcept
    {
        begin(writer, Type::root_offer, request, 3);
        writer.write_bytes(message.certificate);
        writer.write_bytes(message.ek_public);
        writer.write_bytes(message.ak_public);
    }
    void operator()(const RootChallenge& message) const noexcept
    {
        begin(writer, Type::root_challenge, request, 2);
        writer.write_bytes(message.id_object);
        writer.write_bytes(message.encrypted_secret);
    }
    void operator()(const Hello& message) const noexcept
    {
        begin(writer, Type::hello, request, 2);
        writer.write_bytes(message.evidence);
        writer.write_bytes(message.root);
    }
    void operator()(const PolicyRequest& /*message*/) const noexcept
    {
        begin(writer, Type::policy_request, request, 0);
    }
    void operator()(const Result& message) const noexcept
    {
        begin(writer, Type::result, request, 1);
        writer.write_bytes(message.sealed);
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
    void operator()(const Enrolled& message) const noexcept
    {
        begin(writer, Type::enrolled, request, 1);
        writer.write_text(message.certificate);
    }
    void operator()(const Welcome& message) const noexcept
    {
        begin(writer, Type::welcome, request, 3);
        writer.write_text(message.node);
        writer.write_uint(message.interval_ms);
        writer.write_uint(message.hold_ms);
    }
    void operator()(const Policy& message) const noexcept
    {
        begin(writer, Type::policy, request, 1);
        writer.write_bytes(message.sealed);
    }
    void operator()(const Verdict& message) const noexcept
    {
        CHECK(message.reason_count <= reasons_max);
        begin(writer, Type::verdict, request, 3);
        writer.write_uint(static_cast<std::uint64_t>(message.tier));
        writer.begin_array(message.reason_count);
        for (std::size_t index = 0; index < message.reason_count; ++index) {
            writer.write_text(message.reasons[index]);
        }
        writer.write_uint(message.next_in_ms);
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
    void operator()(const Refused& message) const noexcept
    {
        begin(writer, Type::refused, request, 2);
        writer.write_uint(static_cast<std::uint64_t>(message.kind));
        writer.write_text(message.text);
    }
};

Outcome<Message> read_enrol(CborReader& reader) noexcept
{
    Enrol message;
    message.token = TRY(reader.read_array_of_bytes<token_bytes>());
    message.name = TRY(reader.read_text(node_name_bytes_max));
    message.csr = TRY(reader.read_bytes(csr_bytes_max));
    message.evidence = TRY(reader.read_bytes(evidence_field_bytes_max));
    message.root = TRY(reader.read_bytes(root_field_bytes_max));
    return message;
}

Outcome<Message> read_root_offer(CborReader& reader) noexcept
{
    RootOffer message;
    message.certificate = TRY(reader.read_bytes(tpm_field_bytes_max));
    message.ek_public = TRY(reader.read_bytes(tpm_field_bytes_max));
    message.ak_public = TRY(reader.read_bytes(tpm_field_bytes_max));
    return message;
}

Outcome<Message> read_root_challenge(CborReader& reader) noexcept
{
    RootChallenge message;
    message.id_object = TRY(reader.read_bytes(tpm_field_bytes_max));
    message.encrypted_secret = TRY(reader.read_bytes(tpm_field_bytes_max));
    return message;
}

Outcome<Message> read_hello(CborReader& reader) noexcept
{
    Hello message;
    message.evidence = TRY(reader.read_bytes(evidence_field_bytes_max));
    message.root = TRY(reader.read_bytes(root_field_bytes_max));
    return message;
}

Outcome<Message> read_policy_request(CborReader& /*reader*/) noexcept
{
    return PolicyRequest{};
}

Outcome<Message> read_result(CborReader& reader) noexcept
{
    return Result{TRY(reader.read_bytes(document_bytes_max))};
}

Outcome<Message> read_time(CborReader& reader) noexcept
{
    Time message;
    message.nonce.bytes = TRY(reader.read_array_of_bytes<TimeNonce::size>());
    message.key_count = TRY(reader.begin_array(keys_max));
    for (std::size_t index = 0; index < message.key_count; ++index) {
        message.keys[index].bytes = TRY(reader.read_array_of_bytes<CurveKey::size>());
    }
    return message;
}

Outcome<Message> read_enrolled(CborReader& reader) noexcept
{
    return Enrolled{TRY(reader.read_text(certificate_text_bytes_max))};
}

Outcome<Message> read_welcome(CborReader& reader) noexcept
{
    Welcome message;
    message.node = TRY(reader.read_text(node_name_bytes_max));
    message.interval_ms = TRY(reader.read_uint());
    message.hold_ms = TRY(reader.read_uint());
    return message;
}

Outcome<Message> read_policy(CborReader& reader) noexcept
{
    return Policy{TRY(reader.read_bytes(document_bytes_max))};
}

Outcome<TrustTier> read_tier(CborReader& reader) noexcept
{
    const auto value = TRY(reader.read_uint());
    for (const auto tier : {TrustTier::none, TrustTier::affirming, TrustTier::warning, TrustTier::contraindicated}) {
        if (value == static_cast<std::uint64_t>(tier)) {
            return tier;
        }
    }
    return fail(Kind::malformed, "an unknown tier");
}

Outcome<Message> read_verdict(CborReader& reader) noexcept
{
    Verdict message;
    message.tier = TRY(read_tier(reader));
    message.reason_count = TRY(reader.begin_array(reasons_max));
    for (std::size_t index = 0; index < message.reason_count; ++index) {
        message.reasons[index] = TRY(reader.read_text(text_bytes_max));
    }
    message.next_in_ms = TRY(reader.read_uint());
    return message;
}

Outcome<Message> read_time_answer(CborReader& reader) noexcept
{
    TimeAnswer message;
    message.token = TRY(reader.read_bytes(time_token_bytes_max));
    message.result_count = TRY(reader.begin_array(keys_max));
    for (std::size_t index = 0; index < message.result_count; ++index) {
        message.results[index] = TRY(reader.read_bytes(attestation_result_bytes_max));
    }
    return message;
}

Outcome<Message> read_refused(CborReader& reader) noexcept
{
    Refused message;
    const auto kind = TRY(reader.read_uint());
    message.text = TRY(reader.read_text(text_bytes_max));
    if (kind < static_cast<std::uint64_t>(Kind::truncated) || kind > static_cast<std::uint64_t>(Kind::unavailable)) {
        return fail(Kind::malformed, "an unknown kind of refusal");
    }
    message.kind = static_cast<Kind>(kind);
    return message;
}

struct Shape {
    Type type;
    std::size_t fields;
    Outcome<Message> (*read)(CborReader& reader) noexcept;
};

constexpr Shape shapes[] = {
    {Type::enrol, 5, read_enrol},
    {Type::hello, 2, read_hello},
    {Type::policy_request, 0, read_policy_request},
    {Type::result, 1, read_result},
    {Type::time, 2, read_time},
    {Type::root_offer, 3, read_root_offer},
    {Type::enrolled, 1, read_enrolled},
    {Type::welcome, 3, read_welcome},
    {Type::policy, 1, read_policy},
    {Type::verdict, 3, read_verdict},
    {Type::time_answer, 2, read_time_answer},
    {Type::root_challenge, 2, read_root_challenge},
    {Type::refused, 2, read_refused},
};
constexpr std::size_t fields_max = 5;

} // namespace

caisson::Result<std::size_t> write_frame(MutableBytes output, const Frame& frame) noexcept
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

caisson::Result<std::size_t> read_frame_head(const ByteArray<frame_head_bytes>& head) noexcept
{
    Reader reader(head);
    const auto size = TRY(reader.read_be<std::uint32_t>());
    if (size == 0 || size > frame_bytes_max) {
        return fail(Kind::malformed, "a frame of the verifier link has an impossible length");
    }
    return std::size_t{size};
}

// [MEASURE-16]
caisson::Result<Frame> read_frame_body(Bytes body) noexcept
{
    CborReader reader(body);
    const auto count = TRY(reader.begin_array(2 + fields_max));
    if (count < 2) {
        return fail(Kind::malformed, "a frame of the verifier link lacks type and request");
    }
    const auto type = TRY(reader.read_uint());
    Frame frame;
    frame.request = TRY(reader.read_uint());
    for (const auto& shape : shapes) {
        if (static_cast<std::uint64_t>(shape.type) != type) {
            continue;
        }
        if (count != 2 + shape.fields) {
            return fail(Kind::malformed, "a frame of the verifier link has the wrong number of fields");
        }
        frame.message = TRY(shape.read(reader));
        TRY(reader.finish());
        return frame;
    }
    return fail(Kind::malformed, "a frame of the verifier link is of an unknown type");
}

} // namespace caisson::protocol::verifier_link
