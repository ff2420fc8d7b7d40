#include "trusted/curve/e2e_letter.hpp"

#include "core/check.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

namespace e2e = protocol::e2e;
namespace wire = protocol::curve;

constexpr std::string_view hint_domain = "caisson e2e hint v1";
constexpr std::string_view slot_domain = "caisson e2e letter v1";
constexpr std::string_view inbox_domain = "caisson e2e inbox v1";
constexpr std::string_view name_nonce = "CaissonE2E-NAME-";
constexpr std::string_view slot_nonce = "CaissonE2E-SLOT-";

struct SlotTag;
using SlotInside = Secret<e2e::content_key_bytes + e2e::digest_bytes + 8 + 1, SlotTag>;
static_assert(e2e::letter_slot_bytes == e2e::hint_bytes + e2e::letter_name_bytes + e2e::tag_bytes + SlotInside::size);

// By which a recipient finds his slot. Who knows his public key can do that too.
ByteArray<e2e::hint_bytes> hint_of(const CurveKey& once, const CurveKey& recipient) noexcept
{
    // libsodium's BLAKE2b gives 16 octets or more.
    ByteArray<16> digest;
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, nullptr, 0, digest.size());
    crypto_generichash_update(&hash, bytes_of(hint_domain).data(), hint_domain.size());
    crypto_generichash_update(&hash, once.bytes.data(), once.bytes.size());
    crypto_generichash_update(&hash, recipient.bytes.data(), recipient.bytes.size());
    crypto_generichash_final(&hash, digest.data(), digest.size());
    ByteArray<e2e::hint_bytes> hint;
    copy_bytes(hint, Bytes(digest).first(hint.size()));
    return hint;
}

// The recipient of a letter, from either side of it.
struct Envelope {
    const E2eId& id;
    const CurveKey& once; // the letter's own key
    const CurveKey& sender;
    const CurveKey& recipient;
};

// [E2E-20] Of both: once x recipient hides it from all others, sender x recipient proves the sender to the recipient.
SharedKey slot_key(const SharedKey& once_key, const SharedKey& pair_key, const Envelope& envelope) noexcept
{
    SharedKey key;
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, once_key.expose().data(), SharedKey::size, SharedKey::size);
    crypto_generichash_update(&hash, bytes_of(slot_domain).data(), slot_domain.size());
    crypto_generichash_update(&hash, pair_key.expose().data(), SharedKey::size);
    crypto_generichash_update(&hash, envelope.id.bytes.data(), E2eId::size);
    crypto_generichash_update(&hash, envelope.once.bytes.data(), CurveKey::size);
    crypto_generichash_update(&hash, envelope.sender.bytes.data(), CurveKey::size);
    crypto_generichash_update(&hash, envelope.recipient.bytes.data(), CurveKey::size);
    crypto_generichash_final(&hash, key.expose().data(), SharedKey::size);
    wipe({reinterpret_cast<std::uint8_t*>(&hash), sizeof hash});
    return key;
}

// The keys in `once_key` and `slot_key` are used for one box each.
wire::Nonce only_nonce(std::string_view prefix) noexcept
{
    return wire::short_nonce(prefix, 0);
}

struct Writing {
    const LongTermKey& own;
    const CurveSecretKey& once_secret;
    const CurveKey& once;
    const E2eId& id;
    const SlotInside& inside;
};

Status write_slot(const Writing& writing, const CurveKey& recipient, Writer& writer) noexcept
{
    const auto once_key = TRY(shared_key(recipient, writing.once_secret));
    const auto pair_key = TRY(shared_key(recipient, writing.own.secret));
    writer.write_bytes(hint_of(writing.once, recipient));
    seal_box(writer.rest().data(), writing.own.public_key.bytes, only_nonce(name_nonce), once_key);
    writer.advance(e2e::letter_name_bytes);
    const auto key = slot_key(once_key, pair_key, {writing.id, writing.once, writing.own.public_key, recipient});
    seal_box(writer.rest().data(), writing.inside.expose(), only_nonce(slot_nonce), key);
    writer.advance(SlotInside::size + e2e::tag_bytes);
    return {};
}

} // namespace

