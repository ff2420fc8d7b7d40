#include "host/tpm/tpm_keys.hpp"

#include "core/secret.hpp"
#include "host/tpm/nv.hpp"

namespace caisson::host::tpm {
namespace {

constexpr TPM2_HANDLE rsa_certificate_index = 0x01c00002;
constexpr TPM2_HANDLE ecc_certificate_index = 0x01c0000a;
constexpr std::size_t certificate_bytes_max = 4096;

// TCG EK Credential Profile: PolicySecret(TPM_RH_ENDORSEMENT), the policy of every EK of the templates L-1 and L-2.
constexpr Digest ek_policy{0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
                           0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
                           0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

enum class KeyType : std::uint8_t { rsa, ecc };

TPMT_PUBLIC storage_template(KeyType type, TPMA_OBJECT attributes)
{
    TPMT_PUBLIC area{};
    area.nameAlg = TPM2_ALG_SHA256;
    area.objectAttributes = attributes | TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                            TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
    TPMT_SYM_DEF_OBJECT cipher{};
    cipher.algorithm = TPM2_ALG_AES;
    cipher.keyBits.aes = 128;
    cipher.mode.aes = TPM2_ALG_CFB;
    if (type == KeyType::rsa) {
        area.type = TPM2_ALG_RSA;
        area.parameters.rsaDetail = {cipher, {TPM2_ALG_NULL, {}}, 2048, 0};
        area.unique.rsa.size = 256;
    } else {
        area.type = TPM2_ALG_ECC;
        area.parameters.eccDetail = {cipher, {TPM2_ALG_NULL, {}}, TPM2_ECC_NIST_P256, {TPM2_ALG_NULL, {}}};
        area.unique.ecc.x.size = 32;
        area.unique.ecc.y.size = 32;
    }
    return area;
}

TPMT_PUBLIC srk_template()
{
    return storage_template(KeyType::ecc, TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA);
}

TPMT_PUBLIC ek_template(KeyType type)
{
    auto area = storage_template(type, TPMA_OBJECT_ADMINWITHPOLICY);
    area.authPolicy = sized<TPM2B_DIGEST>(ek_policy);
    return area;
}

TPMT_PUBLIC ak_template()
{
    TPMT_PUBLIC area{};
    area.type = TPM2_ALG_ECC;
    area.nameAlg = TPM2_ALG_SHA256;
    area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                            TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT;
    auto& ecc = area.parameters.eccDetail;
    ecc.symmetric.algorithm = TPM2_ALG_NULL;
    ecc.scheme.scheme = TPM2_ALG_ECDSA;
    ecc.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
    ecc.curveID = TPM2_ECC_NIST_P256;
    ecc.kdf.scheme = TPM2_ALG_NULL;
    return area;
}

Outcome<Loaded> create_primary(const Tpm& tpm, ESYS_TR hierarchy, const TPMT_PUBLIC& area, const std::string& doing)
{
    const auto session = TRY(owner_session(tpm)); // authorises for any hierarchy
    const TPM2B_PUBLIC wish{0, area};
    const TPM2B_SENSITIVE_CREATE no_secret{};
    const TPM2B_DATA no_data{};
    const TPML_PCR_SELECTION no_pcrs{};
    ESYS_TR handle = ESYS_TR_NONE;
    Owned<TPM2B_PUBLIC> made;
    Owned<TPM2B_CREATION_DATA> creation;
    Owned<TPM2B_DIGEST> digest;
    Owned<TPMT_TK_CREATION> ticket;
    const auto code =
        Esys_CreatePrimary(tpm.esys(), hierarchy, session.get(), ESYS_TR_NONE, ESYS_TR_NONE, &no_secret, &wish,
                           &no_data, &no_pcrs, &handle, out(made), out(creation), out(digest), out(ticket));
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    return Loaded(tpm.esys(), handle);
}

// Everything of `area` but the key itself is as the template says.
bool fits(const TPMT_PUBLIC& area, TPMT_PUBLIC wish)
{
    wish.unique = area.unique;
    return marshalled(area) == marshalled(wish);
}

Outcome<TPMT_PUBLIC> read_public_area(const Tpm& tpm, ESYS_TR key)
{
    Owned<TPM2B_PUBLIC> area;
    Owned<TPM2B_NAME> name;
    Owned<TPM2B_NAME> qualified;
    const auto code = Esys_ReadPublic(tpm.esys(), key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, out(area), out(name),
                                      out(qualified));
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("reading a key of the TPM", code);
    }
    return area->publicArea;
}

// The persistent object at `handle` if it fits the template; ESYS_TR_NONE if there is none.
Outcome<ESYS_TR> existing(const Tpm& tpm, TPM2_HANDLE handle, const TPMT_PUBLIC& wish, const std::string& doing)
{
    const auto found = tpm.object(handle, doing);
    if (!found && found.error().kind == Kind::missing) {
        return ESYS_TR{ESYS_TR_NONE};
    }
    const auto key = TRY(found);
    const auto area = TRY(read_public_area(tpm, key));
    if (!fits(area, wish)) {
        return fault(Kind::conflict, doing + ": the TPM holds another key at that handle, made by somebody else; "
                                             "remove it (tpm2_evictcontrol), if nobody needs it");
    }
    return key;
}

Outcome<ESYS_TR> persist(const Tpm& tpm, const Loaded& key, TPM2_HANDLE handle, const std::string& doing)
{
    ESYS_TR persistent = ESYS_TR_NONE;
    const auto session = TRY(owner_session(tpm));
    const auto code = Esys_EvictControl(tpm.esys(), ESYS_TR_RH_OWNER, key.get(), session.get(), ESYS_TR_NONE,
                                        ESYS_TR_NONE, handle, &persistent);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    return persistent;
}

// Authorises the use of the EK: its policy wants the endorsement hierarchy's secret, which is empty.
Outcome<Loaded> endorsement_session(const Tpm& tpm)
{
    auto session = TRY(tpm.session(TPM2_SE_POLICY, ESYS_TR_NONE));
    Esys_TRSess_SetAttributes(tpm.esys(), session.get(), 0, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT);
    const auto code = Esys_PolicySecret(tpm.esys(), ESYS_TR_RH_ENDORSEMENT, session.get(), ESYS_TR_PASSWORD,
                                        ESYS_TR_NONE, ESYS_TR_NONE, nullptr, nullptr, nullptr, 0, nullptr, nullptr);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("using the TPM's endorsement key", code);
    }
    return session;
}

KeyType ek_type(const Tpm& tpm)
{
    // The one the maker certified; without any certificate the smaller.
    const bool ecc = nv_content(tpm, ecc_certificate_index, certificate_bytes_max).has_value();
    const bool rsa = !ecc && nv_content(tpm, rsa_certificate_index, certificate_bytes_max).has_value();
    return rsa ? KeyType::rsa : KeyType::ecc;
}

Outcome<Loaded> create_ek(const Tpm& tpm)
{
    return create_primary(tpm, ESYS_TR_RH_ENDORSEMENT, ek_template(ek_type(tpm)), "making the TPM's endorsement key");
}

Outcome<Loaded> create_ak(const Tpm& tpm, const Loaded& ek)
{
    const std::string doing = "making the TPM's attestation key";
    const TPM2B_PUBLIC wish{0, ak_template()};
    const TPM2B_SENSITIVE_CREATE no_secret{};
    const TPM2B_DATA no_data{};
    const TPML_PCR_SELECTION no_pcrs{};
    Owned<TPM2B_PRIVATE> secret;
    Owned<TPM2B_PUBLIC> area;
    Owned<TPM2B_CREATION_DATA> creation;
    Owned<TPM2B_DIGEST> digest;
    Owned<TPMT_TK_CREATION> ticket;
    TSS2_RC code = TSS2_RC_SUCCESS;
    {
        const auto session = TRY(endorsement_session(tpm));
        code = Esys_Create(tpm.esys(), ek.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE, &no_secret, &wish, &no_data,
                           &no_pcrs, out(secret), out(area), out(creation), out(digest), out(ticket));
    }
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    const auto session = TRY(endorsement_session(tpm));
    ESYS_TR handle = ESYS_TR_NONE;
    code =
        Esys_Load(tpm.esys(), ek.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE, secret.get(), area.get(), &handle);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    return Loaded(tpm.esys(), handle);
}

} // namespace

