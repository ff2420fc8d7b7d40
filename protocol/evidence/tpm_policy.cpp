#include "protocol/evidence/tpm_policy.hpp"

#include "core/wire.hpp"
#include "protocol/evidence/openssl_handles.hpp"
#include "protocol/evidence/tpm_digest.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

namespace caisson::protocol::evidence {
namespace {

// NOLINTBEGIN(readability-identifier-naming): the TPM library's own names
constexpr std::uint32_t TPM_CC_PolicyNV = 0x149;
constexpr std::uint32_t TPM_CC_PolicySecret = 0x151;
constexpr std::uint32_t TPM_CC_PolicyAuthorize = 0x16a;
constexpr std::uint32_t TPM_CC_PolicyPCR = 0x17f;
// NOLINTEND(readability-identifier-naming)
constexpr std::uint16_t TPM_EO_EQ = 0;
constexpr std::uint32_t object_user_with_auth = 1U << 6U;
constexpr std::size_t coordinate_bytes = 32;
constexpr std::size_t pcr_select_bytes = 3;
constexpr std::size_t pem_bytes_max = 8192;

// SHA-256 over parts written one after the other.
class Hash {
  public:
    Hash()
        : context_(EVP_MD_CTX_new())
    {
        EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
    }
    Hash& add(Bytes bytes)
    {
        EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
        return *this;
    }
    template <std::unsigned_integral T>
    Hash& add_be(T value)
    {
        ByteArray<sizeof(T)> bytes;
        Writer(bytes).write_be(value);
        return add(bytes);
    }
    Digest finish()
    {
        Digest digest{};
        EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr);
        return digest;
    }

  private:
    DigestContext context_;
};

// Part 3, 23.2.3: PolicyUpdate, with an empty or given policyRef as a second round.
Digest updated(const Digest& before, std::uint32_t command, Bytes name, Bytes reference)
{
    const auto first = Hash().add(before).add_be(command).add(name).finish();
    return Hash().add(first).add(reference).finish();
}

KeyHandle key_in(std::string_view pem)
{
    if (pem.size() > pem_bytes_max) {
        return nullptr;
    }
    const auto reader = [&pem] { return BioHandle(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); };
    KeyHandle key(PEM_read_bio_PrivateKey(reader().get(), nullptr, nullptr, nullptr));
    if (!key) {
        key.reset(PEM_read_bio_PUBKEY(reader().get(), nullptr, nullptr, nullptr));
    }
    ERR_clear_error();
    char group[32] = {};
    const bool good = key && EVP_PKEY_get_group_name(key.get(), group, sizeof group, nullptr) == 1 &&
                      std::string_view(group) == "prime256v1";
    return good ? std::move(key) : nullptr;
}

bool read_coordinate(EVP_PKEY* key, const char* name, MutableBytes out)
{
    BIGNUM* raw = nullptr;
    const bool found = EVP_PKEY_get_bn_param(key, name, &raw) == 1;
    const NumberHandle number(raw);
    return found && BN_bn2binpad(number.get(), out.data(), static_cast<int>(out.size())) > 0;
}

} // namespace

Digest pcr_digest_of(std::span<const Digest> values)
{
    Hash hash;
    for (const auto& value : values) {
        hash.add(value);
    }
    return hash.finish();
}

Digest policy_pcr(const Digest& before, const PcrBank& selection, const Digest& pcr_digest)
{
    Hash hash;
    hash.add(before).add_be(TPM_CC_PolicyPCR);
    hash.add_be(std::uint32_t{1}).add_be(selection.hash).add_be(static_cast<std::uint8_t>(pcr_select_bytes));
    for (std::size_t index = 0; index < pcr_select_bytes; ++index) {
        hash.add_be(static_cast<std::uint8_t>(selection.mask >> (8 * index)));
    }
    return hash.add(pcr_digest).finish();
}

Digest policy_nv_equals(const Digest& before, Bytes nv_name, Bytes value)
{
    const auto arguments = Hash().add(value).add_be(std::uint16_t{0}).add_be(TPM_EO_EQ).finish();
    return Hash().add(before).add_be(TPM_CC_PolicyNV).add(arguments).add(nv_name).finish();
}

Digest policy_secret(const Digest& before, Bytes entity_name)
{
    return updated(before, TPM_CC_PolicySecret, entity_name, {});
}

Digest policy_authorize(Bytes signer_name)
{
    return updated(Digest{}, TPM_CC_PolicyAuthorize, signer_name, bytes_of(approval_reference));
}

Digest approval_digest(const Digest& policy)
{
    return Hash().add(policy).add(bytes_of(approval_reference)).finish();
}

Result<std::vector<std::uint8_t>> signer_public(std::string_view pem)
{
    const auto key = key_in(pem);
    ByteArray<coordinate_bytes> x;
    ByteArray<coordinate_bytes> y;
    if (!key || !read_coordinate(key.get(), OSSL_PKEY_PARAM_EC_PUB_X, x) ||
        !read_coordinate(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, y)) {
        return fail(Kind::malformed, "the signer's key is no P-256 key in PEM");
    }
    std::vector<std::uint8_t> area(128);
    Writer writer(area);
    writer.write_be(TPM_ALG_ECC);
    writer.write_be(TPM_ALG_SHA256);
    writer.write_be(object_user_with_auth | object_sign_encrypt);
    writer.write_be(std::uint16_t{0}); // no policy
    writer.write_be(TPM_ALG_NULL);     // no symmetric cipher
    writer.write_be(TPM_ALG_NULL);     // no scheme of its own
    writer.write_be(TPM_ECC_NIST_P256);
    writer.write_be(TPM_ALG_NULL); // no key derivation
    for (const Bytes coordinate : {Bytes(x), Bytes(y)}) {
        writer.write_be(static_cast<std::uint16_t>(coordinate.size()));
        writer.write_bytes(coordinate);
    }
    area.resize(TRY(writer.finish()));
    return area;
}

Result<std::vector<std::uint8_t>> approve_policy(std::string_view secret_key_pem, const Digest& policy)
{
    const auto key = key_in(secret_key_pem);
    const auto digest = approval_digest(policy);
    const KeyContext context(key ? EVP_PKEY_CTX_new(key.get(), nullptr) : nullptr);
    if (!context) {
        return fail(Kind::malformed, "the signer's key is no P-256 secret key in PEM");
    }
    ByteArray<128> der{};
    std::size_t der_bytes = der.size();
    if (EVP_PKEY_sign_init(context.get()) != 1 ||
        EVP_PKEY_sign(context.get(), der.data(), &der_bytes, digest.data(), digest.size()) != 1) {
        ERR_clear_error();
        return fail(Kind::malformed, "the signer's key is no P-256 secret key in PEM");
    }
    const auto* at = der.data();
    const std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>> pair(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der_bytes)));
    std::vector<std::uint8_t> signature(128);
    Writer writer(signature);
    writer.write_be(TPM_ALG_ECDSA);
    writer.write_be(TPM_ALG_SHA256);
    for (const auto* number : {ECDSA_SIG_get0_r(pair.get()), ECDSA_SIG_get0_s(pair.get())}) {
        ByteArray<coordinate_bytes> bytes;
        BN_bn2binpad(number, bytes.data(), coordinate_bytes);
        writer.write_be(static_cast<std::uint16_t>(bytes.size()));
        writer.write_bytes(bytes);
    }
    signature.resize(TRY(writer.finish()));
    return signature;
}

} // namespace caisson::protocol::evidence
