// The chamber's libsodium-shaped requests.
#include "core/wire.hpp"
#include "trusted/curve/chamber.hpp"

namespace caisson::trusted::curve {
namespace {

constexpr std::string_view handle_key_context = "caisson handle key v1";

struct Call {
    Handle handle;
    CurveKey theirs;
    Nonce nonce{};
    Bytes content;
};

enum class Shape : std::uint8_t { with_public_key, afternm };

Result<Call> read_call(Bytes input, Shape shape) noexcept
{
    Reader reader(input);
    Call call;
    call.handle.bytes = TRY(reader.read_array<Handle::size>());
    if (shape == Shape::with_public_key) {
        call.theirs.bytes = TRY(reader.read_array<CurveKey::size>());
    }
    call.nonce = TRY(reader.read_array<protocol::curve::nonce_bytes>());
    call.content = reader.rest();
    return call;
}

// The part of `output` that a sealed or opened content fills.
Result<MutableBytes> room_for(MutableBytes output, std::size_t size) noexcept
{
    if (output.size() < size) {
        return fail(Kind::exhausted, "the buffer for a box is too small");
    }
    return output.first(size);
}

} // namespace

void Chamber::box_keypair(const airlock::Row<Chamber>& /*row*/, airlock::Exchange& exchange) noexcept
{
    Reader reader(exchange.input);
    const auto flags = exchange.input.empty() ? Result<std::uint32_t>(0) : reader.read_le<std::uint32_t>();
    if (!flags || *flags > airlock::curve::keypair_lasting) {
        exchange.answer.result = fail(Kind::malformed, "a pair with unknown flags");
    } else if (exchange.output.size() < CurveKey::size + Handle::size) {
        exchange.answer.result = fail(Kind::exhausted, "the buffer for a pair is too small");
    } else {
        pairs_.add(exchange, *flags == airlock::curve::keypair_lasting);
    }
}

// [CURVE-37]
Result<std::size_t> Chamber::import_raw(Bytes input, MutableBytes /*output*/) noexcept
{
    Handle raw;
    copy_bytes(raw.bytes, input);
    TRY(shim_keys_.import_raw(raw));
    return std::size_t{0};
}

// [CURVE-36]
Result<std::size_t> Chamber::create_handle_key(Bytes /*input*/, MutableBytes output) noexcept
{
    HandleKey key;
    runtime_.random(key.expose());
    return runtime_.seal(SealPolicy::mrsigner, bytes_of(handle_key_context), key.expose(), output);
}

Result<std::size_t> Chamber::import_handle_key(Bytes input, MutableBytes /*output*/) noexcept
{
    HandleKey key;
    // It is the home's for good: no copy of it is older than another.
    if (TRY(runtime_.unseal(bytes_of(handle_key_context), input, key.expose(), OlderCopy::opens)) != HandleKey::size) {
        return fail(Kind::malformed, "a handle key has the wrong size");
    }
    shim_keys_.take_handle_key(key.expose());
    return std::size_t{0};
}

Result<std::size_t> Chamber::scalarmult_base(Bytes input, MutableBytes output) noexcept
{
    Handle handle;
    copy_bytes(handle.bytes, input);
    const auto key = TRY(shim_keys_.public_key(handle));
    Writer writer(output);
    writer.write_bytes(key.bytes);
    return writer.finish();
}

Result<std::size_t> Chamber::box(Bytes input, MutableBytes output) noexcept
{
    const auto call = TRY(read_call(input, Shape::with_public_key));
    const auto room = TRY(room_for(output, call.content.size() + protocol::curve::tag_bytes));
    TRY(shim_keys_.box(call.handle, call.theirs, call.nonce, call.content, room));
    return room.size();
}

Result<std::size_t> Chamber::box_open(Bytes input, MutableBytes output) noexcept
{
    const auto call = TRY(read_call(input, Shape::with_public_key));
    const auto room = TRY(room_for(output, call.content.size() - protocol::curve::tag_bytes));
    TRY(shim_keys_.box_open(call.handle, call.theirs, call.nonce, call.content, room));
    return room.size();
}

Result<std::size_t> Chamber::beforenm(Bytes input, MutableBytes output) noexcept
{
    Reader reader(input);
    Handle handle;
    handle.bytes = TRY(reader.read_array<Handle::size>());
    CurveKey theirs;
    theirs.bytes = TRY(reader.read_array<CurveKey::size>());
    const auto shared = TRY(shim_keys_.beforenm(handle, theirs));
    Writer writer(output);
    writer.write_bytes(shared.bytes);
    return writer.finish();
}

Result<std::size_t> Chamber::box_afternm(Bytes input, MutableBytes output) noexcept
{
    const auto call = TRY(read_call(input, Shape::afternm));
    const auto room = TRY(room_for(output, call.content.size() + protocol::curve::tag_bytes));
    TRY(shim_keys_.box_afternm(call.handle, call.nonce, call.content, room));
    return room.size();
}

Result<std::size_t> Chamber::box_open_afternm(Bytes input, MutableBytes output) noexcept
{
    const auto call = TRY(read_call(input, Shape::afternm));
    const auto room = TRY(room_for(output, call.content.size() - protocol::curve::tag_bytes));
    TRY(shim_keys_.box_open_afternm(call.handle, call.nonce, call.content, room));
    return room.size();
}

} // namespace caisson::trusted::curve