Owner::Owner(const Tpm& tpm, Bytes secret)
    : tpm_(tpm)
{
    auto auth = sized<TPM2B_AUTH>(secret);
    Esys_TR_SetAuth(tpm_.esys(), ESYS_TR_RH_OWNER, &auth);
    wipe(auth.buffer);
}

Owner::~Owner()
{
    Esys_TR_SetAuth(tpm_.esys(), ESYS_TR_RH_OWNER, nullptr);
}

Outcome<Loaded> owner_session(const Tpm& tpm)
{
    auto srk = tpm.object(srk_handle, "finding the TPM's storage key");
    auto session = TRY(tpm.session(TPM2_SE_HMAC, srk ? *srk : ESYS_TR{ESYS_TR_NONE}));
    Esys_TRSess_SetAttributes(tpm.esys(), session.get(), 0, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT);
    return session;
}

Done set_owner_secret(const Tpm& tpm, Bytes secret, ESYS_TR salt)
{
    auto auth = sized<TPM2B_AUTH>(secret);
    for (const ESYS_TR hierarchy : {ESYS_TR_RH_LOCKOUT, ESYS_TR_RH_OWNER}) {
        auto session = TRY(tpm.session(TPM2_SE_HMAC, salt));
        Esys_TRSess_SetAttributes(tpm.esys(), session.get(), 0, TPMA_SESSION_ENCRYPT);
        const auto code =
            Esys_HierarchyChangeAuth(tpm.esys(), hierarchy, session.get(), ESYS_TR_NONE, ESYS_TR_NONE, &auth);
        if (code != TSS2_RC_SUCCESS) {
            wipe(auth.buffer);
            return tpm.refused("giving the TPM its owner secret", code);
        }
    }
    wipe(auth.buffer);
    return {};
}

