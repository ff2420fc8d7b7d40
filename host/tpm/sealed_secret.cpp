#include "host/tpm/sealed_secret.hpp"

#include "host/tpm/nv.hpp"
#include "host/tpm/tpm_keys.hpp"
#include "protocol/evidence/tpm_policy.hpp"

#include <tss2/tss2_mu.h>

namespace caisson::host::tpm {
namespace {

using protocol::evidence::approval_reference;
constexpr std::uint32_t pcr_count = 24;

TPML_PCR_SELECTION selection_of(std::uint32_t mask)
{
    TPML_PCR_SELECTION selection{};
    selection.count = 1;
    auto& bank = selection.pcrSelections[0];
    bank.hash = TPM2_ALG_SHA256;
    bank.sizeofSelect = 3;
    for (std::size_t index = 0; index < bank.sizeofSelect; ++index) {
        bank.pcrSelect[index] = static_cast<std::uint8_t>(mask >> (8 * index));
    }
    return selection;
}

Outcome<Loaded> load(const Tpm& tpm, ESYS_TR srk, const SealedSecret& sealed)
{
    const auto area = TRY(read_public(sealed.area));
    const auto secret = TRY(read_private(sealed.secret));
    ESYS_TR handle = ESYS_TR_NONE;
    const auto code = Esys_Load(tpm.esys(), srk, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &secret, &area, &handle);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("loading the machine root into the TPM", code);
    }
    return Loaded(tpm.esys(), handle);
}

Done assert_register(const Tpm& tpm, ESYS_TR session, TPM2_HANDLE register_index, const Digest& value)
{
    const std::string doing = "unsealing the machine root";
    auto index = TRY(tpm.object(register_index, doing));
    const auto operand = sized<TPM2B_OPERAND>(value);
    const auto code = Esys_PolicyNV(tpm.esys(), index, index, session, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                                    &operand, 0, TPM2_EO_EQ);
    Esys_TR_Close(tpm.esys(), &index);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    return {};
}

// The signer's key, and the TPM's own word that its signature over the approval is right.
Done assert_approval(const Tpm& tpm, ESYS_TR session, const Release::Approval& approval)
{
    const std::string doing = "unsealing the machine root: checking the signer's approval";
    TPM2B_PUBLIC signer{};
    TPMT_SIGNATURE signature{};
    std::size_t used = 0;
    std::size_t signature_used = 0;
    if (Tss2_MU_TPMT_PUBLIC_Unmarshal(approval.signer.data(), approval.signer.size(), &used, &signer.publicArea) !=
            TSS2_RC_SUCCESS ||
        Tss2_MU_TPMT_SIGNATURE_Unmarshal(approval.signature.data(), approval.signature.size(), &signature_used,
                                         &signature) != TSS2_RC_SUCCESS) {
        return fault(Kind::malformed, doing + ": it does not parse; have it signed again");
    }
    ESYS_TR handle = ESYS_TR_NONE;
    auto code = Esys_LoadExternal(tpm.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &signer,
                                  ESYS_TR_RH_OWNER, &handle);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    const Loaded key(tpm.esys(), handle);
    const auto name = TRY(tpm.name_of(key.get()));
    std::vector<std::uint8_t> approved(approval.policy.begin(), approval.policy.end());
    approved.insert(approved.end(), approval_reference.begin(), approval_reference.end());
    Owned<TPM2B_DIGEST> digest;
    Owned<TPMT_TK_HASHCHECK> hash_ticket;
    const auto message = sized<TPM2B_MAX_BUFFER>(approved);
    code = Esys_Hash(tpm.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &message, TPM2_ALG_SHA256, ESYS_TR_RH_NULL,
                     out(digest), out(hash_ticket));
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    Owned<TPMT_TK_VERIFIED> ticket;
    code = Esys_VerifySignature(tpm.esys(), key.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, digest.get(),
                                &signature, out(ticket));
    if (code != TSS2_RC_SUCCESS) {
        return fault(Kind::unauthentic, doing + ": it is not signed by the signer this root was made with; have the "
                                                "policy signed by that key (\"caisson root approve\")");
    }
    const auto policy = sized<TPM2B_DIGEST>(approval.policy);
    const auto reference = sized<TPM2B_NONCE>(bytes_of(approval_reference));
    const auto signer_name = [&name] {
        TPM2B_NAME out{};
        out.size = static_cast<std::uint16_t>(name.size());
        copy_bytes(out.name, name);
        return out;
    }();
    code = Esys_PolicyAuthorize(tpm.esys(), session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &policy, &reference,
                                &signer_name, ticket.get());
    if (plain_code(code) == TPM2_RC_VALUE) {
        return fault(Kind::unacceptable, doing +
                                             ": the signer approved other PCRs than this machine has now; have "
                                             "these approved (\"caisson root approve\"), or boot what was approved");
    }
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    return {};
}

Outcome<MachineRoot> unseal(const Tpm& tpm, const Loaded& object, const Loaded& session)
{
    Owned<TPM2B_SENSITIVE_DATA> secret;
    const auto code = Esys_Unseal(tpm.esys(), object.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE, out(secret));
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("unsealing the machine root", code);
    }
    MachineRoot root;
    const bool good = secret->size == MachineRoot::size;
    if (good) {
        copy_bytes(root.expose(), {secret->buffer, MachineRoot::size});
    }
    wipe(secret->buffer);
    if (!good) {
        return fault(Kind::malformed, "unsealing the machine root: what came back is none; restore the record");
    }
    return root;
}

