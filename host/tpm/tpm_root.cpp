#include "host/tpm/tpm_root.hpp"

#include "core/text.hpp"
#include "host/store/durable_file.hpp"
#include "host/store/folder_lock.hpp"
#include "host/tpm/attest.hpp"
#include "host/tpm/nv.hpp"
#include "host/tpm/root_record.hpp"
#include "host/tpm/tpm_keys.hpp"
#include "protocol/evidence/tpm_policy.hpp"

#include <sodium.h>
#include <sys/random.h>

#include <algorithm>

namespace caisson::host::tpm {
namespace {

namespace evidence = protocol::evidence;
using CounterSecret = Secret<32, struct CounterSecretTag>;

constexpr std::size_t owner_file_bytes_max = 4096;
constexpr std::uint32_t quoted_pcr_mask = 0x3ff; // 0 to 9; IMA's PCR 10 would change between reading and quoting

Done fill_random(MutableBytes bytes)
{
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        return std::unexpected(system_fault("getting random bytes", errno));
    }
    return {};
}

// Who has the machine root may count; nobody else can exhaust or read the counters.
CounterSecret counter_secret(const MachineRoot& root)
{
    constexpr std::string_view purpose = "caisson rollback counters v1";
    CounterSecret secret;
    crypto_generichash(secret.expose().data(), CounterSecret::size, bytes_of(purpose).data(), purpose.size(),
                       root.expose().data(), MachineRoot::size);
    return secret;
}

// What a signer approves, and what a root without a signer is sealed to.
Outcome<Digest> state_policy(const Tpm& tpm, const RootRecord& record)
{
    const auto values = TRY(read_pcrs(tpm, record.pcr_mask));
    auto policy =
        evidence::policy_pcr(Digest{}, {evidence::TPM_ALG_SHA256, record.pcr_mask}, evidence::pcr_digest_of(values));
    if (record.register_value) {
        const auto name = evidence::nv_name(
            {Slot{record.slot}.image_register(), register_attributes | TPMA_NV_WRITTEN, sizeof(Digest)});
        policy = evidence::policy_nv_equals(policy, name, *record.register_value);
    }
    return policy;
}

Outcome<Digest> release_policy(const Tpm& tpm, const RootRecord& record)
{
    if (record.signer.empty()) {
        return state_policy(tpm, record);
    }
    const auto name = TRY(evidence::tpm_name(evidence::TPM_ALG_SHA256, record.signer));
    return evidence::policy_authorize(name);
}

Digest recovery_policy()
{
    // The Name of a hierarchy is its handle.
    constexpr ByteArray<4> owner_name{0x40, 0, 0, 1};
    return evidence::policy_secret(Digest{}, owner_name);
}

Release release_of(const RootRecord& record)
{
    Release release;
    release.pcr_mask = record.pcr_mask;
    release.register_index = Slot{record.slot}.image_register();
    release.register_value = record.register_value;
    if (!record.signer.empty()) {
        release.approval = Release::Approval{record.signer, record.approved, record.approval};
    }
    return release;
}

Done expect_owner_fits(const TpmFacts& facts, const std::filesystem::path& path)
{
    std::error_code error;
    if (facts.owner_set && !std::filesystem::exists(path, error)) {
        return fault(Kind::forbidden, "TPM root: the TPM has an owner secret already; give the file that holds it with "
                                      "--owner FILE, or clear the TPM in the firmware");
    }
    return {};
}

} // namespace

struct TpmRoot::Inside {
    std::filesystem::path home;
    store::FolderLock lock; // one process at a time: register and log belong together
    Tpm tpm;
    RootRecord record;
    ESYS_TR srk = ESYS_TR_NONE;
    ESYS_TR ak = ESYS_TR_NONE;
};

TpmRoot::TpmRoot(std::unique_ptr<Inside> inside) noexcept
    : inside_(std::move(inside))
{
}
TpmRoot::TpmRoot(TpmRoot&&) noexcept = default;
TpmRoot& TpmRoot::operator=(TpmRoot&&) noexcept = default;
TpmRoot::~TpmRoot() = default;

Outcome<std::vector<std::uint8_t>> load_owner_secret(const std::filesystem::path& path)
{
    auto content = TRY(store::load_file(path, owner_file_bytes_max));
    auto text = text_of(content);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
        text.remove_suffix(1);
    }
    std::vector<std::uint8_t> secret(owner_secret_bytes);
    const auto size = read_hex(secret, text);
    wipe(content);
    if (!size || *size != owner_secret_bytes) {
        return fault(Kind::malformed, path.string() + ": not an owner secret; 64 hexadecimal digits are expected");
    }
    return secret;
}

