#include "host/tpm/tpm.hpp"

#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>

#include <cstdlib>

namespace caisson::host::tpm {
namespace {

struct Meaning {
    TSS2_RC code;
    Kind kind;
    const char* text;
};

constexpr Meaning meanings[] = {
    {TPM2_RC_LOCKOUT, Kind::exhausted,
     "TPM_RC_LOCKOUT: the TPM is in dictionary-attack lockout after too many wrong secrets; wait until it recovers, or "
     "clear it with the lockout secret (tpm2_dictionarylockout --clear-lockout)"},
    {TPM2_RC_POLICY_FAIL, Kind::unacceptable,
     "TPM_RC_POLICY_FAIL: the PCRs are not those it was sealed to (firmware, boot loader or kernel changed since); "
     "boot "
     "what was sealed, or run \"caisson root reseal --owner FILE\""},
    {TPM2_RC_POLICY, Kind::unacceptable,
     "TPM_RC_POLICY: the register of images holds other images than it was sealed to; restart the machine with those "
     "images, or run \"caisson root reseal --owner FILE\""},
    {TPM2_RC_AUTH_FAIL, Kind::forbidden,
     "TPM_RC_AUTH_FAIL: a wrong secret (counted: too many lock the TPM); give the right one with --owner FILE"},
    {TPM2_RC_BAD_AUTH, Kind::forbidden, "TPM_RC_BAD_AUTH: a wrong secret; give the right one with --owner FILE"},
    {TPM2_RC_INTEGRITY, Kind::unauthentic,
     "TPM_RC_INTEGRITY: it was sealed by another TPM, or altered; use the machine it was made on, or its backup"},
    {TPM2_RC_HANDLE, Kind::missing, "the TPM holds no such object; it was cleared, or is another one"},
    {TPM2_RC_INITIALIZE, Kind::unavailable, "TPM_RC_INITIALIZE: the TPM was not started up by the firmware"},
    {TPM2_RC_NV_DEFINED, Kind::conflict, "TPM_RC_NV_DEFINED: the index exists already, made by somebody else"},
    {TPM2_RC_NV_UNINITIALIZED, Kind::missing, "the index was not written since the TPM was started"},
    {TPM2_RC_OBJECT_MEMORY, Kind::exhausted, "the TPM has no room for another object; use /dev/tpmrm0, not /dev/tpm0"},
    {TPM2_RC_NV_SPACE, Kind::exhausted, "the TPM has no room for another index; remove some (tpm2_nvundefine)"},
};

std::string text_of_property(std::uint32_t value)
{
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) {
        const char letter = static_cast<char>(value >> static_cast<unsigned>(shift) & 0xffU);
        if (letter >= ' ' && letter < 0x7f) {
            text += letter;
        }
    }
    return text;
}

template <auto Marshal, typename T>
std::vector<std::uint8_t> marshalled_with(const T& value)
{
    std::vector<std::uint8_t> bytes(sizeof value + 16);
    std::size_t size = 0;
    if (Marshal(&value, bytes.data(), bytes.size(), &size) != TSS2_RC_SUCCESS) {
        size = 0;
    }
    bytes.resize(size);
    return bytes;
}

} // namespace

TSS2_RC plain_code(TSS2_RC code) noexcept
{
    const TSS2_RC layer = code & TSS2_RC_LAYER_MASK;
    if (layer != TSS2_TPM_RC_LAYER && layer != TSS2_RESMGR_TPM_RC_LAYER) {
        return code;
    }
    const TSS2_RC number = code & 0xfffU;
    return (number & TPM2_RC_FMT1) != 0 ? number & 0xbfU : number;
}

std::unexpected<Fault> tpm_fault(const std::string& doing, TSS2_RC code)
{
    for (const auto& meaning : meanings) {
        if (meaning.code == plain_code(code)) {
            return fault(meaning.kind, doing + ": " + meaning.text);
        }
    }
    return fault(Kind::unavailable, doing + ": the TPM refuses: " + Tss2_RC_Decode(code));
}

Outcome<Tpm> Tpm::open(const TpmAddress& address)
{
    ::setenv("TSS2_LOG", "all+none", 0); // the library would print on standard error; what fails is told by us
    Tpm tpm;
    tpm.channel_ = TRY(Channel::open(address.address, address.deadline));
    auto code = Esys_Initialize(&tpm.esys_, tpm.channel_->context(), nullptr);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("opening the TPM at " + address.address, code);
    }
    tpm.owner_.reset(tpm.esys_);
    TRY(tpm.property(TPM2_PT_MANUFACTURER)); // does it answer?
    return tpm;
}

Tpm::~Tpm()
{
    owner_.reset(); // before the channel
}

std::unexpected<Fault> Tpm::refused(const std::string& doing, TSS2_RC code) const
{
    if (plain_code(code) != TSS2_TCTI_RC_IO_ERROR) {
        return tpm_fault(doing, code);
    }
    const std::string cause = channel_->timed_out() ? "did not answer in time" : "ended the connection";
    return fault(Kind::unavailable,
                 doing + ": the TPM at " + channel_->address() + " " + cause + "; is it (or its swtpm) still running?");
}

