#include "host/enclave/root.hpp"
#include "cli/home_guard.hpp"
#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "core/text.hpp"
#include "host/enclave/enclave.hpp"
#include "host/enclave/image_files.hpp"
#include "host/enclave/platform_text.hpp"
#include "host/store/durable_file.hpp"
#include "host/store/json_object.hpp"
#include "host/text.hpp"
#include "host/tpm/tpm_root.hpp"
#include "protocol/evidence/tpm_policy.hpp"
#include "services/run/key_chamber.hpp"

#include <charconv>
#include <memory>
#include <optional>

namespace caisson::cli {
namespace {

using host::Done;
using host::fault;
using host::hex;
using host::Outcome;
using host::enclave::root_meaning;
using host::enclave::root_name;
using host::tpm::TpmRoot;
using host::tpm::TpmRootFacts;
using protocol::sgx::RootKind;

constexpr std::size_t pem_bytes_max = 8192;
constexpr std::size_t approval_bytes_max = 4096;
constexpr std::size_t signature_bytes_max = 256;
constexpr unsigned pcr_max = 23;

std::string pcr_list(std::uint32_t mask)
{
    std::string text;
    for (unsigned pcr = 0; pcr <= pcr_max; ++pcr) {
        if ((mask >> pcr & 1U) != 0) {
            text += (text.empty() ? "" : ",") + std::to_string(pcr);
        }
    }
    return text;
}

// "0,2,4,7".
Outcome<std::uint32_t> read_pcrs(const std::string& text)
{
    std::uint32_t mask = 0;
    const char* at = text.data();
    const char* const end = text.data() + text.size();
    while (at < end) {
        unsigned pcr = 0;
        const auto read = std::from_chars(at, end, pcr);
        if (read.ec != std::errc() || pcr > pcr_max || (read.ptr != end && *read.ptr != ',')) {
            mask = 0;
            break;
        }
        mask |= 1U << pcr;
        at = read.ptr + (read.ptr == end ? 0 : 1);
    }
    if (mask == 0) {
        return fault(Kind::malformed,
                     "usage: --pcrs \"" + text + "\": numbers from 0 to 23, with commas, are expected");
    }
    return mask;
}

Outcome<std::string> load_pem(const std::filesystem::path& path)
{
    const auto content = TRY(host::store::load_file(path, pem_bytes_max));
    return std::string(text_of(content));
}

// What it is ---------------------------------------------------------------------------------------------------------

void write_guard(JsonWriter& json, const std::optional<host::enclave::Guard>& guard)
{
    json.name("platform");
    guard ? json.text(host::enclave::platform_name(guard->platform)) : json.null();
    json.name("debug");
    guard ? json.boolean(guard->debug) : json.null();
}

std::string guard_line(const std::optional<host::enclave::Guard>& guard)
{
    if (!guard) {
        return "platform unknown";
    }
    return std::string("platform ") + host::enclave::platform_name(guard->platform) + " (" +
           host::enclave::platform_meaning(guard->platform) + "), " +
           (guard->debug ? "DEBUG: the host can read it" : "no debug");
}

std::string json_of(const TpmRootFacts& facts, const std::string& state, const Globals& globals)
{
    const auto kind = facts.tpm.software ? RootKind::software_tpm : RootKind::tpm;
    JsonWriter json;
    json.begin_object().name("root").text(root_name(kind)).name("hardware_trust").boolean(!facts.tpm.software);
    json.name("meaning").text(root_meaning(kind)).name("state").text(state.empty() ? "opens" : state);
    write_guard(json, guard_of_home(globals));
    json.name("tpm").text(facts.address).name("manufacturer").text(facts.tpm.manufacturer);
    json.name("vendor").text(facts.tpm.vendor).name("firmware").number(facts.tpm.firmware);
    json.name("in_lockout").boolean(facts.tpm.in_lockout).name("pcrs").text(pcr_list(facts.pcr_mask));
    json.name("signed").boolean(facts.is_signed).name("approved").boolean(facts.has_approval);
    json.name("bound_to_images").boolean(facts.binds_register);
    json.name("rollback_counters").boolean(true).name("attestation_key").text(hex(facts.ak_name)).end_object();
    return json.str();
}

std::string text_of(const TpmRootFacts& facts, const std::string& state, const Globals& globals)
{
    const auto kind = facts.tpm.software ? RootKind::software_tpm : RootKind::tpm;
    std::string text = std::string("root             ") + root_name(kind) + ": " + root_meaning(kind) + "\n";
    text += "chamber          " + guard_line(guard_of_home(globals)) + "\n";
    text += "TPM              " + facts.tpm.manufacturer + " " + facts.tpm.vendor + " at " + facts.address + "\n";
    text += "opens to         PCR " + pcr_list(facts.pcr_mask);
    text += facts.is_signed ? " as a signer approves them" : " as they were when it was sealed";
    text += facts.binds_register ? ", and the images of that time\n" : "\n";
    text += "state            " + (state.empty() ? std::string("opens here and now") : "STAYS SEALED: " + state) + "\n";
    text += "rollback         noticed: a counter in the TPM refuses older copies of keys and identity\n";
    text += "attestation key  " + hex(facts.ak_name) + "\n";
    if (facts.tpm.in_lockout) {
        text += "\nThe TPM is IN LOCKOUT after " + std::to_string(facts.tpm.lockout_failures) +
                " wrong secrets: it attests nothing until one is forgotten (every " +
                std::to_string(facts.tpm.lockout_recovery_seconds) + " s).\n";
    }
    text += facts.tpm.software
                ? "\nA software TPM is a program on some machine: who controls that machine has its keys.\n"
                : "\nIt proves: which firmware and boot loader ran, and which chambers were started. It\n"
                  "does not prove that the kernel or its administrator are honest now.\n";
    return text;
}

int show_file_root(const Globals& globals)
{
    const auto path = globals.home / "root.key";
    std::error_code error;
    const bool exists = std::filesystem::exists(path, error);
    const auto guard = guard_of_home(globals);
    if (globals.json) {
        JsonWriter json;
        json.begin_object().name("root").text(root_name(RootKind::file)).name("hardware_trust").boolean(false);
        json.name("meaning").text(root_meaning(RootKind::file)).name("state").text(exists ? "opens" : "not made yet");
        write_guard(json, guard);
        json.name("file").text(path.string()).name("rollback_counters").boolean(false).end_object();
        return print_json(json.str());
    }
    return print_text(std::string("root      file: ") + root_meaning(RootKind::file) + "\nchamber   " +
                      guard_line(guard) + "\nfile      " + path.string() +
                      (exists ? "" : " (made when it is first needed)") +
                      "\nrollback  not noticed: an older copy of the home opens\n\nWho has a copy of the file can open "
                      "all keys of this home.\nFor a TPM root, in a home without keys: caisson root init --owner "
                      "FILE\n");
}

int show(const Globals& globals)
{
    if (!TpmRoot::is_in(globals.home)) {
        return show_file_root(globals);
    }
    auto root = TpmRoot::open(globals.home);
    if (!root) {
        return report(root.error());
    }
    const auto facts = root->facts();
    if (!facts) {
        return report(facts.error());
    }
    const auto images = host::enclave::installed_images(host::enclave::find_images());
    const auto registered = images ? root->register_images(*images) : images;
    const auto opened = root->unseal();
    const auto state = !registered ? registered.error().what : !opened ? opened.error().what : std::string();
    const int printed =
        globals.json ? print_json(json_of(*facts, state, globals)) : print_text(text_of(*facts, state, globals));
    return state.empty() || printed != exit_ok ? printed
                                               : exit_code(!registered ? registered.error().kind : opened.error().kind);
}

// Making one ---------------------------------------------------------------------------------------------------------

struct InitWish {
    std::filesystem::path owner;
    std::string tpm = host::tpm::default_tpm_address;
    std::string pcrs = pcr_list(host::tpm::default_pcr_mask);
    std::filesystem::path signer;
    bool bind_images = false;
};

Done init(const InitWish& wish, const Globals& globals)
{
    std::error_code error;
    const auto file_root = globals.home / "root.key";
    if (std::filesystem::exists(file_root, error)) {
        return fault(Kind::conflict, "root init: " + file_root.string() +
                                         " is the root of this home already, and its "
                                         "keys open under no other; choose another --home");
    }
    host::tpm::Provision provision;
    provision.tpm.address = wish.tpm;
    provision.owner = wish.owner;
    provision.pcr_mask = TRY(read_pcrs(wish.pcrs));
    if (!wish.signer.empty()) {
        provision.signer_pem = TRY(load_pem(wish.signer));
    }
    if (wish.bind_images) {
        const auto images = TRY(host::enclave::installed_images(host::enclave::find_images()));
        provision.approved_register = host::tpm::register_of(images);
    }
    TRY(host::store::make_folder(globals.home, 0700));
    TRY(TpmRoot::provision(globals.home, provision));
    return {};
}

void add_init(Command& root, const Globals& globals)
{
    const auto wish = std::make_shared<InitWish>();
    auto& command = root.command("init", "makes this home's root in the TPM");
    command.describe("Only for a home without keys. Gives the TPM an owner secret if it has none, and writes it to the "
                     "file of --owner: keep it somewhere else, it is needed to seal the root anew after an update of "
                     "the firmware or boot loader.");
    command.option("--owner", "FILE", wish->owner, "the TPM's owner secret; made there if the TPM has none",
                   Need::required);
    command.option("--tpm", "ADDRESS", wish->tpm, "device:PATH or swtpm:path=SOCKET (default: device:/dev/tpmrm0)");
    command.option("--pcrs", "LIST", wish->pcrs, "the PCRs it is sealed to (default: 0,2,4,7)");
    command.option("--signer", "FILE", wish->signer,
                   "a P-256 key in PEM: it opens to PCRs that this key approves, instead of those of now");
    command.flag("--bind-images", wish->bind_images, "it opens only where exactly the installed chambers were started");
    command.example("caisson root init --owner /media/usb/owner.secret", "makes a root in /dev/tpmrm0");
    command.action([wish, &globals] {
        const auto done = init(*wish, globals);
        return done ? show(globals) : report(done.error());
    });
}

// After a change -----------------------------------------------------------------------------------------------------

void add_reseal(Command& root, const Globals& globals)
{
    struct Wish {
        std::filesystem::path owner;
        std::string pcrs;
    };
    const auto wish = std::make_shared<Wish>();
    auto& command = root.command("reseal", "seals the root to what this machine is now");
    command.describe("After an update of firmware, boot loader or, with --bind-images, chambers. The keys stay as they "
                     "are.");
    command.option("--owner", "FILE", wish->owner, "the TPM's owner secret", Need::required);
    command.option("--pcrs", "LIST", wish->pcrs, "other PCRs than before");
    command.action([wish, &globals]() -> int {
        const auto done = [&]() -> Done {
            std::optional<std::uint32_t> mask;
            if (!wish->pcrs.empty()) {
                mask = TRY(read_pcrs(wish->pcrs));
            }
            auto opened = TRY(TpmRoot::open(globals.home));
            return opened.reseal(wish->owner, mask);
        }();
        return done ? show(globals) : report(done.error());
    });
}

void add_restore(Command& root, const Globals& globals)
{
    const auto owner = std::make_shared<std::filesystem::path>();
    auto& command = root.command("restore", "accepts an older copy of the keys that was put back");
    command.describe("The counter in the TPM refuses older copies: a key that was removed would come back with them. "
                     "After the loss of a disk a backup may be all there is: this seals its keys anew. A node's "
                     "identity is not taken back; join again.");
    command.option("--owner", "FILE", *owner, "the TPM's owner secret", Need::required);
    command.action([owner, &globals]() -> int {
        const auto done = [&]() -> Done {
            auto chamber = TRY(services::run::KeyChamber::open_to_change(globals.home));
            TRY(chamber.accept_older(*owner));
            TRY(chamber.carry_over(host::store::KeyStore(globals.home)));
            return chamber.conclude();
        }();
        return done ? int{exit_ok} : report(done.error());
    });
}

struct Approval {
    Digest policy{};
    std::vector<std::uint8_t> signature;
};

std::string approval_text(const Approval& approval)
{
    return "{\n  \"version\": 1,\n  \"policy\": \"" + hex(approval.policy) + "\",\n  \"signature\": \"" +
           hex(approval.signature) + "\"\n}\n";
}

Outcome<Approval> load_approval(const std::filesystem::path& file)
{
    const auto content = TRY(host::store::load_file(file, approval_bytes_max));
    const auto object =
        TRY(host::store::JsonObject::parse(caisson::text_of(content), "approval " + file.string(),
                                           "have the state approved again with \"caisson root approve\""));
    TRY(object.expect_number("version", 1));
    Approval approval;
    TRY(object.read_hex_to("policy", approval.policy));
    approval.signature = TRY(object.hex("signature", 1, signature_bytes_max));
    return approval;
}

void add_policy(Command& root, const Globals& globals)
{
    auto& command = root.command("policy", "prints the state of this machine, for the signer to approve");
    command.action([&globals]() -> int {
        const auto policy = [&]() -> Outcome<Digest> {
            auto opened = TRY(TpmRoot::open(globals.home));
            return opened.policy_of_now();
        }();
        if (!policy) {
            return report(policy.error());
        }
        if (globals.json) {
            JsonWriter json;
            json.begin_object().name("policy").text(hex(*policy)).end_object();
            return print_json(json.str());
        }
        return print_text(hex(*policy) + "\n");
    });
}

void add_approve(Command& root)
{
    struct Wish {
        std::string policy;
        std::filesystem::path key;
    };
    const auto wish = std::make_shared<Wish>();
    auto& command = root.command("approve", "signs a state, so that roots made with this signer open to it");
    command.describe("For whoever keeps the signer's key, on any machine: prints the approval, which \"caisson root "
                     "accept\" takes in on each machine that has this state. No root is sealed anew.");
    command.argument("POLICY", wish->policy, "what \"caisson root policy\" printed");
    command.option("--key", "FILE", wish->key, "the signer's secret key, P-256 in PEM", Need::required);
    command.example("caisson root approve $(caisson root policy) --key vendor.pem > state.json", "approves a state");
    command.action([wish]() -> int {
        const auto made = [&]() -> Outcome<Approval> {
            Approval approval;
            const auto size = read_hex(approval.policy, wish->policy);
            if (!size || *size != approval.policy.size()) {
                return fault(Kind::malformed, "usage: POLICY is not 64 hexadecimal digits; \"caisson root policy\" "
                                              "prints them");
            }
            const auto pem = TRY(load_pem(wish->key));
            approval.signature = TRY(protocol::evidence::approve_policy(pem, approval.policy));
            return approval;
        }();
        return made ? print_text(approval_text(*made)) : report(made.error());
    });
}

void add_accept(Command& root, const Globals& globals)
{
    const auto file = std::make_shared<std::filesystem::path>();
    auto& command = root.command("accept", "takes in a signer's approval of this machine's state");
    command.argument("FILE", *file, "what \"caisson root approve\" printed");
    command.action([file, &globals]() -> int {
        const auto done = [&]() -> Done {
            const auto approval = TRY(load_approval(*file));
            auto opened = TRY(TpmRoot::open(globals.home));
            return opened.accept_approval(approval.policy, approval.signature);
        }();
        return done ? show(globals) : report(done.error());
    });
}

} // namespace

void add_root(Command& root, const Globals& globals)
{
    auto& verb = root.command("root", "shows, makes and re-seals what this home's keys stand on");
    verb.describe("All keys of a home are sealed under its root: a TPM's, or a file, which is for development and "
                  "proves nothing.");
    auto& command = verb.command("show", "shows what the root is and what it proves");
    command.action([&globals] { return show(globals); });
    add_init(verb, globals);
    add_reseal(verb, globals);
    add_restore(verb, globals);
    add_policy(verb, globals);
    add_approve(verb);
    add_accept(verb, globals);
}

} // namespace caisson::cli
