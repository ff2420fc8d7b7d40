#include "protocol/evidence/tpm_credential.hpp"

#include "core/secret.hpp"
#include "core/wire.hpp"
#include "protocol/evidence/openssl_handles.hpp"
#include "protocol/evidence/public_key.hpp"
#include "protocol/evidence/tpm_digest.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

namespace caisson::protocol::evidence {
namespace {

using Buffer = std::vector<std::uint8_t>;

constexpr std::size_t curve_bytes_max = 48;

// Wiped on leaving.
struct SecretBuffer {
    Buffer bytes;

    explicit SecretBuffer(std::size_t size)
        : bytes(size)
    {
    }
    SecretBuffer(const SecretBuffer&) = delete;
    SecretBuffer& operator=(const SecretBuffer&) = delete;
    SecretBuffer(SecretBuffer&&) noexcept = default;
    SecretBuffer& operator=(SecretBuffer&&) noexcept = default;
    ~SecretBuffer() { wipe(bytes); }
};

void append(Buffer& to, Bytes bytes)
{
    to.insert(to.end(), bytes.begin(), bytes.end());
}

void append_be32(Buffer& to, std::uint32_t value)
{
    ByteArray<4> bytes;
    Writer(bytes).write_be(value);
    append(to, bytes);
}

void append_sized(Buffer& to, Bytes bytes)
{
    ByteArray<2> size;
    Writer(size).write_be(static_cast<std::uint16_t>(bytes.size()));
    append(to, size);
    append(to, bytes);
}

// KDFa (part 1, 11.4.10.2): one block is enough for everything here.
SecretBuffer kdfa(std::uint16_t hash, Bytes key, std::string_view label, Bytes context, std::size_t bits)
{
    Buffer message;
    append_be32(message, 1);
    append(message, bytes_of(label));
    message.push_back(0);
    append(message, context);
    append_be32(message, static_cast<std::uint32_t>(bits));
    SecretBuffer block(hash_bytes(hash));
    unsigned size = 0;
    HMAC(digest_of(hash), key.data(), static_cast<int>(key.size()), message.data(), message.size(), block.bytes.data(),
         &size);
    SecretBuffer out(bits / 8);
    copy_bytes(out.bytes, Bytes(block.bytes).first(bits / 8));
    return out;
}

// KDFe (part 1, 11.4.10.3), one block.
SecretBuffer kdfe(std::uint16_t hash, Bytes shared, std::string_view use, Bytes party_u, Bytes party_v)
{
    SecretBuffer message(0);
    append_be32(message.bytes, 1);
    append(message.bytes, shared);
    append(message.bytes, bytes_of(use));
    message.bytes.push_back(0);
    append(message.bytes, party_u);
    append(message.bytes, party_v);
    SecretBuffer out(hash_bytes(hash));
    EVP_Digest(message.bytes.data(), message.bytes.size(), out.bytes.data(), nullptr, digest_of(hash), nullptr);
    return out;
}

struct Seed {
    SecretBuffer seed{0};
    Buffer encrypted; // for the TPM
};

Result<Seed> rsa_seed(const TpmPublic& ek, EVP_PKEY* key)
{
    Seed made;
    made.seed = SecretBuffer(hash_bytes(ek.name_hash));
    const KeyContext context(EVP_PKEY_CTX_new(key, nullptr));
    static constexpr char label[] = "IDENTITY"; // with its zero
    auto* owned_label = static_cast<unsigned char*>(OPENSSL_memdup(label, sizeof label));
    std::size_t size = ek.rsa_modulus.size();
    made.encrypted.resize(size);
    const bool good = RAND_bytes(made.seed.bytes.data(), static_cast<int>(made.seed.bytes.size())) == 1 &&
                      EVP_PKEY_encrypt_init(context.get()) == 1 &&
                      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
                      EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), digest_of(ek.name_hash)) == 1 &&
                      EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), digest_of(ek.name_hash)) == 1 &&
                      EVP_PKEY_CTX_set0_rsa_oaep_label(context.get(), owned_label, sizeof label) == 1 &&
                      EVP_PKEY_encrypt(context.get(), made.encrypted.data(), &size, made.seed.bytes.data(),
                                       made.seed.bytes.size()) == 1;
    if (!good) {
        return fail(Kind::unavailable, "tpm: a credential cannot be encrypted to the endorsement key");
    }
    return made;
}

// A coordinate, as long as the curve's field.
Result<Buffer> coordinate(EVP_PKEY* key, const char* name, std::size_t size)
{
    BIGNUM* number = nullptr;
    Buffer bytes(size);
    const bool good = EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
                      BN_bn2binpad(number, bytes.data(), static_cast<int>(size)) == static_cast<int>(size);
    BN_free(number);
    if (!good) {
        return fail(Kind::unavailable, "tpm: a point of the curve cannot be read");
    }
    return bytes;
}

