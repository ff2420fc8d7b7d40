#include "shim/large.hpp"

#include "airlock/curve/requests.hpp"
#include "shim/notice.hpp"

#include <algorithm>
#include <cstring>

namespace caisson::shim {
namespace {

using airlock::curve::Request;

constexpr std::size_t piece_bytes_max = airlock::message_bytes_max;

constexpr std::uint32_t number(Request request) noexcept
{
    return static_cast<std::uint32_t>(request);
}

Bytes octets_of(const std::uint64_t& value) noexcept
{
    return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

// [SHIM-5] Whether the key is the chamber's or a raw one, its owner has to know.
std::unexpected<Error> refuse_pair(Door& door, const LargeKey& key) noexcept
{
    ByteArray<airlock::curve::key_bytes> unused{};
    const auto known = door.ask(number(Request::scalarmult_base), {key.handle}, {unused});
    if (!known) {
        return std::unexpected(known.error());
    }
    notice_once(Notice::too_large);
    return fail(Kind::forbidden, "larger than a handshake");
}

// Front to back: `to` is not behind `from` within the same memory.
Status pass_pieces(Door& door, Request request, Bytes handle, Bytes from, MutableBytes to) noexcept
{
    while (!from.empty()) {
        const auto size = std::min(from.size(), piece_bytes_max);
        if (TRY(door.ask(number(request), {handle, from.first(size)}, {to.first(size)})) != size) {
            return fail(Kind::unavailable, "the chamber's answer has another size");
        }
        from = from.subspan(size);
        to = to.subspan(size);
    }
    return {};
}

} // namespace

Result<std::size_t> seal_large(Door& door, const LargeKey& key, Bytes message, MutableBytes tag,
                               MutableBytes ciphertext) noexcept
{
    if (key.is_pair) {
        return refuse_pair(door, key);
    }
    const std::uint64_t size = message.size();
    TRY(door.ask(number(Request::box_afternm_begin), {key.handle, key.nonce, octets_of(size)}, {}));
    if (ciphertext.data() != message.data()) {
        std::memmove(ciphertext.data(), message.data(), message.size());
    }
    TRY(pass_pieces(door, Request::box_afternm_piece, key.handle, ciphertext, ciphertext));
    return TRY(door.ask(number(Request::box_afternm_finish), {key.handle}, {tag})) + message.size();
}

// [SHIM-13]
Result<std::size_t> open_large(Door& door, const LargeKey& key, Bytes tag, Bytes ciphertext,
                               MutableBytes message) noexcept
{
    if (key.is_pair) {
        return refuse_pair(door, key);
    }
    const std::uint64_t size = ciphertext.size();
    TRY(door.ask(number(Request::box_open_afternm_begin), {key.handle, key.nonce, octets_of(size), tag}, {}));
    if (message.data() != ciphertext.data()) {
        std::memmove(message.data(), ciphertext.data(), ciphertext.size());
    }
    const auto open = [&]() -> Status {
        TRY(pass_pieces(door, Request::box_open_afternm_piece, key.handle, message, message));
        TRY(door.ask(number(Request::box_open_afternm_finish), {key.handle}, {}));
        return {};
    };
    if (const auto opened = open(); !opened) {
        std::memset(message.data(), 0, message.size());
        return std::unexpected(opened.error());
    }
    return message.size();
}

} // namespace caisson::shim