Outcome<std::uint32_t> Tpm::property(std::uint32_t name) const
{
    TPMI_YES_NO more = 0;
    Owned<TPMS_CAPABILITY_DATA> data;
    const auto code = Esys_GetCapability(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_TPM_PROPERTIES, name,
                                         1, &more, out(data));
    if (code != TSS2_RC_SUCCESS) {
        return refused("asking the TPM what it is", code);
    }
    const auto& list = data->data.tpmProperties;
    return list.count == 1 && list.tpmProperty[0].property == name ? list.tpmProperty[0].value : 0;
}

Outcome<TpmFacts> Tpm::facts() const
{
    TpmFacts facts;
    facts.manufacturer = text_of_property(TRY(property(TPM2_PT_MANUFACTURER)));
    for (std::uint32_t part = 0; part < 4; ++part) {
        facts.vendor += text_of_property(TRY(property(TPM2_PT_VENDOR_STRING_1 + part)));
    }
    const std::uint64_t high = TRY(property(TPM2_PT_FIRMWARE_VERSION_1));
    facts.firmware = high << 32U | TRY(property(TPM2_PT_FIRMWARE_VERSION_2));
    // libtpms, which swtpm stands on, names itself so; so does Microsoft's simulator ("xCG fTPM").
    facts.software = facts.vendor.find("SW") != std::string::npos || facts.vendor.find("xCG") != std::string::npos;
    const auto permanent = TRY(property(TPM2_PT_PERMANENT));
    facts.in_lockout = (permanent & TPMA_PERMANENT_INLOCKOUT) != 0;
    facts.owner_set = (permanent & TPMA_PERMANENT_OWNERAUTHSET) != 0;
    facts.lockout_failures = TRY(property(TPM2_PT_LOCKOUT_COUNTER));
    facts.lockout_failures_max = TRY(property(TPM2_PT_MAX_AUTH_FAIL));
    facts.lockout_recovery_seconds = TRY(property(TPM2_PT_LOCKOUT_INTERVAL));
    return facts;
}

Outcome<ESYS_TR> Tpm::object(TPM2_HANDLE handle, const std::string& doing) const
{
    ESYS_TR object = ESYS_TR_NONE;
    const auto code = Esys_TR_FromTPMPublic(esys_, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &object);
    if (code != TSS2_RC_SUCCESS) {
        return refused(doing, code);
    }
    return object;
}

// [TPM-20]
Outcome<Loaded> Tpm::session(TPM2_SE type, ESYS_TR salt) const
{
    TPMT_SYM_DEF cipher{};
    cipher.algorithm = TPM2_ALG_AES;
    cipher.keyBits.aes = 128;
    cipher.mode.aes = TPM2_ALG_CFB;
    ESYS_TR handle = ESYS_TR_NONE;
    auto code = Esys_StartAuthSession(esys_, salt, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr,
                                      type, &cipher, TPM2_ALG_SHA256, &handle);
    if (code != TSS2_RC_SUCCESS) {
        return refused("starting a session with the TPM", code);
    }
    Loaded session(esys_, handle);
    constexpr TPMA_SESSION wish = TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
    code = Esys_TRSess_SetAttributes(esys_, handle, wish, 0xff);
    if (code != TSS2_RC_SUCCESS) {
        return refused("starting a session with the TPM", code);
    }
    return session;
}

Outcome<std::vector<std::uint8_t>> Tpm::name_of(ESYS_TR object) const
{
    Owned<TPM2B_NAME> name;
    const auto code = Esys_TR_GetName(esys_, object, out(name));
    if (code != TSS2_RC_SUCCESS) {
        return refused("reading the name of an object of the TPM", code);
    }
    return std::vector<std::uint8_t>(name->name, name->name + name->size);
}

std::vector<std::uint8_t> marshalled(const TPM2B_PUBLIC& area)
{
    return marshalled_with<Tss2_MU_TPM2B_PUBLIC_Marshal>(area);
}
std::vector<std::uint8_t> marshalled(const TPM2B_PRIVATE& area)
{
    return marshalled_with<Tss2_MU_TPM2B_PRIVATE_Marshal>(area);
}
std::vector<std::uint8_t> marshalled(const TPMT_PUBLIC& area)
{
    return marshalled_with<Tss2_MU_TPMT_PUBLIC_Marshal>(area);
}
std::vector<std::uint8_t> marshalled(const TPMT_SIGNATURE& signature)
{
    return marshalled_with<Tss2_MU_TPMT_SIGNATURE_Marshal>(signature);
}

Outcome<TPM2B_PUBLIC> read_public(Bytes bytes)
{
    TPM2B_PUBLIC area{};
    std::size_t used = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes.data(), bytes.size(), &used, &area) != TSS2_RC_SUCCESS ||
        used != bytes.size()) {
        return fault(Kind::malformed, "the record of the TPM root: a public area does not parse; restore the file");
    }
    return area;
}

Outcome<TPM2B_PRIVATE> read_private(Bytes bytes)
{
    TPM2B_PRIVATE area{};
    std::size_t used = 0;
    if (Tss2_MU_TPM2B_PRIVATE_Unmarshal(bytes.data(), bytes.size(), &used, &area) != TSS2_RC_SUCCESS ||
        used != bytes.size()) {
        return fault(Kind::malformed, "the record of the TPM root: a sealed area does not parse; restore the file");
    }
    return area;
}

} // namespace caisson::host::tpm