// [E2E-22]
bool Correspondent::is_new(std::uint64_t number) const noexcept
{
    const auto end = numbers.begin() + static_cast<std::ptrdiff_t>(count);
    return number > floor && !std::binary_search(numbers.begin(), end, number);
}

void Correspondent::take(std::uint64_t number) noexcept
{
    if (count == numbers_max) {
        if (number < numbers[0]) { // it is the lowest itself
            floor = number;
            return;
        }
        floor = numbers[0];
        std::copy(numbers.begin() + 1, numbers.end(), numbers.begin());
        --count;
    }
    const auto end = numbers.begin() + static_cast<std::ptrdiff_t>(count);
    const auto place = std::lower_bound(numbers.begin(), end, number);
    std::copy_backward(place, end, end + 1);
    *place = number;
    ++count;
}

Result<Correspondent*> Letters::allow(std::uint32_t own_key, const CurveKey& sender) noexcept
{
    if (auto known = find(own_key, sender); known) {
        return known;
    }
    auto* place = std::find_if(correspondents_.begin(), correspondents_.end(),
                               [](const Correspondent& one) { return one.own_key == 0; });
    if (place == correspondents_.end()) {
        if (correspondents_.full()) {
            return fail(Kind::exhausted, "the chamber takes letters of as many senders as it can");
        }
        place = &correspondents_.add();
    }
    *place = Correspondent{};
    place->own_key = own_key;
    place->sender = sender;
    return place;
}

// [E2E-21]
Result<Correspondent*> Letters::find(std::uint32_t own_key, const CurveKey& sender) noexcept
{
    for (auto& one : correspondents_) {
        if (own_key != 0 && one.own_key == own_key && one.sender == sender) {
            return &one;
        }
    }
    return fail(Kind::forbidden, "letters of this sender are not taken");
}

void Letters::forget_all_of(std::uint32_t own_key) noexcept
{
    for (auto& one : correspondents_) {
        if (one.own_key == own_key) {
            one = Correspondent{};
        }
    }
    for (auto& one : written_) {
        if (one.own_key == own_key) {
            one = Written{};
        }
    }
}

Result<std::uint64_t> Letters::next_number(const LongTermKey& own, std::uint64_t clock_hint) noexcept
{
    constexpr std::uint64_t number_max = std::uint64_t{1} << 62U;
    Written* place = nullptr;
    for (auto& one : written_) {
        if (one.own_key == own.id) {
            place = &one;
            break;
        }
        if (one.own_key == 0 && place == nullptr) {
            place = &one;
        }
    }
    CHECK(place != nullptr); // as many places as keys
    const auto number = std::max(clock_hint, place->last + 1);
    if (number >= number_max) {
        return fail(Kind::exhausted, "the clock of letters is beyond its end");
    }
    *place = {own.id, number};
    return number;
}

Result<std::size_t> write_letter(Runtime& runtime, const LongTermKey& own, const LetterHead& head, Bytes recipients,
                                 Bytes text, MutableBytes output) noexcept
{
    const auto count = recipients.size() / CurveKey::size;
    CHECK(count > 0 && count <= e2e::recipients_max && recipients.size() % CurveKey::size == 0);
    const auto content_at = e2e::head_bytes + CurveKey::size + 2 + count * e2e::letter_slot_bytes;
    const auto size = content_at + e2e::tag_bytes + text.size();
    if (output.size() < size) {
        return fail(Kind::exhausted, "the buffer for a letter is too small");
    }
    E2eId id;
    runtime.random(id.bytes);
    CurveSecretKey once_secret;
    const auto once = make_key_pair(runtime, once_secret);
    const auto content = seal_content(runtime, id, text, output.subspan(content_at, text.size() + e2e::tag_bytes));
    SlotInside inside;
    Writer inner(inside.expose());
    inner.write_bytes(content.key.expose());
    inner.write_bytes(content.digest);
    inner.write_be(head.number);
    inner.write_le(head.flags);
    Writer writer(output);
    e2e::write_packet_head(writer, PacketType::letter, id);
    writer.write_bytes(once.bytes);
    writer.write_be(static_cast<std::uint16_t>(count));
    const Writing writing{own, once_secret, once, id, inside};
    for (std::size_t index = 0; index < count; ++index) {
        CurveKey recipient;
        copy_bytes(recipient.bytes, recipients.subspan(index * CurveKey::size, CurveKey::size));
        TRY(write_slot(writing, recipient, writer));
    }
    TRY(writer.finish());
    return size;
}

