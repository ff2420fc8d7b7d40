#include "shim/raw_keys.hpp"

#include "airlock/ring_place.hpp"

#include <cstdlib>
#include <string_view>

#include <sodium/crypto_box_curve25519xsalsa20poly1305.h>
#include <sodium/crypto_scalarmult_curve25519.h>
#include <sodium/crypto_secretbox.h>
#include <sodium/utils.h>

namespace caisson::shim {
namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::size_t nonce_bytes = 24;

constinit bool allowed = false;

bool begins_with(const unsigned char* nonce, std::string_view prefix) noexcept
{
    return text_of(Bytes(nonce, nonce_bytes).first(prefix.size())) == prefix;
}

// The key of the box, wiped when it goes.
class PairKey {
  public:
    explicit PairKey(const RawKeys& keys) noexcept
    {
        if (keys.public_key != nullptr) {
            good_ = raw_shared_key(bytes_.data(), keys.public_key, keys.key) == 0;
        } else {
            copy_bytes(bytes_, {keys.key, key_bytes});
        }
    }
    ~PairKey() { ::sodium_memzero(bytes_.data(), bytes_.size()); }
    PairKey(const PairKey&) = delete;
    PairKey& operator=(const PairKey&) = delete;

    [[nodiscard]] bool good() const noexcept { return good_; }
    [[nodiscard]] const unsigned char* data() const noexcept { return bytes_.data(); }

  private:
    ByteArray<key_bytes> bytes_{};
    bool good_ = true;
};

} // namespace

bool raw_keys_allowed() noexcept
{
    return allowed;
}

void read_whether_raw_keys_are_allowed() noexcept
{
    const char* text = std::getenv(airlock::raw_keys_variable);
    allowed = text != nullptr && std::string_view(text) == "1";
}

NonceUse nonce_use(const unsigned char* nonce) noexcept
{
    if (begins_with(nonce, "CurveZMQHELLO---") || begins_with(nonce, "WELCOME-") || begins_with(nonce, "VOUCH---")) {
        return NonceUse::long_term;
    }
    return begins_with(nonce, "CurveZMQ") || begins_with(nonce, "COOKIE--") ? NonceUse::other_curve : NonceUse::none;
}

int raw_public_key(unsigned char* public_key, const unsigned char* secret) noexcept
{
    return ::crypto_scalarmult_curve25519_base(public_key, secret);
}

int raw_shared_key(unsigned char* shared, const unsigned char* public_key, const unsigned char* secret) noexcept
{
    return ::crypto_box_curve25519xsalsa20poly1305_beforenm(shared, public_key, secret);
}

int raw_seal(unsigned char* tag, unsigned char* ciphertext, Bytes message, const unsigned char* nonce,
             const RawKeys& keys) noexcept
{
    const PairKey key(keys);
    return key.good() ? ::crypto_secretbox_detached(ciphertext, tag, message.data(), message.size(), nonce, key.data())
                      : -1;
}

int raw_open(unsigned char* message, const unsigned char* tag, Bytes ciphertext, const unsigned char* nonce,
             const RawKeys& keys) noexcept
{
    const PairKey key(keys);
    return key.good()
               ? ::crypto_secretbox_open_detached(message, ciphertext.data(), tag, ciphertext.size(), nonce, key.data())
               : -1;
}

} // namespace caisson::shim
