// Contents that are sealed once for many, and fan-outs, which carry them to sessions.
#include "core/crypto/constant_time.hpp"
#include "trusted/curve/e2e_place.hpp"
#include "trusted/curve/fanout_openings.hpp"

#include <sodium.h>

#include <utility>

namespace caisson::trusted::curve {
namespace {

namespace e2e = protocol::e2e;
namespace wire = protocol::curve;

constexpr std::string_view content_nonce = "CaissonE2E-BODY-";
static_assert(content_nonce.size() == 16);

} // namespace

SealedContent seal_content(Runtime& runtime, const E2eId& packet_id, Bytes text, MutableBytes box) noexcept
{
    SealedContent content;
    runtime.random(content.key.expose());
    // The key is used for this one box, so the nonce may be the same for all.
    seal_box(box.data(), text, wire::short_nonce(content_nonce, 0), content.key);
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, nullptr, 0, content.digest.size());
    crypto_generichash_update(&hash, packet_id.bytes.data(), packet_id.bytes.size());
    crypto_generichash_update(&hash, box.data(), text.size() + e2e::tag_bytes);
    crypto_generichash_final(&hash, content.digest.data(), content.digest.size());
    return content;
}

Status check_content(const SealedContent& content, const E2eId& packet_id, Bytes box) noexcept
{
    ByteArray<e2e::digest_bytes> digest;
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, nullptr, 0, digest.size());
    crypto_generichash_update(&hash, packet_id.bytes.data(), packet_id.bytes.size());
    crypto_generichash_update(&hash, box.data(), box.size());
    crypto_generichash_final(&hash, digest.data(), digest.size());
    if (!same_bytes(digest, content.digest)) {
        return fail(Kind::unauthentic, "a content is not the one that was sealed for this recipient");
    }
    return {};
}

crypto::BoxSubkey content_subkey(const SharedKey& content_key) noexcept
{
    const auto nonce = wire::short_nonce(content_nonce, 0);
    return crypto::derive_box_subkey(content_key.expose(), std::span(nonce).first<content_nonce.size()>());
}

SealedContent sealed_content_of(const SlotInside& inside) noexcept
{
    SealedContent content;
    copy_bytes(content.key.expose(), inside.expose().first<e2e::content_key_bytes>());
    copy_bytes(content.digest, inside.expose().subspan<e2e::content_key_bytes, e2e::digest_bytes>());
    return content;
}

Status open_content(const SealedContent& content, const E2eId& packet_id, Bytes box, MutableBytes text) noexcept
{
    TRY(check_content(content, packet_id, box));
    return open_box(text.data(), box, wire::short_nonce(content_nonce, 0), content.key);
}

namespace {

// Slots of one content on their way through the kernel together.
class SlotBatch {
  public:
    explicit SlotBatch(const SlotInside& inside) noexcept
        : inside_(inside)
    {
    }

    // The next slot, which `writer` has room for; its box is there after `run`. Fails: exhausted.
    Status add(E2eSession& session, std::size_t text_bytes, Writer& writer) noexcept
    {
        if (count_ == jobs_.size() || moves_on(session)) { // a slot of it may wait, under the key that goes
            run();
        }
        const auto counter = TRY(next_place(session, text_bytes));
        const auto& sending = session.sending;
        writer.write_bytes(session.session_id.bytes);
        writer.write_be(sending.epoch);
        writer.write_be(counter);
        subkeys_[count_] = subkey_of(sending.key, PacketType::fanout, session.curve.is_server, sending.epoch);
        jobs_[count_] = {&subkeys_[count_], counter, inside_.expose().data(), writer.rest().data(), SlotInside::size};
        sessions_[count_++] = &session;
        writer.advance(SlotInside::size + e2e::tag_bytes);
        return {};
    }

    void run() noexcept
    {
        const auto jobs = std::span<const crypto::BoxJob>(jobs_).first(std::exchange(count_, 0));
        if (jobs.empty() || seal_messages(jobs)) {
            return;
        }
        for (std::size_t index = 0; index < jobs.size(); ++index) {
            const auto& session = *sessions_[index];
            seal_box(jobs[index].to, inside_.expose(),
                     nonce_of(PacketType::fanout, session.curve.is_server, session.sending.epoch, jobs[index].counter),
                     session.sending.key);
        }
    }

  private:
    static constexpr std::size_t slots_at_once = 16; // the lanes of the kernel

    const SlotInside& inside_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    std::array<crypto::BoxSubkey, slots_at_once> subkeys_;
    std::array<crypto::BoxJob, slots_at_once> jobs_{};
    std::array<const E2eSession*, slots_at_once> sessions_{};
    std::size_t count_ = 0;
};

} // namespace

// [E2E-18]
Result<std::size_t> e2e_seal_fanout(Runtime& runtime, std::span<E2eSession*> sessions, std::uint8_t flags, Bytes text,
                                    MutableBytes output) noexcept
{
    const auto slots_bytes = sessions.size() * e2e::fanout_slot_bytes;
    const auto size = e2e::head_bytes + 2 + slots_bytes + e2e::tag_bytes + text.size();
    if (output.size() < size) {
        return fail(Kind::exhausted, "the buffer for a packet is too small");
    }
    E2eId id;
    runtime.random(id.bytes);
    const auto content = seal_content(runtime, id, text,
                                      output.subspan(e2e::head_bytes + 2 + slots_bytes, text.size() + e2e::tag_bytes));
    Writer writer(output);
    e2e::write_packet_head(writer, PacketType::fanout, id);
    writer.write_be(static_cast<std::uint16_t>(sessions.size()));
    SlotInside inside;
    copy_bytes(inside.expose(), content.key.expose());
    copy_bytes(inside.expose().subspan(e2e::content_key_bytes), content.digest);
    inside.expose().back() = flags;
    SlotBatch slots(inside);
    for (auto* session : sessions) {
        TRY(slots.add(*session, text.size(), writer));
    }
    slots.run();
    return size;
}

Result<E2ePlace> slot_place_of(const E2eSession& session, const Packet& packet) noexcept
{
    const auto count = TRY(e2e::count_slots(packet));
    for (std::size_t index = 0; index < count; ++index) {
        const auto slot = e2e::slot_of(packet, index);
        if (same_bytes(slot.first(E2eId::size), session.session_id.bytes)) {
            return read_place(slot.subspan(E2eId::size));
        }
    }
    return fail(Kind::missing, "a packet is for other sessions");
}

Result<E2eOpened> e2e_open_fanout(E2eSession& session, const Packet& packet, MutableBytes text) noexcept
{
    const auto place = TRY(slot_place_of(session, packet));
    const auto content = e2e::content_of(packet);
    if (text.size() < content.size()) {
        return fail(Kind::exhausted, "the buffer for a message is too small");
    }
    SlotInside opened;
    auto key = TRY(open_at(session, PacketType::fanout, place, opened.expose()));
    const E2eOpened out{opened.expose().back(), place.counter, content.size() - e2e::tag_bytes};
    TRY(check_packet_flags(out.flags));
    TRY(open_content(sealed_content_of(opened), packet.id, content, text));
    take_place(session, place, std::move(key));
    return out;
}

} // namespace caisson::trusted::curve
