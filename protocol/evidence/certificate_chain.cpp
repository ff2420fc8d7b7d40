#include "protocol/evidence/certificate_chain.hpp"

#include "protocol/evidence/openssl_handles.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <algorithm>

namespace caisson::protocol::evidence {
namespace {

constexpr std::size_t certificate_bytes_max = 8192;
constexpr std::size_t authorities_max = 512;
constexpr std::size_t authorities_bytes_max = std::size_t{4} << 20U;
constexpr int chain_depth_max = 4;

using Store = std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>>;
using Stack = std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;
using Names = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;

Result<void> read_pem(std::string_view pem, std::vector<std::shared_ptr<X509>>& out)
{
    if (pem.size() > authorities_bytes_max) {
        return fail(Kind::malformed, "certificates: more than 4 MiB of them");
    }
    const BioHandle bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
        out.emplace_back(certificate, X509_free);
        if (out.size() > authorities_max) {
            return fail(Kind::malformed, "certificates: more than 512 of them");
        }
    }
    const auto error = ERR_peek_last_error();
    ERR_clear_error();
    if (ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
        return fail(Kind::malformed, "certificates: one of them is no PEM certificate");
    }
    return {};
}

// EK certificates carry critical extensions of the TCG that OpenSSL does not know (their subject's names): those say
// nothing about the chain, and are passed over in the first certificate alone.
int on_verify(int good, X509_STORE_CTX* context)
{
    const bool foreign_extension = X509_STORE_CTX_get_error(context) == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION &&
                                   X509_STORE_CTX_get_error_depth(context) == 0;
    if (foreign_extension) {
        X509_STORE_CTX_set_error(context, X509_V_OK);
        return 1;
    }
    return good;
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

Result<CertificateAuthorities> CertificateAuthorities::from_pem(std::string_view roots, std::string_view intermediates)
{
    CertificateAuthorities authorities;
    std::vector<std::shared_ptr<X509>> given;
    TRY(read_pem(roots, given));
    for (auto& certificate : given) {
        const bool is_root = X509_self_signed(certificate.get(), 1) == 1;
        (is_root ? authorities.roots_ : authorities.intermediates_).push_back(std::move(certificate));
    }
    TRY(read_pem(intermediates, authorities.intermediates_));
    if (authorities.roots_.empty()) {
        return fail(Kind::malformed, "certificates: there is no self-signed root among them");
    }
    return authorities;
}

Certificate::Certificate(x509_st* owned) noexcept
    : certificate_(owned, X509_free)
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

Status Certificate::verify(const CertificateAuthorities& authorities, std::int64_t unix_seconds) const
{
    const Store store(X509_STORE_new());
    for (const auto& root : authorities.roots_) {
        X509_STORE_add_cert(store.get(), root.get());
    }
    const Stack untrusted(sk_X509_new_null());
    for (const auto& intermediate : authorities.intermediates_) {
        sk_X509_push(untrusted.get(), intermediate.get());
    }
    const StoreContext context(X509_STORE_CTX_new());
    if (X509_STORE_CTX_init(context.get(), store.get(), certificate_.get(), untrusted.get()) != 1) {
        return fail(Kind::unauthentic, "a certificate cannot be verified");
    }
    auto* parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(parameters, static_cast<time_t>(unix_seconds));
    X509_VERIFY_PARAM_set_depth(parameters, chain_depth_max);
    X509_STORE_CTX_set_verify_cb(context.get(), on_verify);
    const bool good = X509_verify_cert(context.get()) == 1;
    const auto error = X509_STORE_CTX_get_error(context.get());
    ERR_clear_error();
    if (good && error == X509_V_OK) {
        return {};
    }
    if (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID) {
        return fail(Kind::expired, "a certificate of the chain is not valid at this time");
    }
    return fail(Kind::unauthentic, "a certificate has no chain to a trusted root");
}

Result<PublicKey> Certificate::public_key() const
{
    KeyHandle key(X509_get_pubkey(certificate_.get()));
    if (!key) {
        key = oaep_key(certificate_.get());
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
    X509_NAME_print_ex(bio.get(), X509_get_issuer_name(certificate_.get()), 0, XN_FLAG_RFC2253);
    char* start = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &start);
    return {start, static_cast<std::size_t>(std::max(size, 0L))};
}

std::string Certificate::alternative_attribute(const char* object_id) const
{
    const std::unique_ptr<ASN1_OBJECT, FreeWith<ASN1_OBJECT_free>> wanted(OBJ_txt2obj(object_id, 1));
    const Names names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate_.get(), NID_subject_alt_name, nullptr, nullptr)));
    for (int index = 0; names && index < sk_GENERAL_NAME_num(names.get()); ++index) {
        const auto* name = sk_GENERAL_NAME_value(names.get(), index);
        if (name->type == GEN_DIRNAME) {
            return text_of_entry(name->d.directoryName, wanted.get());
        }
    }
    return {};
}

} // namespace caisson::protocol::evidence
