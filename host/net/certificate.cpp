#include "host/net/certificate.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <memory>

namespace caisson::host::net {
namespace {

constexpr long certificate_seconds = 10L * 365 * 24 * 3600;
constexpr long backdate_seconds = 3600; // clocks differ

template <auto Function>
struct FreeWith {
    template <typename T>
    void operator()(T* object) const
    {
        Function(object);
    }
};
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using Request = std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, FreeWith<X509_EXTENSION_free>>;

std::unexpected<Fault> openssl_fault(const char* doing)
{
    return fault(Kind::unavailable, std::string(doing) + ": OpenSSL refuses");
}

Bio reader_of(std::string_view text)
{
    return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_in(BIO* bio)
{
    char* start = nullptr;
    const long size = BIO_get_mem_data(bio, &start);
    return {start, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* certificate)
{
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate);
    return text_in(bio.get());
}

std::string pem_of(EVP_PKEY* key)
{
    const Bio bio(BIO_new(BIO_s_secmem()));
    PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return text_in(bio.get());
}

Key new_key()
{
    return Key(EVP_EC_gen("P-256"));
}

bool add_extension(X509* certificate, X509* issuer, int kind, const std::string& value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_random_serial(X509* certificate)
{
    ByteArray<16> serial;
    if (RAND_bytes(serial.data(), serial.size()) != 1) {
        return false;
    }
    serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7fU) | 0x40U);
    BIGNUM* number = BN_bin2bn(serial.data(), serial.size(), nullptr);
    const bool set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
    BN_free(number);
    return set;
}

struct Wish {
    std::string name;
    std::string constraints;       // basicConstraints
    std::string usage;             // keyUsage
    std::string extended;          // extendedKeyUsage, empty for none
    std::string alternative_names; // subjectAltName, empty for none
};

// `issuer` null: signed by itself.
Certificate certify(EVP_PKEY* subject_key, const Wish& wish, X509* issuer, EVP_PKEY* issuer_key)
{
    Certificate certificate(X509_new());
    auto* x509 = certificate.get();
    X509* signer = issuer != nullptr ? issuer : x509;
    bool good = X509_set_version(x509, X509_VERSION_3) == 1 && set_random_serial(x509);
    X509_gmtime_adj(X509_getm_notBefore(x509), -backdate_seconds);
    X509_gmtime_adj(X509_getm_notAfter(x509), certificate_seconds);
    const auto* name = reinterpret_cast<const unsigned char*>(wish.name.c_str());
    good = good && X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8, name, -1, -1, 0) == 1;
    good = good && X509_set_issuer_name(x509, X509_get_subject_name(signer)) == 1;
    good = good && X509_set_pubkey(x509, subject_key) == 1;
    good = good && add_extension(x509, signer, NID_basic_constraints, wish.constraints);
    good = good && add_extension(x509, signer, NID_key_usage, wish.usage);
    good = good && (wish.extended.empty() || add_extension(x509, signer, NID_ext_key_usage, wish.extended));
    good = good && (wish.alternative_names.empty() ||
                    add_extension(x509, signer, NID_subject_alt_name, wish.alternative_names));
    good = good && X509_sign(x509, issuer_key, EVP_sha256()) > 0;
    return good ? std::move(certificate) : nullptr;
}

struct Authority {
    Certificate certificate;
    Key key;
};

Outcome<Authority> open_authority(const CertifiedKey& pem)
{
    Authority authority;
    authority.certificate.reset(PEM_read_bio_X509(reader_of(pem.certificate_pem).get(), nullptr, nullptr, nullptr));
    authority.key.reset(PEM_read_bio_PrivateKey(reader_of(pem.key_pem).get(), nullptr, nullptr, nullptr));
    if (!authority.certificate || !authority.key ||
        X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1) {
        return fault(Kind::malformed, "the certificate authority: key and certificate do not fit; restore ca.key and "
                                      "ca.pem from a backup");
    }
    return authority;
}

std::string alternative_name_of(const std::string& host)
{
    in6_addr address{};
    const bool is_address =
        inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
    return (is_address ? "IP:" : "DNS:") + host;
}

Outcome<Request> open_request(Bytes csr)
{
    const auto* at = csr.data();
    Request request(d2i_X509_REQ(nullptr, &at, static_cast<long>(csr.size())));
    if (!request || at != csr.data() + csr.size()) {
        return fault(Kind::malformed, "a certificate request is not DER");
    }
    auto* key = X509_REQ_get0_pubkey(request.get());
    char group[32] = {};
    if (key == nullptr || EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) != 1 ||
        std::string_view(group) != "prime256v1") {
        return fault(Kind::malformed, "a certificate request is not for a P-256 key");
    }
    if (X509_REQ_verify(request.get(), key) != 1) {
        return fault(Kind::unauthentic, "a certificate request is not signed by its own key");
    }
    return request;
}

Digest spki_of(EVP_PKEY* key)
{
    unsigned char* encoded = nullptr;
    const int size = i2d_PUBKEY(key, &encoded);
    Digest digest{};
    if (size > 0) {
        SHA256(encoded, static_cast<std::size_t>(size), digest.data());
        OPENSSL_free(encoded);
    }
    return digest;
}

} // namespace

Outcome<CertifiedKey> make_authority(const std::string& name)
{
    const auto key = new_key();
    const Wish wish{name, "critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", "", ""};
    const auto certificate = key ? certify(key.get(), wish, nullptr, key.get()) : nullptr;
    if (!certificate) {
        return openssl_fault("making the certificate authority");
    }
    return CertifiedKey{pem_of(key.get()), pem_of(certificate.get())};
}

Outcome<CertifiedKey> make_server_certificate(const CertifiedKey& authority, const std::string& host)
{
    const auto signer = TRY(open_authority(authority));
    const auto key = new_key();
    const Wish wish{"caisson attestation server", "critical,CA:FALSE", "critical,digitalSignature", "serverAuth",
                    alternative_name_of(host)};
    const auto certificate = key ? certify(key.get(), wish, signer.certificate.get(), signer.key.get()) : nullptr;
    if (!certificate) {
        return openssl_fault("making the server's certificate");
    }
    return CertifiedKey{pem_of(key.get()), pem_of(certificate.get())};
}

Outcome<Digest> spki_sha256_of_request(Bytes csr)
{
    const auto request = TRY(open_request(csr));
    return spki_of(X509_REQ_get0_pubkey(request.get()));
}

Outcome<NodeCertificate> certify_node(const CertifiedKey& authority, Bytes csr, const std::string& node)
{
    const auto signer = TRY(open_authority(authority));
    const auto request = TRY(open_request(csr));
    auto* key = X509_REQ_get0_pubkey(request.get());
    const Wish wish{node, "critical,CA:FALSE", "critical,digitalSignature", "clientAuth", ""};
    const auto certificate = certify(key, wish, signer.certificate.get(), signer.key.get());
    if (!certificate) {
        return openssl_fault("certifying a node");
    }
    return NodeCertificate{pem_of(certificate.get()), spki_of(key)};
}

} // namespace caisson::host::net
