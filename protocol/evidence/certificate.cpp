#include "protocol/evidence/certificate.hpp"

#include "protocol/evidence/openssl_handles.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

namespace caisson::protocol::evidence {
namespace {

using Names = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;
using OwnedSignature = std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>>;
using OwnedObject = std::unique_ptr<ASN1_OBJECT, FreeWith<ASN1_OBJECT_free>>;

constexpr std::size_t scalar_bytes = 32;
constexpr std::size_t point_bytes = 64;

bool is_p256(const EVP_PKEY* key) noexcept
{
    std::array<char, 64> group{};
    std::size_t size = 0;
    return key != nullptr && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
           EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &size) == 1 &&
           std::string_view(group.data(), size) == "prime256v1";
}

Status verify_with(EVP_PKEY* key, Bytes message, Bytes signature) noexcept
{
    if (signature.size() != 2 * scalar_bytes || !is_p256(key)) {
        return fail(Kind::malformed, "an ECDSA P-256 signature has 64 bytes");
    }
    const OwnedSignature parts(ECDSA_SIG_new());
    BIGNUM* r = BN_bin2bn(signature.data(), scalar_bytes, nullptr);
    BIGNUM* s = BN_bin2bn(signature.data() + scalar_bytes, scalar_bytes, nullptr);
    if (!parts || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return fail(Kind::unavailable, "OpenSSL has no memory");
    }
    std::array<std::uint8_t, 80> der{};
    auto* end = der.data();
    const int size = i2d_ECDSA_SIG(parts.get(), &end);
    const DigestContext context(EVP_MD_CTX_new());
    if (size <= 0 || EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1 ||
        EVP_DigestVerify(context.get(), der.data(), static_cast<std::size_t>(size), message.data(), message.size()) !=
            1) {
        return fail(Kind::unauthentic, "a signature does not verify");
    }
    return {};
}

bool only_blanks(std::string_view text) noexcept
{
    return std::all_of(text.begin(), text.end(),
                       [](char letter) { return letter == '\0' || letter == '\n' || letter == '\r' || letter == ' '; });
}

// Some makers mark the key as RSAES-OAEP, which OpenSSL reads no key from: the key inside is plain PKCS #1.
KeyHandle oaep_key(X509* certificate)
{
    const unsigned char* bits = nullptr;
    int size = 0;
    ASN1_OBJECT* algorithm = nullptr;
    if (X509_PUBKEY_get0_param(&algorithm, &bits, &size, nullptr, X509_get_X509_PUBKEY(certificate)) != 1 ||
        OBJ_obj2nid(algorithm) != NID_rsaesOaep) {
        return nullptr;
    }
    return KeyHandle(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &bits, size));
}

std::string text_of_entry(X509_NAME* name, const ASN1_OBJECT* wanted)
{
    const int at = X509_NAME_get_index_by_OBJ(name, wanted, -1);
    const auto* value = at < 0 ? nullptr : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    if (value == nullptr) {
        return {};
    }
    unsigned char* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, value);
    std::string found(reinterpret_cast<const char*>(text), static_cast<std::size_t>(std::max(size, 0)));
    OPENSSL_free(text);
    return found;
}

} // namespace

Certificate::Certificate(x509_st* owned) noexcept
    : x509_(owned, X509_free)
{
}

Result<Certificate> Certificate::from_der(Bytes der)
{
    if (der.size() > certificate_bytes_max) {
        return fail(Kind::malformed, "a certificate is too long");
    }
    const auto* at = der.data();
    CertificateHandle certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
    const auto used = static_cast<std::size_t>(at - der.data());
    if (!certificate || !std::ranges::all_of(der.subspan(used), [](std::uint8_t byte) { return byte == 0; })) {
        ERR_clear_error();
        return fail(Kind::malformed, "a certificate is not DER");
    }
    return Certificate(certificate.release());
}

