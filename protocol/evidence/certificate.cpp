#include "protocol/evidence/certificate.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

namespace caisson::protocol::evidence {
namespace {

template <auto Free>
struct Freed {
    template <typename T>
    void operator()(T* object) const noexcept
    {
        Free(object);
    }
};
using OwnedBio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using OwnedCrl = std::unique_ptr<X509_CRL, Freed<X509_CRL_free>>;
using OwnedKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using OwnedKeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using OwnedDigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using OwnedSignature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;
using OwnedObject = std::unique_ptr<ASN1_OBJECT, Freed<ASN1_OBJECT_free>>;

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
    const OwnedDigestContext context(EVP_MD_CTX_new());
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

} // namespace

struct Certificate::Handle {
    std::unique_ptr<X509, Freed<X509_free>> x509;
};

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
        const OwnedBio bio(BIO_new_mem_buf(one.data(), static_cast<int>(one.size())));
        auto handle = std::make_shared<Handle>();
        handle->x509.reset(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
        // Extensions that must be understood and are not, or that make no sense, are flagged by X509_check_ca's parser.
        constexpr std::uint32_t bad = EXFLAG_INVALID | EXFLAG_CRITICAL;
        if (!handle->x509 || !is_p256(X509_get0_pubkey(handle->x509.get())) ||
            (X509_get_extension_flags(handle->x509.get()) & bad) != 0) {
            return fail(Kind::malformed, "a certificate of the chain is none, or not P-256, or has bad extensions");
        }
        chain.push_back(Certificate(std::move(handle)));
        pem.remove_prefix(stop + end.size());
    }
    return chain;
}

bool Certificate::valid_at(std::int64_t now) const noexcept
{
    auto at = static_cast<std::time_t>(now);
    return X509_cmp_time(X509_get0_notBefore(handle_->x509.get()), &at) == -1 &&
           X509_cmp_time(X509_get0_notAfter(handle_->x509.get()), &at) == 1;
}

bool Certificate::issued_by(const Certificate& issuer) const noexcept
{
    auto* child = handle_->x509.get();
    auto* parent = issuer.handle_->x509.get();
    return X509_get_signature_nid(child) == NID_ecdsa_with_SHA256 &&
           X509_NAME_cmp(X509_get_issuer_name(child), X509_get_subject_name(parent)) == 0 &&
           X509_verify(child, X509_get0_pubkey(parent)) == 1;
}

bool Certificate::is_authority() const noexcept
{
    auto* x509 = handle_->x509.get();
    return (X509_get_extension_flags(x509) & EXFLAG_CA) != 0 && (X509_get_key_usage(x509) & KU_KEY_CERT_SIGN) != 0;
}

std::string Certificate::common_name() const
{
    std::array<char, 128> name{};
    const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(handle_->x509.get()), NID_commonName, name.data(),
                                               static_cast<int>(name.size()));
    return size > 0 ? std::string(name.data(), static_cast<std::size_t>(size)) : std::string();
}

Digest Certificate::public_key_digest() const noexcept
{
    Digest digest{};
    std::uint8_t* der = nullptr;
    const int size = i2d_PUBKEY(X509_get0_pubkey(handle_->x509.get()), &der);
    if (size > 0) {
        SHA256(der, static_cast<std::size_t>(size), digest.data());
    }
    OPENSSL_free(der);
    return digest;
}

Status Certificate::verify(Bytes message, Bytes signature) const noexcept
{
    return verify_with(X509_get0_pubkey(handle_->x509.get()), message, signature);
}

Result<Bytes> Certificate::extension(const char* oid) const noexcept
{
    const OwnedObject object(OBJ_txt2obj(oid, 1));
    auto* x509 = handle_->x509.get();
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

// [EVIDENCE-4] [EVIDENCE-5]
Status verify_chain(const std::vector<Certificate>& chain, std::size_t length, const RootPin& root, std::int64_t now)
{
    if (chain.size() != length || length < 2) {
        return fail(Kind::malformed, "a certificate chain has another length than the vendor's");
    }
    if (chain.back().public_key_digest() != root) {
        return fail(Kind::unauthentic, "a certificate chain ends at another root than the pinned one");
    }
    if (chain.front().is_authority()) {
        return fail(Kind::unauthentic, "the certificate of a key that signs evidence is an authority's");
    }
    for (std::size_t index = 0; index < length; ++index) {
        const auto& issuer = chain[std::min(index + 1, length - 1)];
        if (!issuer.is_authority() || !chain[index].issued_by(issuer)) {
            return fail(Kind::unauthentic, "a certificate was not issued by the next one of its chain");
        }
        if (!chain[index].valid_at(now)) {
            return fail(Kind::expired, "a certificate of the chain is not valid at this time");
        }
    }
    return {};
}

// [EVIDENCE-7]
Status verify_not_revoked(Bytes crl, const Certificate& issuer, const Certificate& subject, std::int64_t now)
{
    if (crl.size() > crl_bytes_max) {
        return fail(Kind::exhausted, "a CRL is longer than any that is used");
    }
    const auto* at = crl.data();
    const OwnedCrl list(d2i_X509_CRL(nullptr, &at, static_cast<long>(crl.size())));
    if (!list || at != crl.data() + crl.size()) {
        return fail(Kind::malformed, "a CRL is no DER CRL");
    }
    auto* authority = issuer.handle().x509.get();
    if (X509_NAME_cmp(X509_CRL_get_issuer(list.get()), X509_get_subject_name(authority)) != 0 ||
        X509_CRL_verify(list.get(), X509_get0_pubkey(authority)) != 1) {
        return fail(Kind::unauthentic, "a CRL is not by the authority that issued the certificate");
    }
    auto time = static_cast<std::time_t>(now);
    const auto* next = X509_CRL_get0_nextUpdate(list.get());
    if (X509_cmp_time(X509_CRL_get0_lastUpdate(list.get()), &time) != -1 || next == nullptr ||
        X509_cmp_time(next, &time) != 1) {
        return fail(Kind::expired, "a CRL is not in force at this time");
    }
    X509_REVOKED* entry = nullptr;
    if (X509_CRL_get0_by_cert(list.get(), &entry, subject.handle().x509.get()) != 0) {
        return fail(Kind::unauthentic, "a certificate is revoked");
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
    const OwnedKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* raw = nullptr;
    if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, const_cast<OSSL_PARAM*>(parameters.data())) != 1) {
        return fail(Kind::malformed, "a public key is no point of P-256");
    }
    const OwnedKey key(raw);
    return verify_with(key.get(), message, signature);
}

} // namespace caisson::protocol::evidence
