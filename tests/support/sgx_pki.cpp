#include "tests/support/sgx_pki.hpp"

#include "core/wire.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <cstdio>

namespace caisson::tests {
namespace {

using Buffer = std::vector<std::uint8_t>;
constexpr std::int64_t day = 86400;

template <auto Free>
struct Freed {
    template <typename T>
    void operator()(T* object) const noexcept
    {
        Free(object);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using X509Owned = std::unique_ptr<X509, Freed<X509_free>>;
using CrlOwned = std::unique_ptr<X509_CRL, Freed<X509_CRL_free>>;

Key new_key()
{
    return Key(EVP_EC_gen("P-256"));
}

// r and s, 32 bytes each.
Buffer sign(EVP_PKEY* key, Bytes message)
{
    std::array<std::uint8_t, 80> der{};
    auto size = der.size();
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key);
    EVP_DigestSign(context, der.data(), &size, message.data(), message.size());
    EVP_MD_CTX_free(context);
    const auto* at = der.data();
    ECDSA_SIG* parts = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size));
    Buffer out(64);
    BN_bn2binpad(ECDSA_SIG_get0_r(parts), out.data(), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(parts), out.data() + 32, 32);
    ECDSA_SIG_free(parts);
    return out;
}

Buffer point_of(EVP_PKEY* key)
{
    Buffer point(65);
    std::size_t size = 0;
    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &size);
    return {point.begin() + 1, point.end()};
}

struct Wanted {
    std::string name;
    EVP_PKEY* key = nullptr;
    X509* issuer = nullptr; // itself when null
    EVP_PKEY* issuer_key = nullptr;
    bool authority = false;
    Buffer sgx_extension;
};

void add_extension(X509* x509, int number, const char* value)
{
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, number, value);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}

X509Owned certificate(const Wanted& wanted)
{
    static long serial = 1;
    X509Owned x509(X509_new());
    X509_set_version(x509.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), ++serial);
    ASN1_TIME_set(X509_getm_notBefore(x509.get()), sgx_pki_now - 100 * day);
    ASN1_TIME_set(X509_getm_notAfter(x509.get()), sgx_pki_now + 100 * day);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(wanted.name.c_str()), -1, -1, 0);
    X509* issuer = wanted.issuer == nullptr ? x509.get() : wanted.issuer;
    X509_set_issuer_name(x509.get(), X509_get_subject_name(issuer));
    X509_set_pubkey(x509.get(), wanted.key);
    add_extension(x509.get(), NID_basic_constraints, wanted.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(x509.get(), NID_key_usage,
                  wanted.authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    if (!wanted.sgx_extension.empty()) {
        ASN1_OCTET_STRING* content = ASN1_OCTET_STRING_new();
        ASN1_OCTET_STRING_set(content, wanted.sgx_extension.data(), static_cast<int>(wanted.sgx_extension.size()));
        ASN1_OBJECT* oid = OBJ_txt2obj("1.2.840.113741.1.13.1", 1);
        X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, oid, 0, content);
        X509_add_ext(x509.get(), extension, -1);
        X509_EXTENSION_free(extension);
        ASN1_OBJECT_free(oid);
        ASN1_OCTET_STRING_free(content);
    }
    X509_sign(x509.get(), wanted.issuer_key == nullptr ? wanted.key : wanted.issuer_key, EVP_sha256());
    return x509;
}

Buffer crl(X509* issuer, EVP_PKEY* key, X509* revoked)
{
    const CrlOwned list(X509_CRL_new());
    X509_CRL_set_version(list.get(), 1);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(issuer));
    ASN1_TIME* time = ASN1_TIME_set(nullptr, sgx_pki_now - day);
    X509_CRL_set1_lastUpdate(list.get(), time);
    if (revoked != nullptr) {
        X509_REVOKED* entry = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked));
        X509_REVOKED_set_revocationDate(entry, time);
        X509_CRL_add0_revoked(list.get(), entry);
    }
    ASN1_TIME_set(time, sgx_pki_now + 20 * day);
    X509_CRL_set1_nextUpdate(list.get(), time);
    ASN1_TIME_free(time);
    X509_CRL_sign(list.get(), key, EVP_sha256());
    std::uint8_t* der = nullptr;
    const int size = i2d_X509_CRL(list.get(), &der);
    Buffer out(der, der + size);
    OPENSSL_free(der);
    return out;
}