Result<std::vector<Certificate>> Certificate::read_chain(std::string_view pem)
{
    constexpr std::string_view begin = "-----BEGIN CERTIFICATE-----";
    constexpr std::string_view end = "-----END CERTIFICATE-----";
    if (pem.size() > chain_bytes_max) {
        return fail(Kind::exhausted, "a certificate chain is longer than any that is used");
    }
    std::vector<Certificate> chain;
    while (!only_blanks(pem)) {
        const auto start = pem.find(begin);
        const auto stop = pem.find(end);
        if (start == std::string_view::npos || stop == std::string_view::npos || stop < start ||
            !only_blanks(pem.substr(0, start)) || chain.size() == chain_certificates_max) {
            return fail(Kind::malformed, "a certificate chain is not PEM certificates alone");
        }
        const auto one = pem.substr(start, stop + end.size() - start);
        const BioHandle bio(BIO_new_mem_buf(one.data(), static_cast<int>(one.size())));
        CertificateHandle x509(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
        // Extensions that must be understood and are not, or that make no sense, are flagged by X509_check_ca's parser.
        constexpr std::uint32_t bad = EXFLAG_INVALID | EXFLAG_CRITICAL;
        if (!x509 || !is_p256(X509_get0_pubkey(x509.get())) || (X509_get_extension_flags(x509.get()) & bad) != 0) {
            return fail(Kind::malformed, "a certificate of the chain is none, or not P-256, or has bad extensions");
        }
        chain.push_back(Certificate(x509.release()));
        pem.remove_prefix(stop + end.size());
    }
    return chain;
}

bool Certificate::valid_at(std::int64_t now) const noexcept
{
    auto at = static_cast<std::time_t>(now);
    return X509_cmp_time(X509_get0_notBefore(x509_.get()), &at) == -1 &&
           X509_cmp_time(X509_get0_notAfter(x509_.get()), &at) == 1;
}

bool Certificate::issued_by(const Certificate& issuer) const noexcept
{
    auto* child = x509_.get();
    auto* parent = issuer.x509_.get();
    return X509_get_signature_nid(child) == NID_ecdsa_with_SHA256 &&
           X509_NAME_cmp(X509_get_issuer_name(child), X509_get_subject_name(parent)) == 0 &&
           X509_verify(child, X509_get0_pubkey(parent)) == 1;
}

bool Certificate::is_authority() const noexcept
{
    auto* x509 = x509_.get();
    return (X509_get_extension_flags(x509) & EXFLAG_CA) != 0 && (X509_get_key_usage(x509) & KU_KEY_CERT_SIGN) != 0;
}

std::string Certificate::common_name() const
{
    std::array<char, 128> name{};
    const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(x509_.get()), NID_commonName, name.data(),
                                               static_cast<int>(name.size()));
    return size > 0 ? std::string(name.data(), static_cast<std::size_t>(size)) : std::string();
}

Digest Certificate::public_key_digest() const noexcept
{
    Digest digest{};
    std::uint8_t* der = nullptr;
    const int size = i2d_PUBKEY(X509_get0_pubkey(x509_.get()), &der);
    if (size > 0) {
        SHA256(der, static_cast<std::size_t>(size), digest.data());
    }
    OPENSSL_free(der);
    return digest;
}

Status Certificate::verify(Bytes message, Bytes signature) const noexcept
{
    return verify_with(X509_get0_pubkey(x509_.get()), message, signature);
}

Result<Bytes> Certificate::extension(const char* oid) const noexcept
{
    const OwnedObject object(OBJ_txt2obj(oid, 1));
    auto* x509 = x509_.get();
    const int index = X509_get_ext_by_OBJ(x509, object.get(), -1);
    if (index < 0) {
        return fail(Kind::missing, "a certificate has no such extension");
    }
    if (X509_get_ext_by_OBJ(x509, object.get(), index) >= 0) {
        return fail(Kind::malformed, "a certificate has an extension twice");
    }
    const auto* content = X509_EXTENSION_get_data(X509_get_ext(x509, index));
    return Bytes(ASN1_STRING_get0_data(content), static_cast<std::size_t>(ASN1_STRING_length(content)));
}

Result<PublicKey> Certificate::public_key() const
{
    KeyHandle key(X509_get_pubkey(x509_.get()));
    if (!key) {
        key = oaep_key(x509_.get());
    }
    ERR_clear_error();
    if (!key) {
        return fail(Kind::malformed, "a certificate is for a key of an unknown kind");
    }
    return PublicKey(key.release());
}

std::string Certificate::issuer() const
{
    const BioHandle bio(BIO_new(BIO_s_mem()));
    X509_NAME_print_ex(bio.get(), X509_get_issuer_name(x509_.get()), 0, XN_FLAG_RFC2253);
    char* start = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &start);
    return {start, static_cast<std::size_t>(std::max(size, 0L))};
}

std::string Certificate::alternative_attribute(const char* object_id) const
{
    const OwnedObject wanted(OBJ_txt2obj(object_id, 1));
    const Names names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x509_.get(), NID_subject_alt_name, nullptr, nullptr)));
    for (int index = 0; names && index < sk_GENERAL_NAME_num(names.get()); ++index) {
        const auto* name = sk_GENERAL_NAME_value(names.get(), index);
        if (name->type == GEN_DIRNAME) {
            return text_of_entry(name->d.directoryName, wanted.get());
        }
    }
    return {};
}

Status verify_p256(Bytes point, Bytes message, Bytes signature) noexcept
{
    if (point.size() != point_bytes) {
        return fail(Kind::malformed, "a P-256 public key has 64 bytes");
    }
    std::array<std::uint8_t, 1 + point_bytes> encoded{4}; // uncompressed
    copy_bytes(MutableBytes(encoded).subspan(1), point);
    std::array<char, 11> group{"prime256v1"};
    const std::array<OSSL_PARAM, 3> parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, encoded.data(), encoded.size()),
        OSSL_PARAM_construct_end()};
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* raw = nullptr;
    if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, const_cast<OSSL_PARAM*>(parameters.data())) != 1) {
        return fail(Kind::malformed, "a public key is no point of P-256");
    }
    const KeyHandle key(raw);
    return verify_with(key.get(), message, signature);
}

} // namespace caisson::protocol::evidence
