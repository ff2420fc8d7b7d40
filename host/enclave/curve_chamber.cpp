#include "host/enclave/curve_chamber.hpp"

#include "core/secret.hpp"
#include "core/wire.hpp"
#include "protocol/curve.hpp"

#include <algorithm>

namespace caisson::host::enclave {
namespace {

using airlock::curve::Request;

constexpr std::size_t small_answer_bytes = 512;
constexpr std::size_t id_bytes = sizeof(std::uint32_t);
constexpr std::size_t initiate_answer_bytes = 8 + protocol::CurveKey::size + airlock::curve::metadata_bytes_max + 512;

// A piece of a large message; a multiple of what vector kernels take at once.
constexpr std::size_t piece_bytes_max = airlock::message_bytes_max;
static_assert(id_bytes + piece_bytes_max <= airlock::payload_bytes_max);

constexpr std::uint32_t number(Request request) noexcept
{
    return static_cast<std::uint32_t>(request);
}

std::vector<std::uint8_t> with_id(std::uint32_t id, Bytes rest)
{
    std::vector<std::uint8_t> input(id_bytes + rest.size());
    Writer writer(input);
    writer.write_le(id);
    writer.write_bytes(rest);
    return input;
}

// Calls `batch` for each run of messages that fit into requests, and `large` for each that does not.
template <typename Batch, typename Large>
void in_runs(std::span<CurveMessage> messages, std::size_t bytes_max, Batch batch, Large large)
{
    while (!messages.empty()) {
        const auto fits = [bytes_max](const CurveMessage& message) { return message.input.size() <= bytes_max; };
        const auto end = std::find_if_not(messages.begin(), messages.end(), fits);
        const auto count = static_cast<std::size_t>(end - messages.begin());
        if (count == 0) {
            large(messages.front());
            messages = messages.subspan(1);
            continue;
        }
        batch(messages.first(count));
        messages = messages.subspan(count);
    }
}

} // namespace

Result<std::vector<std::uint8_t>> CurveChamber::ask(Request request, std::uint32_t subject, Bytes rest,
                                                    std::size_t room)
{
    std::vector<std::uint8_t> output(room);
    output.resize(TRY(enclave_.call(number(request), with_id(subject, rest), output)));
    return output;
}

Outcome<LoadedCurveKey> CurveChamber::import_sealed(Bytes sealed)
{
    std::vector<std::uint8_t> output(small_answer_bytes);
    const auto size = enclave_.call(number(Request::import_sealed_private_key), sealed, output);
    if (!size) {
        return fault(size.error().kind, "the key does not open in this chamber: it was sealed on another machine, with "
                                        "another root.key or by another signer, or altered");
    }
    Reader reader(Bytes(output).first(*size));
    LoadedCurveKey key;
    key.id = TRY(reader.read_le<std::uint32_t>());
    const auto flags = TRY(reader.read_le<std::uint32_t>());
    key.gated = (flags & airlock::curve::key_gated) != 0;
    key.listed = (flags & airlock::curve::key_listed) != 0;
    key.public_key.bytes = TRY(reader.read_array<protocol::CurveKey::size>());
    return key;
}

Outcome<AcceptedAccessList> CurveChamber::accept_access_list(Bytes document, const std::string& where)
{
    ByteArray<12> output{};
    const auto size = enclave_.call(number(Request::accept_access_list), document, output);
    if (!size) {
        const auto kind = size.error().kind;
        return fault(kind, where + ": the chamber does not take this access list: " +
                               (kind == Kind::missing       ? "no key here was made with --list-key"
                                : kind == Kind::unauthentic ? "it was altered, or signed by another than the key pins"
                                : kind == Kind::conflict    ? "it is not newer than the one in force"
                                                            : "it is no signed list; see \"caisson access sign\""));
    }
    Reader reader(Bytes(output).first(*size));
    AcceptedAccessList list;
    list.serial = TRY(reader.read_le<std::uint64_t>());
    list.keys = TRY(reader.read_le<std::uint32_t>());
    return list;
}

Result<std::vector<std::uint8_t>> CurveChamber::process_hello(std::uint32_t key, Bytes body)
{
    return ask(Request::process_hello, key, body, small_answer_bytes);
}

Result<InitiatedSession> CurveChamber::process_initiate(std::uint32_t key, Bytes body)
{
    const auto answer = TRY(ask(Request::process_initiate, key, body, initiate_answer_bytes));
    Reader reader(answer);
    InitiatedSession initiated;
    initiated.session = TRY(reader.read_le<std::uint32_t>());
    initiated.client.bytes = TRY(reader.read_array<protocol::CurveKey::size>());
    initiated.admitted = TRY(reader.read_le<std::uint32_t>()) != 0;
    initiated.metadata.assign(reader.rest().begin(), reader.rest().end());
    return initiated;
}

Result<std::vector<std::uint8_t>> CurveChamber::produce_ready(std::uint32_t session, Bytes metadata)
{
    return ask(Request::produce_ready, session, metadata, metadata.size() + small_answer_bytes);
}

void CurveChamber::close_session(std::uint32_t session)
{
    static_cast<void>(ask(Request::close_session, session, {}, 0)); // it may have ended by itself
}

Result<CurvePeerState> CurveChamber::peer_state(const protocol::CurveKey& peer)
{
    ByteArray<128> output{};
    const auto size = TRY(enclave_.call(number(Request::peer_state), peer.bytes, output));
    Reader reader(Bytes(output).first(size));
    CurvePeerState state;
    state.admitted = TRY(reader.read_le<std::uint32_t>()) != 0;
    state.tier = static_cast<protocol::TrustTier>(TRY(reader.read_le<std::uint32_t>()));
    TRY(reader.read_le<std::uint64_t>());
    state.node.bytes = TRY(reader.read_array<protocol::WitnessKey::size>());
    state.measurement = TRY(reader.read_array<std::tuple_size_v<Digest>>());
    return state;
}

void CurveChamber::forget_key(std::uint32_t key)
{
    static_cast<void>(ask(Request::forget_key, key, {}, 0)); // missing is as good
}

Status CurveChamber::new_epoch()
{
    TRY(enclave_.call(number(Request::new_epoch), {}, {}));
    return {};
}

std::vector<std::uint32_t> CurveChamber::sweep_sessions()
{
    std::vector<std::uint32_t> ended;
    for (std::uint32_t start = 0; start < airlock::curve::sessions_max; start += airlock::curve::sweep_places_max) {
        const auto answer = ask(Request::sweep_sessions, start, {}, airlock::curve::sweep_places_max * id_bytes);
        if (!answer) {
            break;
        }
        Reader reader(*answer);
        while (const auto id = reader.read_le<std::uint32_t>()) {
            ended.push_back(*id);
        }
    }
    return ended;
}

void CurveChamber::produce_batch(std::span<CurveMessage> messages)
{
    std::vector<std::vector<std::uint8_t>> inputs;
    std::vector<Enclave::Call> calls;
    inputs.reserve(messages.size());
    for (auto& message : messages) {
        auto& input = inputs.emplace_back(2 * id_bytes + message.input.size());
        Writer writer(input);
        writer.write_le(message.session);
        writer.write_le(message.flags);
        writer.write_bytes(message.input);
        message.output.resize(message.input.size() + protocol::curve::message_overhead_bytes);
        calls.push_back({number(Request::produce_message), input, message.output, std::size_t{0}});
    }
    enclave_.call_many(calls);
    for (std::size_t index = 0; index < messages.size(); ++index) {
        auto& message = messages[index];
        const auto& result = calls[index].result;
        message.status = result ? Status{} : Status(std::unexpected(result.error()));
        message.output.resize(result.value_or(0));
    }
}

void CurveChamber::process_batch(std::span<CurveMessage> messages)
{
    std::vector<std::vector<std::uint8_t>> inputs;
    std::vector<Enclave::Call> calls;
    inputs.reserve(messages.size());
    for (auto& message : messages) {
        auto& input = inputs.emplace_back(with_id(message.session, message.input));
        message.output.resize(id_bytes + message.input.size());
        calls.push_back({number(Request::process_message), input, message.output, std::size_t{0}});
    }
    enclave_.call_many(calls);
    for (std::size_t index = 0; index < messages.size(); ++index) {
        auto& message = messages[index];
        const auto& result = calls[index].result;
        message.status = result ? Status{} : Status(std::unexpected(result.error()));
        if (!result || *result < id_bytes) {
            message.output.clear();
            continue;
        }
        std::memcpy(&message.flags, message.output.data(), id_bytes);
        message.output.resize(*result);
        message.output.erase(message.output.begin(), message.output.begin() + id_bytes);
    }
}

void CurveChamber::produce_messages(std::span<CurveMessage> messages)
{
    in_runs(
        messages, airlock::message_bytes_max, [this](std::span<CurveMessage> run) { produce_batch(run); },
        [this](CurveMessage& message) { produce_large(message); });
}

void CurveChamber::process_messages(std::span<CurveMessage> messages)
{
    in_runs(
        messages, airlock::message_bytes_max + airlock::curve::message_head_bytes,
        [this](std::span<CurveMessage> run) { process_batch(run); },
        [this](CurveMessage& message) { process_large(message); });
}

Result<ByteArray<airlock::curve::message_head_bytes>>
CurveChamber::begin_produce(std::uint32_t session, std::uint32_t flags, std::uint64_t text_bytes)
{
    ByteArray<sizeof flags + sizeof text_bytes> input;
    Writer writer(input);
    writer.write_le(flags);
    writer.write_le(text_bytes);
    TRY(writer.finish());
    const auto answer = TRY(ask(Request::produce_message_begin, session, input, airlock::curve::message_head_bytes));
    return Reader(answer).read_array<airlock::curve::message_head_bytes>();
}

Status CurveChamber::produce_piece(std::uint32_t session, Bytes text, MutableBytes ciphertext)
{
    return pass_pieces(Request::produce_message_piece, session, text, ciphertext);
}

Result<CurveTag> CurveChamber::finish_produce(std::uint32_t session)
{
    const auto answer = TRY(ask(Request::produce_message_finish, session, {}, sizeof(CurveTag)));
    return Reader(answer).read_array<sizeof(CurveTag)>();
}

Status CurveChamber::begin_process(std::uint32_t session, Bytes head, std::uint64_t text_bytes)
{
    ByteArray<sizeof text_bytes + airlock::curve::message_head_bytes> input;
    Writer writer(input);
    writer.write_le(text_bytes);
    writer.write_bytes(head);
    TRY(writer.finish());
    TRY(ask(Request::process_message_begin, session, input, 0));
    return {};
}

Status CurveChamber::process_piece(std::uint32_t session, Bytes ciphertext, MutableBytes text)
{
    return pass_pieces(Request::process_message_piece, session, ciphertext, text);
}

Result<std::uint32_t> CurveChamber::finish_process(std::uint32_t session)
{
    const auto answer = TRY(ask(Request::process_message_finish, session, {}, sizeof(std::uint32_t)));
    return Reader(answer).read_le<std::uint32_t>();
}

Status CurveChamber::pass_pieces(Request request, std::uint32_t session, Bytes from, MutableBytes to)
{
    std::vector<std::uint8_t> input;
    while (!from.empty()) {
        const auto piece = from.first(std::min(from.size(), piece_bytes_max));
        if (to.size() < piece.size()) {
            return fail(Kind::exhausted, "the buffer for a piece is too small");
        }
        input.resize(id_bytes + piece.size());
        Writer writer(input);
        writer.write_le(session);
        writer.write_bytes(piece);
        if (TRY(enclave_.call(number(request), input, to.first(piece.size()))) != piece.size()) {
            return fail(Kind::unavailable, "the chamber's answer has another size");
        }
        from = from.subspan(piece.size());
        to = to.subspan(piece.size());
    }
    return {};
}

void CurveChamber::produce_large(CurveMessage& message)
{
    constexpr std::size_t head_bytes = airlock::curve::message_head_bytes;
    const auto produce = [&]() -> Status {
        message.output.resize(head_bytes + message.input.size());
        const MutableBytes body(message.output);
        copy_bytes(body, TRY(begin_produce(message.session, message.flags, message.input.size())));
        TRY(produce_piece(message.session, message.input, body.subspan(head_bytes)));
        const auto tag = TRY(finish_produce(message.session));
        copy_bytes(body.subspan(head_bytes - 1 - tag.size()), tag);
        return {};
    };
    message.status = produce();
    if (!message.status) {
        message.output.clear();
    }
}

// [CURVE-41] The text stays here until the chamber has seen the last of it.
void CurveChamber::process_large(CurveMessage& message)
{
    constexpr std::size_t head_bytes = airlock::curve::message_head_bytes;
    const auto process = [&]() -> Status {
        const auto ciphertext = message.input.subspan(head_bytes);
        message.output.resize(ciphertext.size());
        TRY(begin_process(message.session, message.input.first(head_bytes), ciphertext.size()));
        TRY(process_piece(message.session, ciphertext, message.output));
        message.flags = TRY(finish_process(message.session));
        return {};
    };
    message.status = process();
    if (!message.status) {
        wipe(message.output);
        message.output.clear();
    }
}

} // namespace caisson::host::enclave
