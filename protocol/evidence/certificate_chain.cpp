#include "protocol/evidence/certificate_chain.hpp"

#include "protocol/evidence/openssl_handles.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

namespace caisson::protocol::evidence {
namespace {

constexpr std::size_t authorities_max = 512;
constexpr std::size_t authorities_bytes_max = std::size_t{4} << 20U;
constexpr int chain_depth_max = 4;

using Store = std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>>;
using Stack = std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;
using OwnedCrl = std::unique_ptr<X509_CRL, FreeWith<X509_CRL_free>>;

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

} // namespace

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
    auto* authority = issuer.x509();
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
    if (X509_CRL_get0_by_cert(list.get(), &entry, subject.x509()) != 0) {
        return fail(Kind::unauthentic, "a certificate is revoked");
    }
    return {};
}

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
    if (X509_STORE_CTX_init(context.get(), store.get(), x509_.get(), untrusted.get()) != 1) {
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

} // namespace caisson::protocol::evidence