Result<OpenedLetter> open_letter(const LongTermKey& own, const Packet& packet) noexcept
{
    if (packet.type != PacketType::letter) {
        return fail(Kind::malformed, "a letter was expected");
    }
    const auto count = TRY(e2e::count_slots(packet));
    CurveKey once;
    copy_bytes(once.bytes, packet.body.first(CurveKey::size));
    const auto hint = hint_of(once, own.public_key);
    for (std::size_t index = 0; index < count; ++index) {
        Reader slot(e2e::slot_of(packet, index));
        if (TRY(slot.read_array<e2e::hint_bytes>()) != hint) {
            continue;
        }
        const auto once_key = TRY(shared_key(once, own.secret));
        OpenedLetter letter;
        const auto name = TRY(slot.read_bytes(e2e::letter_name_bytes));
        TRY(open_box(letter.sender.bytes.data(), name, only_nonce(name_nonce), once_key));
        const auto pair_key = TRY(shared_key(letter.sender, own.secret));
        const auto key = slot_key(once_key, pair_key, {packet.id, once, letter.sender, own.public_key});
        SlotInside inside;
        TRY(open_box(inside.expose().data(), slot.rest(), only_nonce(slot_nonce), key));
        Reader inner(inside.expose());
        copy_bytes(letter.content.key.expose(), TRY(inner.read_bytes(e2e::content_key_bytes)));
        letter.content.digest = TRY(inner.read_array<e2e::digest_bytes>());
        letter.head.number = TRY(inner.read_be<std::uint64_t>());
        letter.head.flags = TRY(inner.read_le<std::uint8_t>());
        return letter;
    }
    return fail(Kind::missing, "a letter is for others");
}

namespace {

constexpr std::size_t state_bytes_max = CurveKey::size + 8 + 2 + Correspondent::numbers_max * 8;

ByteArray<inbox_domain.size() + CurveKey::size> inbox_context(const LongTermKey& own) noexcept
{
    ByteArray<inbox_domain.size() + CurveKey::size> context;
    Writer writer(context);
    writer.write_bytes(bytes_of(inbox_domain));
    writer.write_bytes(own.public_key.bytes);
    return context;
}

} // namespace

Result<std::size_t> seal_correspondent(Runtime& runtime, const LongTermKey& own, const Correspondent& from,
                                       MutableBytes output) noexcept
{
    ByteArray<state_bytes_max> state;
    Writer writer(state);
    writer.write_bytes(from.sender.bytes);
    writer.write_be(from.floor);
    writer.write_be(static_cast<std::uint16_t>(from.count));
    for (std::size_t index = 0; index < from.count; ++index) {
        writer.write_be(from.numbers[index]);
    }
    return runtime.seal(SealPolicy::mrsigner, inbox_context(own), writer.written(), output);
}

Status unseal_correspondent(Runtime& runtime, const LongTermKey& own, Bytes sealed, Correspondent& into) noexcept
{
    ByteArray<state_bytes_max> state;
    if (sealed.size() > state.size() + seal_overhead_bytes) {
        return fail(Kind::malformed, "the state of a sender is too long");
    }
    // With each letter the state moves on, the root's counter with each change of the keys only.
    const auto size = TRY(runtime.unseal(inbox_context(own), sealed, state, OlderCopy::opens));
    Reader reader(Bytes(state).first(size));
    CurveKey sender;
    sender.bytes = TRY(reader.read_array<CurveKey::size>());
    if (sender != into.sender) {
        return fail(Kind::malformed, "the state is of another sender");
    }
    const auto floor = TRY(reader.read_be<std::uint64_t>());
    const auto count = TRY(reader.read_be<std::uint16_t>());
    into.floor = std::max(into.floor, floor);
    for (std::size_t index = 0; index < count; ++index) {
        const auto number = TRY(reader.read_be<std::uint64_t>());
        if (into.is_new(number)) {
            into.take(number);
        }
    }
    return reader.finish();
}

} // namespace caisson::trusted::curve