Outcome<Loaded> policy_session(const Tpm& tpm, ESYS_TR srk)
{
    auto session = TRY(tpm.session(TPM2_SE_POLICY, srk));
    Esys_TRSess_SetAttributes(tpm.esys(), session.get(), 0, TPMA_SESSION_DECRYPT);
    return session;
}

} // namespace

Outcome<SealedSecret> seal_secret(const Tpm& tpm, ESYS_TR srk, const MachineRoot& root, const Digest& policy)
{
    TPM2B_PUBLIC wish{};
    wish.publicArea.type = TPM2_ALG_KEYEDHASH;
    wish.publicArea.nameAlg = TPM2_ALG_SHA256;
    wish.publicArea.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;
    wish.publicArea.authPolicy = sized<TPM2B_DIGEST>(policy);
    wish.publicArea.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
    TPM2B_SENSITIVE_CREATE secret{};
    secret.sensitive.data.size = MachineRoot::size;
    copy_bytes(secret.sensitive.data.buffer, root.expose());
    const TPM2B_DATA no_data{};
    const TPML_PCR_SELECTION no_pcrs{};
    auto session = TRY(tpm.session(TPM2_SE_HMAC, srk));
    Esys_TRSess_SetAttributes(tpm.esys(), session.get(), 0, TPMA_SESSION_ENCRYPT);
    Owned<TPM2B_PRIVATE> sealed;
    Owned<TPM2B_PUBLIC> area;
    Owned<TPM2B_CREATION_DATA> creation;
    Owned<TPM2B_DIGEST> digest;
    Owned<TPMT_TK_CREATION> ticket;
    const auto code = Esys_Create(tpm.esys(), srk, session.get(), ESYS_TR_NONE, ESYS_TR_NONE, &secret, &wish, &no_data,
                                  &no_pcrs, out(sealed), out(area), out(creation), out(digest), out(ticket));
    wipe(secret.sensitive.data.buffer);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("sealing the machine root", code);
    }
    return SealedSecret{marshalled(*area), marshalled(*sealed)};
}

Outcome<std::vector<Digest>> read_pcrs(const Tpm& tpm, std::uint32_t mask)
{
    std::vector<Digest> values;
    std::uint32_t left = mask;
    while (left != 0) {
        const auto wanted = selection_of(left);
        std::uint32_t counter = 0;
        Owned<TPML_PCR_SELECTION> selected;
        Owned<TPML_DIGEST> digests;
        const auto code = Esys_PCR_Read(tpm.esys(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &wanted, &counter,
                                        out(selected), out(digests));
        if (code != TSS2_RC_SUCCESS) {
            return tpm.refused("reading the PCRs", code);
        }
        if (digests->count == 0) {
            return fault(Kind::missing, "reading the PCRs: the TPM has no SHA-256 bank; switch it on in the firmware");
        }
        for (std::uint32_t index = 0; index < digests->count; ++index) {
            Digest value{};
            copy_bytes(value, Bytes(digests->digests[index].buffer, sizeof(Digest)));
            values.push_back(value);
        }
        std::uint32_t read = 0;
        for (std::uint32_t pcr = 0; pcr < pcr_count; ++pcr) {
            read |= (selected->pcrSelections[0].pcrSelect[pcr / 8] >> (pcr % 8) & 1U) << pcr;
        }
        if ((read & left) == 0) {
            return fault(Kind::malformed, "reading the PCRs: the TPM gives others than were asked for");
        }
        left &= ~read;
    }
    return values;
}

Outcome<MachineRoot> unseal_secret(const Tpm& tpm, ESYS_TR srk, const SealedSecret& sealed, const Release& release)
{
    const auto object = TRY(load(tpm, srk, sealed));
    const auto session = TRY(policy_session(tpm, srk));
    const auto selection = selection_of(release.pcr_mask);
    const auto code =
        Esys_PolicyPCR(tpm.esys(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &selection);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("unsealing the machine root", code);
    }
    if (release.register_value) {
        TRY(assert_register(tpm, session.get(), release.register_index, *release.register_value));
    }
    if (release.approval) {
        TRY(assert_approval(tpm, session.get(), *release.approval));
    }
    return unseal(tpm, object, session);
}

Outcome<MachineRoot> unseal_as_owner(const Tpm& tpm, ESYS_TR srk, const SealedSecret& sealed)
{
    const auto object = TRY(load(tpm, srk, sealed));
    const auto session = TRY(policy_session(tpm, srk));
    const auto authority = TRY(owner_session(tpm)); // the owner's secret does not cross the bus
    const auto code = Esys_PolicySecret(tpm.esys(), ESYS_TR_RH_OWNER, session.get(), authority.get(), ESYS_TR_NONE,
                                        ESYS_TR_NONE, nullptr, nullptr, nullptr, 0, nullptr, nullptr);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("unsealing the machine root as owner", code);
    }
    return unseal(tpm, object, session);
}

} // namespace caisson::host::tpm