Outcome<std::vector<std::uint8_t>> provide_owner_secret(const std::filesystem::path& path)
{
    std::error_code error;
    if (std::filesystem::exists(path, error)) {
        return load_owner_secret(path);
    }
    std::vector<std::uint8_t> secret(owner_secret_bytes);
    TRY(fill_random(secret));
    std::string text(2 * secret.size() + 1, '\n');
    write_hex({text.data(), 2 * secret.size()}, secret);
    const auto stored = store::store_file(path, bytes_of(text), 0600, store::Existing::keep);
    wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    if (!stored) {
        return std::unexpected(stored.error());
    }
    return secret;
}

Digest register_of(std::span<const Digest> images) noexcept
{
    return register_after(images);
}

bool TpmRoot::is_in(const std::filesystem::path& home)
{
    std::error_code error;
    return std::filesystem::exists(record_path(home), error);
}

namespace {

// The order makes a crash harmless: the owner's secret is on disk before the TPM gets it, the record comes last, and
// what is in the TPM already is taken as it is. Requires: an Owner.
Outcome<RootRecord> make_record(const Tpm& tpm, const Provision& wish, ESYS_TR srk, ESYS_TR ak, bool software)
{
    RootRecord record;
    record.address = tpm.address();
    record.software = software;
    record.pcr_mask = wish.pcr_mask;
    record.register_value = wish.approved_register;
    if (!wish.signer_pem.empty()) {
        record.signer = TRY(evidence::signer_public(wish.signer_pem));
    }
    record.srk_name = TRY(tpm.name_of(srk));
    record.ak_name = TRY(tpm.name_of(ak));
    const auto slot = TRY(free_slot(tpm));
    record.slot = slot.first;
    MachineRoot root;
    TRY(fill_random(root.expose()));
    TRY(make_register(tpm, slot));
    const auto secret = counter_secret(root);
    for (std::size_t number = 0; number < counters_count; ++number) {
        TRY(make_counter(tpm, slot.counter(number), secret.expose(), srk));
    }
    const auto policy = TRY(release_policy(tpm, record));
    record.release = TRY(seal_secret(tpm, srk, root, policy));
    record.recovery = TRY(seal_secret(tpm, srk, root, recovery_policy()));
    return record;
}

// Keys and owner's secret, then the record. The connection ends here: a software TPM serves one at a time.
Outcome<RootRecord> provide_all(const Provision& wish)
{
    const auto tpm = TRY(Tpm::open(wish.tpm));
    const auto facts = TRY(tpm.facts());
    TRY(expect_owner_fits(facts, wish.owner));
    auto secret = TRY(provide_owner_secret(wish.owner));
    auto made = [&]() -> Outcome<RootRecord> {
        if (!facts.owner_set) {
            const Owner nobody(tpm, {});
            const auto srk = TRY(provide_srk(tpm));
            TRY(set_owner_secret(tpm, secret, srk));
        }
        const Owner owner(tpm, secret);
        const auto srk = TRY(provide_srk(tpm));
        const auto ak = TRY(provide_ak(tpm));
        return make_record(tpm, wish, srk, ak, facts.software);
    }();
    wipe(secret);
    return made;
}

} // namespace

Outcome<TpmRoot> TpmRoot::provision(const std::filesystem::path& home, const Provision& wish)
{
    if (is_in(home)) {
        return fault(Kind::conflict, "TPM root: " + record_path(home).string() +
                                         " is there already; choose another --home, or remove the folder and with it "
                                         "all that was sealed under it");
    }
    const auto record = TRY(provide_all(wish));
    TRY(store_record(home, record));
    return open(home, wish.tpm.deadline);
}

Outcome<bool> TpmRoot::is_simulated(const std::filesystem::path& home)
{
    return TRY(load_record(home)).software;
}

Outcome<TpmRoot> TpmRoot::open(const std::filesystem::path& home, std::chrono::milliseconds deadline)
{
    auto lock = TRY(store::FolderLock::take(root_folder(home), deadline));
    auto record = TRY(load_record(home));
    TpmAddress address;
    address.address = record.address;
    address.deadline = deadline;
    auto tpm = TRY(Tpm::open(address));
    const auto srk = TRY(pinned(tpm, srk_handle, record.srk_name, "the storage key"));
    const auto ak = TRY(pinned(tpm, ak_handle, record.ak_name, "the attestation key"));
    return TpmRoot(std::make_unique<Inside>(Inside{home, std::move(lock), std::move(tpm), std::move(record), srk, ak}));
}

Outcome<MachineRoot> TpmRoot::unseal()
{
    const auto& record = inside_->record;
    if (!record.signer.empty() && record.approval.empty()) {
        return fault(Kind::unacceptable, "unsealing the machine root: no state of this machine is approved yet; have "
                                         "the signer approve it (\"caisson root approve\")");
    }
    return unseal_secret(inside_->tpm, inside_->srk, record.release, release_of(record));
}