Result<Seed> ecc_seed(const TpmPublic& ek, EVP_PKEY* key)
{
    const bool p256 = ek.curve == TPM_ECC_NIST_P256;
    const std::size_t size = p256 ? 32 : curve_bytes_max;
    const KeyHandle ephemeral(EVP_EC_gen(p256 ? "P-256" : "P-384"));
    const KeyContext context(EVP_PKEY_CTX_new(ephemeral.get(), nullptr));
    SecretBuffer shared(size);
    std::size_t shared_size = size;
    if (!ephemeral || EVP_PKEY_derive_init(context.get()) != 1 || EVP_PKEY_derive_set_peer(context.get(), key) != 1 ||
        EVP_PKEY_derive(context.get(), shared.bytes.data(), &shared_size) != 1 || shared_size != size) {
        return fail(Kind::unavailable, "tpm: a credential cannot be agreed with the endorsement key");
    }
    const auto x = TRY(coordinate(ephemeral.get(), OSSL_PKEY_PARAM_EC_PUB_X, size));
    const auto y = TRY(coordinate(ephemeral.get(), OSSL_PKEY_PARAM_EC_PUB_Y, size));
    const auto ek_x = TRY(coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, size));
    Seed made;
    made.seed = kdfe(ek.name_hash, shared.bytes, "IDENTITY", x, ek_x);
    append_sized(made.encrypted, x);
    append_sized(made.encrypted, y);
    return made;
}

Result<Buffer> encrypted_identity(const TpmPublic& ek, Bytes seed, Bytes ak_name, const CredentialSecret& secret)
{
    const auto key = kdfa(ek.name_hash, seed, "STORAGE", ak_name, ek.symmetric_bits);
    SecretBuffer plain(0);
    append_sized(plain.bytes, secret);
    Buffer encrypted(plain.bytes.size());
    const std::unique_ptr<EVP_CIPHER_CTX, FreeWith<EVP_CIPHER_CTX_free>> context(EVP_CIPHER_CTX_new());
    const auto* cipher = ek.symmetric_bits == 128 ? EVP_aes_128_cfb128() : EVP_aes_256_cfb128();
    const ByteArray<16> no_iv{}; // the key is used once
    int size = 0;
    if (EVP_EncryptInit_ex(context.get(), cipher, nullptr, key.bytes.data(), no_iv.data()) != 1 ||
        EVP_EncryptUpdate(context.get(), encrypted.data(), &size, plain.bytes.data(),
                          static_cast<int>(plain.bytes.size())) != 1) {
        return fail(Kind::unavailable, "tpm: a credential cannot be encrypted");
    }
    return encrypted;
}

Status expect_endorsement_key(const TpmPublic& ek) noexcept
{
    constexpr auto wanted = object_fixed_tpm | object_fixed_parent | object_restricted | object_decrypt;
    const bool good = (ek.attributes & wanted) == wanted && (ek.attributes & object_sign_encrypt) == 0 &&
                      ek.symmetric == TPM_ALG_AES && (ek.symmetric_bits == 128 || ek.symmetric_bits == 256) &&
                      (ek.name_hash == TPM_ALG_SHA256 || ek.name_hash == TPM_ALG_SHA384);
    return good ? Status() : fail(Kind::unacceptable, "tpm: the endorsement key is no restricted storage key of a TPM");
}

} // namespace

Result<Credential> make_credential(const TpmPublic& ek, Bytes ak_name, const CredentialSecret& secret)
{
    TRY(expect_endorsement_key(ek));
    const auto key = TRY(PublicKey::from_tpm(ek));
    auto seed = ek.type == TPM_ALG_RSA ? TRY(rsa_seed(ek, key.get())) : TRY(ecc_seed(ek, key.get()));
    const auto identity = TRY(encrypted_identity(ek, seed.seed.bytes, ak_name, secret));
    const auto mac_bytes = hash_bytes(ek.name_hash);
    const auto mac_key = kdfa(ek.name_hash, seed.seed.bytes, "INTEGRITY", {}, 8 * mac_bytes);
    Buffer maced = identity;
    append(maced, ak_name);
    Buffer mac(mac_bytes);
    unsigned size = 0;
    HMAC(digest_of(ek.name_hash), mac_key.bytes.data(), static_cast<int>(mac_key.bytes.size()), maced.data(),
         maced.size(), mac.data(), &size);
    Credential credential;
    append_sized(credential.id_object, mac);
    append(credential.id_object, identity);
    credential.encrypted_secret = std::move(seed.encrypted);
    return credential;
}

} // namespace caisson::protocol::evidence
