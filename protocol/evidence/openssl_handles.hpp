// OpenSSL's objects as values that free themselves: for protocol/evidence alone.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>

namespace caisson::protocol::evidence {

template <auto Function>
struct FreeWith {
    template <typename T>
    void operator()(T* object) const
    {
        Function(object);
    }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;
using CertificateHandle = std::unique_ptr<X509, FreeWith<X509_free>>;
using BioHandle = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using NumberHandle = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;

} // namespace caisson::protocol::evidence