std::string pem(std::initializer_list<X509*> chain)
{
    BIO* bio = BIO_new(BIO_s_mem());
    for (auto* x509 : chain) {
        PEM_write_bio_X509(bio, x509);
    }
    const char* text = nullptr;
    const auto size = BIO_get_mem_data(bio, &text);
    std::string out(text, static_cast<std::size_t>(size));
    BIO_free(bio);
    return out;
}

Buffer der(std::uint8_t tag, const Buffer& content)
{
    Buffer out{tag};
    if (content.size() >= 0x100) {
        out.insert(out.end(), {0x82, static_cast<std::uint8_t>(content.size() >> 8U)});
    } else if (content.size() >= 0x80) {
        out.push_back(0x81);
    }
    out.push_back(static_cast<std::uint8_t>(content.size()));
    out.insert(out.end(), content.begin(), content.end());
    return out;
}

Buffer entry(std::initializer_list<std::uint8_t> arcs, const Buffer& value)
{
    Buffer oid{0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    oid.insert(oid.end(), arcs.begin(), arcs.end());
    auto content = der(0x06, oid);
    content.insert(content.end(), value.begin(), value.end());
    return der(0x30, content);
}

Buffer sgx_extension(std::uint8_t component)
{
    Buffer tcb;
    const auto add = [](Buffer& to, const Buffer& more) { to.insert(to.end(), more.begin(), more.end()); };
    for (std::uint8_t arc = 1; arc <= 16; ++arc) {
        add(tcb, entry({2, arc}, der(0x02, {component})));
    }
    add(tcb, entry({2, 17}, der(0x02, {11})));
    add(tcb, entry({2, 18}, der(0x04, Buffer(16, component))));
    Buffer all;
    add(all, entry({1}, der(0x04, Buffer(16, 7))));
    add(all, entry({2}, der(0x30, tcb)));
    add(all, entry({3}, der(0x04, {0, 0})));
    add(all, entry({4}, der(0x04, {0x00, 0x90, 0x6e, 0xd5, 0, 0})));
    add(all, entry({5}, der(0x0a, {0})));
    return der(0x30, all);
}

std::string hex(Bytes bytes)
{
    std::string out;
    for (const auto byte : bytes) {
        std::array<char, 3> digits{};
        std::snprintf(digits.data(), digits.size(), "%02x", byte);
        out += digits.data();
    }
    return out;
}

std::string signed_json(const char* name, const std::string& object, EVP_PKEY* key)
{
    return "{\"" + std::string(name) + "\":" + object + ",\"signature\":\"" + hex(sign(key, bytes_of(object))) + "\"}";
}

std::string level(const std::string& tcb, const std::string& status)
{
    return R"({"tcb":)" + tcb + R"(,"tcbDate":"2026-08-13T00:00:00Z","tcbStatus":")" + status +
           R"(","advisoryIDs":["TEST-SA-1"]})";
}

std::string tcb_info_of(const SgxPkiOptions& options)
{
    std::string components;
    for (int index = 0; index < 16; ++index) {
        components += index == 0 ? R"({"svn":5})" : R"(,{"svn":5})";
    }
    return R"({"id":"SGX","version":3,"issueDate":"2027-01-01T00:00:00Z","nextUpdate":")" + options.tcb_next_update +
           R"(","fmspc":")" + options.fmspc + R"(","pceId":"0000","tcbType":0,"tcbEvaluationDataNumber":21,)" +
           R"("tcbLevels":[)" +
           level(R"({"sgxtcbcomponents":[)" + components + R"(],"pcesvn":11})", options.platform_status) + "]}";
}

std::string qe_identity_of(const SgxPkiOptions& options)
{
    return R"({"id":"QE","version":2,"issueDate":"2027-01-01T00:00:00Z","nextUpdate":"2027-02-01T00:00:00Z",)"
           R"("tcbEvaluationDataNumber":21,"miscselect":"00000000","miscselectMask":"FFFFFFFF",)"
           R"("attributes":"11000000000000000000000000000000","attributesMask":"FBFFFFFFFFFFFFFF0000000000000000",)"
           R"("mrsigner":"8C4F5775D796503E96137F77C68A829A0056AC8DED70140B081B094490C57BFF","isvprodid":1,)"
           R"("tcbLevels":[)" +
           level(R"({"isvsvn":8})", options.qe_status) + "]}";
}

