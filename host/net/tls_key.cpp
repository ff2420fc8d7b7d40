#include "host/net/tls_key.hpp"

#include "core/secret.hpp"

#include <memory>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace caisson::host::net {
namespace {

template <auto Free>
struct Freer {
    template <typename T>
    void operator()(T* object) const noexcept
    {
        Free(object);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Request = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using Memory = std::unique_ptr<BIO, Freer<BIO_free_all>>;

std::vector<std::uint8_t> der_of(int (*encode)(const EVP_PKEY*, unsigned char**), const EVP_PKEY* key)
{
    const int size = encode(key, nullptr);
    std::vector<std::uint8_t> der(size > 0 ? static_cast<std::size_t>(size) : 0);
    auto* place = der.data();
    if (size > 0) {
        encode(key, &place);
    }
    return der;
}

Outcome<Digest> spki_sha256(const EVP_PKEY* key)
{
    const auto der = der_of(i2d_PUBKEY, key);
    Digest digest;
    unsigned int size = 0;
    if (der.empty() || EVP_Digest(der.data(), der.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
        return fault(Kind::malformed, "TLS key: its public half cannot be encoded");
    }
    return digest;
}

Outcome<std::vector<std::uint8_t>> request_for(EVP_PKEY* key, const std::string& common_name)
{
    const Request request(X509_REQ_new());
    auto* const name = request ? X509_REQ_get_subject_name(request.get()) : nullptr;
    const auto* const text = reinterpret_cast<const unsigned char*>(common_name.data());
    if (name == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, text, static_cast<int>(common_name.size()), -1,
                                   0) != 1 ||
        X509_REQ_set_pubkey(request.get(), key) != 1 || X509_REQ_sign(request.get(), key, EVP_sha256()) <= 0) {
        return fault(Kind::malformed,
                     "TLS key: no certificate request can be made for the name \"" + common_name + "\"");
    }
    const int size = i2d_X509_REQ(request.get(), nullptr);
    std::vector<std::uint8_t> der(size > 0 ? static_cast<std::size_t>(size) : 0);
    auto* place = der.data();
    i2d_X509_REQ(request.get(), &place);
    return der;
}

} // namespace

Outcome<TlsKey> make_tls_key(const std::string& common_name)
{
    const Key key(EVP_EC_gen("P-256"));
    const Memory memory(BIO_new(BIO_s_secmem()));
    if (!key || !memory ||
        PEM_write_bio_PKCS8PrivateKey(memory.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
        return fault(Kind::unavailable, "TLS key: OpenSSL made none");
    }
    char* text = nullptr;
    const auto size = BIO_get_mem_data(memory.get(), &text);
    TlsKey made;
    made.pem.assign(text, static_cast<std::size_t>(size));
    made.csr = TRY(request_for(key.get(), common_name));
    made.spki_sha256 = TRY(spki_sha256(key.get()));
    return made;
}

Outcome<Digest> spki_sha256_of_key(const std::string& key_pem)
{
    const Memory memory(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
    const Key key(memory ? PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr) : nullptr);
    if (!key) {
        return fault(Kind::malformed, "TLS key: not a private key in PEM");
    }
    return spki_sha256(key.get());
}

} // namespace caisson::host::net