Outcome<ESYS_TR> provide_srk(const Tpm& tpm)
{
    const std::string doing = "making the TPM's storage key";
    const auto wish = srk_template();
    if (const auto found = TRY(existing(tpm, srk_handle, wish, doing)); found != ESYS_TR_NONE) {
        return found;
    }
    const auto made = TRY(create_primary(tpm, ESYS_TR_RH_OWNER, wish, doing));
    return persist(tpm, made, srk_handle, doing);
}

Outcome<ESYS_TR> provide_ak(const Tpm& tpm)
{
    const std::string doing = "making the TPM's attestation key";
    if (const auto found = TRY(existing(tpm, ak_handle, ak_template(), doing)); found != ESYS_TR_NONE) {
        return found;
    }
    const auto ek = TRY(create_ek(tpm));
    const auto made = TRY(create_ak(tpm, ek));
    return persist(tpm, made, ak_handle, doing);
}

Outcome<ESYS_TR> pinned(const Tpm& tpm, TPM2_HANDLE handle, Bytes name, const char* what)
{
    const auto found = tpm.object(handle, std::string("finding ") + what + " in the TPM");
    if (!found && found.error().kind == Kind::missing) {
        return fault(Kind::missing, std::string("TPM root: ") + what + " is gone from the TPM at " + tpm.address() +
                                        ": it was cleared, or it is another TPM; \"caisson root init\" makes a new "
                                        "root, what was sealed under the old one is lost");
    }
    const auto key = TRY(found);
    const auto found_name = TRY(tpm.name_of(key));
    if (!same_bytes(found_name, name)) {
        return fault(Kind::unauthentic, std::string("TPM root: ") + what + " of the TPM at " + tpm.address() +
                                            " is another key than the one this home was made with: this is another "
                                            "TPM, or somebody stands between; use the machine the home was made on");
    }
    return key;
}

Outcome<std::vector<std::uint8_t>> public_area(const Tpm& tpm, ESYS_TR key)
{
    const auto area = TRY(read_public_area(tpm, key));
    return marshalled(area);
}

Outcome<Endorsement> endorsement_of(const Tpm& tpm)
{
    Endorsement endorsement;
    const auto type = ek_type(tpm);
    const auto index = type == KeyType::rsa ? rsa_certificate_index : ecc_certificate_index;
    endorsement.certificate = nv_content(tpm, index, certificate_bytes_max).value_or(std::vector<std::uint8_t>());
    const auto ek = TRY(create_ek(tpm));
    endorsement.ek_public = TRY(public_area(tpm, ek.get()));
    return endorsement;
}

Outcome<std::vector<std::uint8_t>> activate_credential(const Tpm& tpm, ESYS_TR ak, Bytes id_object,
                                                       Bytes encrypted_secret)
{
    TPM2B_ID_OBJECT credential{};
    TPM2B_ENCRYPTED_SECRET secret{};
    if (id_object.size() > sizeof credential.credential || encrypted_secret.size() > sizeof secret.secret) {
        return fault(Kind::malformed, "activating a credential: it is longer than a TPM takes");
    }
    credential.size = static_cast<std::uint16_t>(id_object.size());
    copy_bytes(credential.credential, id_object);
    secret.size = static_cast<std::uint16_t>(encrypted_secret.size());
    copy_bytes(secret.secret, encrypted_secret);
    const auto ek = TRY(create_ek(tpm));
    const auto session = TRY(endorsement_session(tpm));
    Owned<TPM2B_DIGEST> opened;
    const auto code = Esys_ActivateCredential(tpm.esys(), ak, ek.get(), ESYS_TR_PASSWORD, session.get(), ESYS_TR_NONE,
                                              &credential, &secret, out(opened));
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("activating a credential", code);
    }
    std::vector<std::uint8_t> bytes(opened->buffer, opened->buffer + opened->size);
    wipe(opened->buffer);
    return bytes;
}

} // namespace caisson::host::tpm
