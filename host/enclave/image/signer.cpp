#include "host/enclave/image/builder.hpp"
#include "host/enclave/image/sigstruct.hpp"
#include "host/store/durable_file.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cerrno>

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::rsa_bytes;
using protocol::sgx::Sigstruct;

constexpr unsigned key_bits = 3072;
constexpr std::uint32_t signature_date = 0x20260101; // fixed: the signature of one image is always the same

struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    void operator()(BIGNUM* number) const { BN_free(number); }
    void operator()(BN_CTX* context) const { BN_CTX_free(context); }
    void operator()(BIO* bio) const { BIO_free(bio); }
    void operator()(std::FILE* file) const { std::fclose(file); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIGNUM> number_of(const ByteArray<rsa_bytes>& bytes)
{
    return Owned<BIGNUM>(BN_lebin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
}

void write_number(ByteArray<rsa_bytes>& bytes, const BIGNUM* number)
{
    BN_bn2lebinpad(number, bytes.data(), static_cast<int>(bytes.size()));
}

// q1 = s^2 / n and q2 = s (s^2 mod n) / n: what lets the CPU verify without dividing.
void write_quotients(Sigstruct& sigstruct, const BIGNUM* modulus)
{
    const Owned<BN_CTX> context(BN_CTX_new());
    const auto signature = number_of(sigstruct.signature);
    const Owned<BIGNUM> value(BN_new());
    const Owned<BIGNUM> quotient(BN_new());
    const Owned<BIGNUM> rest(BN_new());
    BN_sqr(value.get(), signature.get(), context.get());
    BN_div(quotient.get(), rest.get(), value.get(), modulus, context.get());
    write_number(sigstruct.q1, quotient.get());
    BN_mul(value.get(), rest.get(), signature.get(), context.get());
    BN_div(quotient.get(), rest.get(), value.get(), modulus, context.get());
    write_number(sigstruct.q2, quotient.get());
}

Sigstruct unsigned_sigstruct(const Digest& mrenclave, const Identity& identity)
{
    Sigstruct sigstruct{};
    sigstruct.header = protocol::sgx::SIGSTRUCT_HEADER;
    sigstruct.header2 = protocol::sgx::SIGSTRUCT_HEADER2;
    sigstruct.date = signature_date;
    sigstruct.attributes.flags =
        protocol::sgx::ATTRIBUTES_MODE64BIT | (identity.debug ? protocol::sgx::ATTRIBUTES_DEBUG : 0);
    sigstruct.attributes.xfrm = protocol::sgx::XFRM_LEGACY;
    // Every flag but INIT is fixed; of XFRM only x87 and SSE, so that AVX state may be on or off.
    sigstruct.attribute_mask.flags = ~protocol::sgx::ATTRIBUTES_INIT;
    sigstruct.attribute_mask.xfrm = protocol::sgx::XFRM_LEGACY;
    sigstruct.miscmask = ~std::uint32_t{0};
    sigstruct.enclave_hash = mrenclave;
    sigstruct.isv_prod_id = identity.product;
    sigstruct.isv_svn = identity.svn;
    sigstruct.exponent = 3;
    return sigstruct;
}

} // namespace

struct Signer::Key {
    Owned<EVP_PKEY> key;
    Owned<BIGNUM> modulus;
};

Outcome<Signer> Signer::open(const std::filesystem::path& path)
{
    const Owned<std::FILE> file(std::fopen(path.c_str(), "re"));
    if (!file) {
        return std::unexpected(system_fault("opening the signing key " + path.string(), errno));
    }
    auto key = std::make_shared<Key>();
    key->key.reset(PEM_read_PrivateKey(file.get(), nullptr, nullptr, nullptr));
    BIGNUM* modulus = nullptr;
    BIGNUM* exponent = nullptr;
    if (key->key) {
        EVP_PKEY_get_bn_param(key->key.get(), OSSL_PKEY_PARAM_RSA_N, &modulus);
        EVP_PKEY_get_bn_param(key->key.get(), OSSL_PKEY_PARAM_RSA_E, &exponent);
    }
    key->modulus.reset(modulus);
    const Owned<BIGNUM> owned_exponent(exponent);
    if (modulus == nullptr || exponent == nullptr || BN_num_bytes(modulus) != static_cast<int>(rsa_bytes) ||
        !BN_is_word(exponent, 3)) {
        return fault(Kind::malformed, path.string() +
                                          ": an RSA private key of 3072 bits with exponent 3 is expected, as "
                                          "PEM; one is made by: openssl genrsa -3 -out signer.pem 3072");
    }
    return Signer(std::move(key));
}

Outcome<Signer> Signer::create(const std::filesystem::path& path)
{
    const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nullptr));
    const Owned<BIGNUM> exponent(BN_new());
    BN_set_word(exponent.get(), 3);
    EVP_PKEY* raw = nullptr;
    if (EVP_PKEY_keygen_init(context.get()) != 1 || EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), key_bits) != 1 ||
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), exponent.get()) != 1 ||
        EVP_PKEY_generate(context.get(), &raw) != 1) {
        return fault(Kind::unavailable, "OpenSSL could not make an RSA-3072 key");
    }
    const Owned<EVP_PKEY> key(raw);
    const Owned<BIO> pem(BIO_new(BIO_s_secmem()));
    const char* text = nullptr;
    if (PEM_write_bio_PrivateKey(pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
        return fault(Kind::unavailable, "OpenSSL could not write the signing key");
    }
    const auto size = BIO_get_mem_data(pem.get(), &text);
    const Bytes content(reinterpret_cast<const std::uint8_t*>(text), static_cast<std::size_t>(size));
    TRY(store::store_file(path, content, 0600, store::Existing::keep));
    return open(path);
}

Outcome<Sigstruct> Signer::sign(const Digest& mrenclave, const Identity& identity) const
{
    auto sigstruct = unsigned_sigstruct(mrenclave, identity);
    write_number(sigstruct.modulus, key_->modulus.get());
    ByteArray<2 * signed_part_bytes> message;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&sigstruct);
    copy_bytes(message, {bytes, signed_part_bytes});
    copy_bytes(MutableBytes(message).subspan(signed_part_bytes), {bytes + second_part_offset, signed_part_bytes});
    const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
    ByteArray<rsa_bytes> signature;
    std::size_t size = signature.size();
    if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_->key.get()) != 1 ||
        EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1 ||
        size != signature.size()) {
        return fault(Kind::unavailable, "OpenSSL could not sign the enclave");
    }
    std::reverse_copy(signature.begin(), signature.end(), sigstruct.signature.begin());
    write_quotients(sigstruct, key_->modulus.get());
    TRY(verify_sigstruct(sigstruct));
    return sigstruct;
}

} // namespace caisson::host::enclave::image
