#include "trusted/curve/key_table.hpp"

#include "core/crypto/constant_time.hpp"
#include "core/wire.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::trusted::curve {
namespace {

constexpr std::string_view seal_context = "caisson curve key v1";
constexpr std::string_view handle_domain = "caisson handle v1";
// version, flags, verifier, secret, public; and, in version 2, whose access list counts
constexpr std::uint32_t version = 1;
constexpr std::uint32_t listed_version = 2;
constexpr std::size_t sealed_content_bytes = 4 + 4 + 32 + 32 + 32;
constexpr std::size_t listed_content_bytes = sealed_content_bytes + 32;
struct ContentTag;
using Content = Secret<listed_content_bytes, ContentTag>;

static_assert(listed_content_bytes + seal_overhead_bytes <= airlock::curve::sealed_key_bytes_max);

} // namespace

std::uint32_t flags_of(const LongTermKey& key) noexcept
{
    return (key.gated ? airlock::curve::key_gated : 0U) | (key.listed ? airlock::curve::key_listed : 0U);
}

Handle handle_of(const CurveKey& public_key) noexcept
{
    ByteArray<handle_domain.size() + CurveKey::size> input;
    copy_bytes(input, bytes_of(handle_domain));
    copy_bytes(MutableBytes(input).subspan(handle_domain.size()), public_key.bytes);
    Handle handle;
    crypto_generichash(handle.bytes.data(), handle.bytes.size(), input.data(), input.size(), nullptr, 0);
    return handle;
}

// [CURVE-3] [CURVE-60] Verifier and list signer are sealed with the key: a host that swaps them loses the key.
Result<std::size_t> seal_key(Runtime& runtime, const LongTermKey& key, MutableBytes output) noexcept
{
    Content content;
    Writer writer(content.expose());
    writer.write_le(key.listed ? listed_version : version);
    writer.write_le(flags_of(key));
    writer.write_bytes(key.verifier.bytes);
    writer.write_bytes(key.secret.expose());
    writer.write_bytes(key.public_key.bytes);
    if (key.listed) {
        writer.write_bytes(key.list_signer.bytes);
    }
    const auto size = TRY(writer.finish());
    return runtime.seal(SealPolicy::mrsigner, bytes_of(seal_context), Bytes(content.expose()).first(size), output);
}

Status unseal_key(Runtime& runtime, Bytes sealed, LongTermKey& key) noexcept
{
    Content content;
    const auto size = TRY(runtime.unseal(bytes_of(seal_context), sealed, content.expose(), OlderCopy::refused));
    Reader reader(Bytes(content.expose()).first(size));
    const auto found_version = TRY(reader.read_le<std::uint32_t>());
    const auto flags = TRY(reader.read_le<std::uint32_t>());
    key.gated = (flags & airlock::curve::key_gated) != 0;
    key.listed = (flags & airlock::curve::key_listed) != 0;
    if (found_version != (key.listed ? listed_version : version) || flags != flags_of(key)) {
        return fail(Kind::malformed, "a sealed key has an unknown version or flags");
    }
    key.verifier.bytes = TRY(reader.read_array<32>());
    const auto secret = TRY(reader.read_bytes(CurveSecretKey::size));
    copy_bytes(key.secret.expose(), secret);
    key.public_key.bytes = TRY(reader.read_array<32>());
    if (key.listed) {
        key.list_signer.bytes = TRY(reader.read_array<32>());
    }
    TRY(reader.finish());
    if (public_key_of(key.secret) != key.public_key) {
        return fail(Kind::unauthentic, "a sealed key does not fit its public key");
    }
    key.handle = handle_of(key.public_key);
    return {};
}

Result<LongTermKey*> KeyTable::add(LongTermKey&& key) noexcept
{
    if (auto* known = find(key.public_key); known != nullptr) {
        if (flags_of(*known) != flags_of(key) || known->verifier != key.verifier ||
            known->list_signer != key.list_signer) {
            return fail(Kind::conflict, "the key is loaded already with another gate");
        }
        return known;
    }
    for (auto& place : keys_) {
        if (place.id == 0) {
            place = std::move(key);
            place.id = next_id_++;
            return &place;
        }
    }
    return fail(Kind::exhausted, "the chamber holds as many keys as it can");
}

Result<LongTermKey*> KeyTable::find(std::uint32_t id) noexcept
{
    for (auto& key : keys_) {
        if (id != 0 && key.id == id) {
            return &key;
        }
    }
    return fail(Kind::missing, "there is no such key in the chamber");
}

LongTermKey* KeyTable::find(const Handle& handle) noexcept
{
    const auto found =
        std::find_if(keys_.begin(), keys_.end(), [&](const auto& key) { return key.id != 0 && key.handle == handle; });
    return found == keys_.end() ? nullptr : &*found;
}

LongTermKey* KeyTable::find(const CurveKey& public_key) noexcept
{
    const auto found = std::find_if(keys_.begin(), keys_.end(),
                                    [&](const auto& key) { return key.id != 0 && key.public_key == public_key; });
    return found == keys_.end() ? nullptr : &*found;
}

void KeyTable::remove(LongTermKey& key) noexcept
{
    key = LongTermKey{};
}

} // namespace caisson::trusted::curve