Done TpmRoot::reseal(const std::filesystem::path& owner_file, std::optional<std::uint32_t> pcr_mask)
{
    auto secret = TRY(load_owner_secret(owner_file));
    const Owner owner(inside_->tpm, secret);
    wipe(secret);
    auto record = inside_->record;
    record.pcr_mask = pcr_mask.value_or(record.pcr_mask);
    if (record.register_value) {
        record.register_value = TRY(register_value(inside_->tpm, Slot{record.slot}));
    }
    const auto root = TRY(unseal_as_owner(inside_->tpm, inside_->srk, record.recovery));
    const auto policy = TRY(release_policy(inside_->tpm, record));
    record.release = TRY(seal_secret(inside_->tpm, inside_->srk, root, policy));
    TRY(store_record(inside_->home, record));
    inside_->record = std::move(record);
    return {};
}

Done TpmRoot::expect_owner(const std::filesystem::path& owner_file)
{
    auto secret = TRY(load_owner_secret(owner_file));
    const Owner owner(inside_->tpm, secret);
    wipe(secret);
    TRY(unseal_as_owner(inside_->tpm, inside_->srk, inside_->record.recovery));
    return {};
}

Outcome<Digest> TpmRoot::policy_of_now()
{
    return state_policy(inside_->tpm, inside_->record);
}

Done TpmRoot::accept_approval(const Digest& policy, Bytes signature)
{
    auto record = inside_->record;
    if (record.signer.empty()) {
        return fault(Kind::conflict, "TPM root: it has no signer: it is sealed to the PCRs themselves; use \"caisson "
                                     "root reseal\"");
    }
    record.approved = policy;
    record.approval.assign(signature.begin(), signature.end());
    TRY(unseal_secret(inside_->tpm, inside_->srk, record.release, release_of(record)));
    TRY(store_record(inside_->home, record));
    inside_->record = std::move(record);
    return {};
}

Outcome<std::vector<Digest>> TpmRoot::register_images(std::span<const Digest> images)
{
    const Slot slot{inside_->record.slot};
    auto log = TRY(load_image_log(inside_->home));
    const auto value = TRY(register_value(inside_->tpm, slot));
    if (value == Digest{}) {
        log.clear(); // of an earlier start of the TPM
    } else if (value != register_after(log) && !log.empty()) {
        log.pop_back(); // written, then nothing was extended: a crash between the two
    }
    if (value != register_after(log)) {
        return fault(Kind::conflict, "TPM root: the register of images was extended with something that is not in " +
                                         (root_folder(inside_->home) / "images.log").string() +
                                         "; restart the machine, which empties the register");
    }
    for (const auto& image : images) {
        if (std::ranges::find(log, image) != log.end()) {
            continue;
        }
        log.push_back(image);
        TRY(store_image_log(inside_->home, log));
        TRY(extend_register(inside_->tpm, slot, image));
    }
    return log;
}

Outcome<std::uint64_t> TpmRoot::counter(CounterOf of, const MachineRoot& root)
{
    const auto secret = counter_secret(root);
    return counter_value(inside_->tpm, Slot{inside_->record.slot}.counter(static_cast<std::size_t>(of)),
                         secret.expose(), inside_->srk);
}

Done TpmRoot::raise_counter(CounterOf of, const MachineRoot& root)
{
    const auto secret = counter_secret(root);
    return increment_counter(inside_->tpm, Slot{inside_->record.slot}.counter(static_cast<std::size_t>(of)),
                             secret.expose(), inside_->srk);
}

Outcome<Attestation> TpmRoot::attest(const Digest& extra)
{
    return attest_state(inside_->tpm, inside_->ak, Slot{inside_->record.slot},
                        quoted_pcr_mask | inside_->record.pcr_mask, extra);
}

Outcome<EndorsementOffer> TpmRoot::endorsement()
{
    auto endorsement = TRY(endorsement_of(inside_->tpm));
    auto ak = TRY(public_area(inside_->tpm, inside_->ak));
    return EndorsementOffer{std::move(endorsement.certificate), std::move(endorsement.ek_public), std::move(ak)};
}

Outcome<std::vector<std::uint8_t>> TpmRoot::activate(Bytes id_object, Bytes encrypted_secret)
{
    return activate_credential(inside_->tpm, inside_->ak, id_object, encrypted_secret);
}

Outcome<TpmRootFacts> TpmRoot::facts()
{
    const auto& record = inside_->record;
    TpmRootFacts facts;
    facts.address = record.address;
    facts.pcr_mask = record.pcr_mask;
    facts.is_signed = !record.signer.empty();
    facts.has_approval = !record.approval.empty();
    facts.binds_register = record.register_value.has_value();
    facts.ak_public = TRY(public_area(inside_->tpm, inside_->ak));
    facts.ak_name = record.ak_name;
    facts.tpm = TRY(inside_->tpm.facts());
    return facts;
}

} // namespace caisson::host::tpm
