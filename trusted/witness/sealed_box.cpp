#include "trusted/witness/sealed_box.hpp"

#include "core/check.hpp"

#include <sodium.h>

namespace caisson::trusted::witness {
namespace {

using protocol::box_seal_overhead_bytes;
using protocol::BoxKey;

constexpr std::size_t tag_bytes = crypto_box_MACBYTES;
static_assert(box_seal_overhead_bytes == BoxKey::size + tag_bytes);

using Nonce = ByteArray<crypto_box_NONCEBYTES>;

// The key pair is used once, so that a nonce made of the two public keys never repeats under one shared key.
Nonce nonce_of(const BoxKey& ephemeral, const BoxKey& recipient) noexcept
{
    ByteArray<2 * BoxKey::size> keys;
    copy_bytes(keys, ephemeral.bytes);
    copy_bytes(MutableBytes(keys).subspan(BoxKey::size), recipient.bytes);
    Nonce nonce;
    crypto_generichash(nonce.data(), nonce.size(), keys.data(), keys.size(), nullptr, 0);
    return nonce;
}

} // namespace

BoxKey box_key_of(const BoxSecretKey& secret) noexcept
{
    BoxKey key;
    crypto_scalarmult_base(key.bytes.data(), secret.expose().data());
    return key;
}

Status seal_box(MutableBytes box, const BoxKey& recipient, const BoxSecretKey& ephemeral) noexcept
{
    CHECK(box.size() >= box_seal_overhead_bytes);
    const auto ephemeral_key = box_key_of(ephemeral);
    const auto nonce = nonce_of(ephemeral_key, recipient);
    const auto message = box.subspan(box_seal_overhead_bytes);
    copy_bytes(box, ephemeral_key.bytes);
    if (crypto_box_detached(message.data(), box.data() + BoxKey::size, message.data(), message.size(), nonce.data(),
                            recipient.bytes.data(), ephemeral.expose().data()) != 0) {
        wipe(box);
        return fail(Kind::unauthentic, "the recipient's key is a weak point");
    }
    return {};
}

Result<std::size_t> open_box(MutableBytes message, Bytes box, const BoxKey& own, const BoxSecretKey& secret) noexcept
{
    if (box.size() < box_seal_overhead_bytes) {
        return fail(Kind::truncated, "a sealed box is too short");
    }
    const auto message_size = box.size() - box_seal_overhead_bytes;
    if (message_size > message.size()) {
        return fail(Kind::exhausted, "a sealed box holds too much");
    }
    BoxKey ephemeral_key;
    copy_bytes(ephemeral_key.bytes, box.first(BoxKey::size));
    const auto nonce = nonce_of(ephemeral_key, own);
    const auto sealed = box.subspan(BoxKey::size);
    if (crypto_box_open_easy(message.data(), sealed.data(), sealed.size(), nonce.data(), ephemeral_key.bytes.data(),
                             secret.expose().data()) != 0) {
        return fail(Kind::unauthentic, "a sealed box does not open");
    }
    return message_size;
}

} // namespace caisson::trusted::witness
