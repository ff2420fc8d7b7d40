#include "trusted/curve/boxes.hpp"

#include <sodium.h>

namespace caisson::trusted::curve {

CurveKey public_key_of(const CurveSecretKey& secret) noexcept
{
    CurveKey key;
    crypto_scalarmult_base(key.bytes.data(), secret.expose().data());
    return key;
}

CurveKey make_key_pair(Runtime& runtime, CurveSecretKey& secret) noexcept
{
    runtime.random(secret.expose());
    return public_key_of(secret);
}

Result<SharedKey> shared_key(const CurveKey& theirs, const CurveSecretKey& own) noexcept
{
    SharedKey key;
    if (crypto_box_beforenm(key.expose().data(), theirs.bytes.data(), own.expose().data()) != 0) {
        return fail(Kind::unauthentic, "a public key is a point of low order");
    }
    return key;
}

void seal_box(std::uint8_t* output, Bytes text, const Nonce& nonce, const SharedKey& key) noexcept
{
    crypto_box_easy_afternm(output, text.data(), text.size(), nonce.data(), key.expose().data());
}

Status open_box(std::uint8_t* output, Bytes box, const Nonce& nonce, const SharedKey& key) noexcept
{
    if (box.size() < protocol::curve::tag_bytes) {
        return fail(Kind::truncated, "a box is shorter than its tag");
    }
    if (crypto_box_open_easy_afternm(output, box.data(), box.size(), nonce.data(), key.expose().data()) != 0) {
        return fail(Kind::unauthentic, "a box does not open");
    }
    return {};
}

} // namespace caisson::trusted::curve