protocol::sgx::Report qe_report()
{
    protocol::sgx::Report report{};
    report.attributes.flags = 0x15; // INIT, 64 bit, the provisioning key
    report.attributes.xfrm = 7;
    const ByteArray<32> signer{0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e, 0x96, 0x13, 0x7f,
                               0x77, 0xc6, 0x8a, 0x82, 0x9a, 0x00, 0x56, 0xac, 0x8d, 0xed, 0x70,
                               0x14, 0x0b, 0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff};
    report.mrsigner = signer;
    report.isv_prod_id = 1;
    report.isv_svn = 8;
    return report;
}

Bytes body_of(const protocol::sgx::Report& report)
{
    return {reinterpret_cast<const std::uint8_t*>(&report), protocol::evidence::report_body_bytes};
}

} // namespace

struct SgxPki::Keys {
    Key root = new_key();
    Key intermediate = new_key();
    Key pck = new_key();
    Key signer = new_key();
    Key attestation = new_key();
};

SgxPki::~SgxPki() = default;

SgxPki::SgxPki(const SgxPkiOptions& options)
    : keys_(std::make_unique<Keys>())
{
    const auto root = certificate({"Test SGX Root CA", keys_->root.get(), nullptr, nullptr, true, {}});
    const auto intermediate = certificate({"Test SGX PCK Platform CA",
                                           keys_->intermediate.get(),
                                           root.get(),
                                           keys_->root.get(),
                                           options.intermediate_is_ca,
                                           {}});
    const auto pck = certificate({options.pck_name, keys_->pck.get(), intermediate.get(), keys_->intermediate.get(),
                                  false, sgx_extension(options.component)});
    const auto signer =
        certificate({options.signer_name, keys_->signer.get(), root.get(), keys_->root.get(), false, {}});
    pck_chain = options.long_chain ? pem({pck.get(), intermediate.get(), root.get(), root.get()})
                                   : pem({pck.get(), intermediate.get(), root.get()});
    signer_chain = pem({signer.get(), root.get()});
    root_crl = crl(root.get(), keys_->root.get(), options.revoke_intermediate ? intermediate.get() : nullptr);
    pck_crl = crl(intermediate.get(), keys_->intermediate.get(), options.revoke_pck ? pck.get() : nullptr);
    tcb_info = signed_json("tcbInfo", tcb_info_of(options), keys_->signer.get());
    qe_identity = signed_json("enclaveIdentity", qe_identity_of(options), keys_->signer.get());
}

protocol::evidence::SgxCollateral SgxPki::collateral() const
{
    return {tcb_info, signer_chain, qe_identity, signer_chain, pck_crl, root_crl};
}

protocol::evidence::RootPin SgxPki::pin() const
{
    std::uint8_t* bytes = nullptr;
    const int size = i2d_PUBKEY(keys_->root.get(), &bytes);
    Digest digest{};
    SHA256(bytes, static_cast<std::size_t>(size), digest.data());
    OPENSSL_free(bytes);
    return digest;
}

std::vector<std::uint8_t> SgxPki::quote(const protocol::sgx::Report& report) const
{
    Buffer out(16384);
    Writer writer(out);
    writer.write_le<std::uint16_t>(3);
    writer.write_le<std::uint16_t>(2);
    writer.write_le<std::uint32_t>(0);
    writer.write_le<std::uint32_t>(0x000b0008);
    writer.write_bytes(protocol::evidence::intel_qe_vendor);
    writer.write_bytes(ByteArray<20>{});
    writer.write_bytes(body_of(report));
    const auto signature = sign(keys_->attestation.get(), writer.written());
    const auto point = point_of(keys_->attestation.get());
    const Buffer authentication(32, 0x3c);
    auto vouched = point;
    vouched.insert(vouched.end(), authentication.begin(), authentication.end());
    auto qe = qe_report();
    SHA256(vouched.data(), vouched.size(), qe.report_data.data());
    const auto chain = bytes_of(pck_chain);
    writer.write_le(static_cast<std::uint32_t>(64 + 64 + 384 + 64 + 2 + authentication.size() + 6 + chain.size()));
    writer.write_bytes(signature);
    writer.write_bytes(point);
    writer.write_bytes(body_of(qe));
    writer.write_bytes(sign(keys_->pck.get(), body_of(qe)));
    writer.write_le(static_cast<std::uint16_t>(authentication.size()));
    writer.write_bytes(authentication);
    writer.write_le<std::uint16_t>(5);
    writer.write_le(static_cast<std::uint32_t>(chain.size()));
    writer.write_bytes(chain);
    out.resize(writer.written().size());
    return out;
}

} // namespace caisson::tests
