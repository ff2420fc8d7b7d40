#include "protocol/evidence/public_key.hpp"

#include "protocol/evidence/openssl_handles.hpp"
#include "protocol/evidence/tpm_digest.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace caisson::protocol::evidence {
namespace {

constexpr std::size_t pem_bytes_max = 8192;
constexpr int rsa_bits_min = 2048;
constexpr std::uint32_t rsa_default_exponent = 65537;

using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>>;

KeyHandle key_from(const char* algorithm, OSSL_PARAM_BLD* builder)
{
    const Params params(OSSL_PARAM_BLD_to_param(builder));
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr));
    EVP_PKEY* key = nullptr;
    if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
        return nullptr;
    }
    return KeyHandle(key);
}

KeyHandle rsa_key(const TpmPublic& key)
{
    const NumberHandle modulus(BN_bin2bn(key.rsa_modulus.data(), static_cast<int>(key.rsa_modulus.size()), nullptr));
    const NumberHandle exponent(BN_new());
    BN_set_word(exponent.get(), key.rsa_exponent == 0 ? rsa_default_exponent : key.rsa_exponent);
    const ParamBuilder builder(OSSL_PARAM_BLD_new());
    OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
    OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
    return key_from("RSA", builder.get());
}

// The point is checked to lie on its curve when it is taken in.
KeyHandle ecc_key(const TpmPublic& key)
{
    const std::size_t size = key.curve == TPM_ECC_NIST_P256 ? 32 : key.curve == TPM_ECC_NIST_P384 ? 48 : 0;
    if (size == 0 || key.x.size() > size || key.y.size() > size) {
        return nullptr;
    }
    ByteArray<1 + 2 * 48> point{};
    point[0] = 4; // uncompressed
    copy_bytes(MutableBytes(point).subspan(1 + size - key.x.size()), key.x);
    copy_bytes(MutableBytes(point).subspan(1 + 2 * size - key.y.size()), key.y);
    const ParamBuilder builder(OSSL_PARAM_BLD_new());
    const char* group = key.curve == TPM_ECC_NIST_P256 ? "P-256" : "P-384";
    OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), 1 + 2 * size);
    return key_from("EC", builder.get());
}

// r and s as DER, which OpenSSL verifies.
std::vector<std::uint8_t> ecdsa_der(const TpmSignature& signature)
{
    const std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>> pair(ECDSA_SIG_new());
    BIGNUM* r = BN_bin2bn(signature.r.data(), static_cast<int>(signature.r.size()), nullptr);
    BIGNUM* s = BN_bin2bn(signature.s.data(), static_cast<int>(signature.s.size()), nullptr);
    ECDSA_SIG_set0(pair.get(), r, s);
    unsigned char* encoded = nullptr;
    const int size = i2d_ECDSA_SIG(pair.get(), &encoded);
    std::vector<std::uint8_t> der(encoded, encoded + std::max(size, 0));
    OPENSSL_free(encoded);
    return der;
}

bool verifies(EVP_PKEY* key, const TpmSignature& signature, Bytes message)
{
    const auto* digest = digest_of(signature.hash);
    const bool wants_ecc = signature.scheme == TPM_ALG_ECDSA;
    if (digest == nullptr || EVP_PKEY_is_a(key, wants_ecc ? "EC" : "RSA") != 1) {
        return false;
    }
    const DigestContext context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* key_context = nullptr; // owned by `context`
    if (EVP_DigestVerifyInit(context.get(), &key_context, digest, nullptr, key) != 1) {
        return false;
    }
    if (signature.scheme == TPM_ALG_RSAPSS &&
        (EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) != 1 ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_AUTO) != 1)) {
        return false;
    }
    const auto encoded =
        wants_ecc ? ecdsa_der(signature) : std::vector<std::uint8_t>(signature.rsa.begin(), signature.rsa.end());
    return EVP_DigestVerify(context.get(), encoded.data(), encoded.size(), message.data(), message.size()) == 1;
}

bool is_acceptable(EVP_PKEY* key)
{
    if (EVP_PKEY_is_a(key, "RSA") == 1) {
        return EVP_PKEY_get_bits(key) >= rsa_bits_min;
    }
    char group[32] = {};
    return EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) == 1 &&
           (std::string_view(group) == "prime256v1" || std::string_view(group) == "secp384r1");
}

} // namespace

PublicKey::PublicKey(evp_pkey_st* owned) noexcept
    : key_(owned, EVP_PKEY_free)
{
}

Result<PublicKey> PublicKey::from_pem(std::string_view pem)
{
    if (pem.size() > pem_bytes_max) {
        return fail(Kind::malformed, "a public key in PEM is too long");
    }
    const BioHandle bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    KeyHandle key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
    if (!key || !is_acceptable(key.get())) {
        return fail(Kind::malformed, "a public key in PEM is no RSA (2048 bits or more), P-256 or P-384 key");
    }
    return PublicKey(key.release());
}

Result<PublicKey> PublicKey::from_tpm(const TpmPublic& area)
{
    auto key = area.type == TPM_ALG_RSA ? rsa_key(area) : ecc_key(area);
    if (!key || !is_acceptable(key.get())) {
        return fail(Kind::malformed, "tpm: a public area holds no RSA (2048 bits or more), P-256 or P-384 key");
    }
    return PublicKey(key.release());
}

Status PublicKey::verify(const TpmSignature& signature, Bytes message) const
{
    return verifies(key_.get(), signature, message)
               ? Status()
               : fail(Kind::unauthentic, "tpm: signature: not made by this key over this message");
}

bool PublicKey::operator==(const PublicKey& other) const noexcept
{
    return EVP_PKEY_eq(key_.get(), other.key_.get()) == 1;
}

} // namespace caisson::protocol::evidence
