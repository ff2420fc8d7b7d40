#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "host/enclave/enclave.hpp"
#include "host/enclave/platform_text.hpp"
#include "host/enclave/root.hpp"
#include "host/store/throwaway_folder.hpp"
#include "host/text.hpp"

#include <array>
#include <cstdlib>
#include <optional>

#include <sys/resource.h>
#include <sys/utsname.h>

namespace caisson::cli {
namespace {

using host::hex;
using host::Outcome;
using host::enclave::ChamberKind;
using host::enclave::Enclave;
using host::enclave::EnclaveFacts;
using host::enclave::hardening_text;
using host::enclave::platform_meaning;
using host::enclave::platform_name;
using host::enclave::root_meaning;
using host::enclave::root_name;
using protocol::ImageHardening;
using protocol::sgx::Platform;
using protocol::sgx::RootKind;

Outcome<EnclaveFacts> try_chamber(ChamberKind chamber)
{
    const host::store::ThrowawayFolder folder("doctor");
    if (folder.path().empty()) {
        return host::fault(Kind::unavailable, "doctor: no temporary folder can be made; is the disk full?");
    }
    const auto root = TRY(host::enclave::Root::open_file(folder.path() / "root.key"));
    host::enclave::EnclaveOptions options;
    options.chamber = chamber;
    const auto enclave = TRY(Enclave::open(options, root));
    return enclave->facts();
}

struct Device {
    const char* name;
    const char* path;
    const char* without;
    const char* with;
};

constexpr std::array devices{
    Device{"sgx", "/dev/sgx_enclave",
           "no SGX enclaves here: chambers run as locked-down processes, which the kernel and root can look into",
           "for the witness: caisson agent join --platform sgx; keys stay on process"},
    Device{"tpm", "/dev/tpmrm0",
           "no TPM here: sealed keys stand on the file root.key, and nothing proves what this machine has booted",
           "a root can be made in it: caisson root init"},
};

bool is_there(const Device& device)
{
    std::error_code error;
    return std::filesystem::exists(device.path, error);
}

std::string kernel()
{
    ::utsname facts{};
    return ::uname(&facts) == 0 ? std::string(facts.sysname) + " " + facts.release : "unknown";
}

// What memfd_secret and mlock of one process draw on; root with CAP_IPC_LOCK has no limit.
struct LockedMemory {
    static constexpr ::rlim_t wanted = ::rlim_t{8} << 20U; // for a chamber with its whole arena
    std::optional<std::uint64_t> limit = limit_now();

    [[nodiscard]] bool enough() const { return !limit || *limit >= wanted; }

  private:
    static std::optional<std::uint64_t> limit_now()
    {
        ::rlimit limit{};
        const bool known = ::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
        return known ? std::optional<std::uint64_t>(limit.rlim_cur) : std::nullopt;
    }
};

std::string text_of(const LockedMemory& locked)
{
    if (!locked.limit) {
        return "locked memory: no limit\n";
    }
    const auto kib = std::to_string(*locked.limit >> 10U);
    return "locked memory: " + kib + " KiB for a chamber of a user who is not root (RLIMIT_MEMLOCK)" +
           (locked.enough() ? ";\n     `ulimit -l` or LimitMEMLOCK= raise it\n"
                            : ": TOO LITTLE,\n     raise it to 8192 KiB with `ulimit -l` or LimitMEMLOCK=\n");
}

void add_locked_memory(JsonWriter& json, const LockedMemory& locked)
{
    json.name("locked_memory").begin_object().name("limit_bytes");
    if (locked.limit) {
        json.number(*locked.limit);
    } else {
        json.null();
    }
    json.name("wanted_bytes").number(LockedMemory::wanted).name("enough").boolean(locked.enough()).end_object();
}

// [SEAL-5]
bool counts(RootKind root)
{
    return root == RootKind::tpm || root == RootKind::software_tpm;
}

const char* rollback_text(RootKind root)
{
    return counts(root) ? "rollback: a counter in the TPM refuses older copies of keys and identity\n"
                        : "rollback: NOT NOTICED: this root has no counter, and an older copy of the home opens\n";
}

// What the home's root proves, in the words of people.
const char* proof_text(RootKind root)
{
    switch (root) {
    case RootKind::tpm:
        return "This machine can prove: by its TPM which firmware and boot loader it started and which chamber images\n"
               "were started since; and what its files and kernel facts are, as measured by the witness chamber.\n"
               "It cannot prove: that its kernel and its administrator are honest now.\n";
    case RootKind::software_tpm:
        return "This machine can prove what a TPM proves, to anybody who trusts whoever runs that software TPM.\n"
               "It cannot prove anything about hardware, or that its kernel and its administrator are honest.\n";
    default:
        return "This machine can prove: which chamber images run here, to anybody who trusts its root.key; and what "
               "its\n"
               "files and kernel facts are, as measured by the witness chamber.\n"
               "It cannot prove: that root.key was not copied, or that its kernel and its administrator are honest.\n";
    }
}

struct Findings {
    RootKind root = RootKind::file; // of the home
    LockedMemory locked{};
    std::string kernel_name = kernel();
    std::array<std::pair<ChamberKind, Outcome<EnclaveFacts>>, 2> chambers{
        std::pair{ChamberKind::curve, try_chamber(ChamberKind::curve)},
        std::pair{ChamberKind::witness, try_chamber(ChamberKind::witness)},
    };

    [[nodiscard]] bool all_start() const { return chambers[0].second && chambers[1].second; }
};

void add_chamber(JsonWriter& json, ChamberKind kind, const Outcome<EnclaveFacts>& facts)
{
    json.begin_object().name("name").text(host::enclave::chamber_name(kind)).name("starts").boolean(facts.has_value());
    if (!facts) {
        json.name("reason").text(facts.error().what).end_object();
        return;
    }
    json.name("platform").text(platform_name(facts->platform)).name("root").text(root_name(facts->root));
    json.name("debug").boolean(facts->debug).name("mrenclave").text(hex(facts->mrenclave));
    json.name("hardening").begin_object().name("lfence").boolean(facts->note.has(ImageHardening::lfence));
    json.name("verw").boolean(facts->note.has(ImageHardening::verw)).end_object();
    json.name("protections").begin_array();
    for (const auto& protection : facts->protections) {
        json.begin_object().name("name").text(protection.name).name("active").boolean(protection.active);
        json.name("reason").text(protection.reason).end_object();
    }
    json.end_array().end_object();
}

std::string json_of(const Findings& findings)
{
    JsonWriter json;
    json.begin_object().name("kernel").text(findings.kernel_name).name("hardware_trust").boolean(false);
    json.name("root").text(root_name(findings.root)).name("rollback_counters").boolean(counts(findings.root));
    json.name("chambers").begin_array();
    for (const auto& [kind, facts] : findings.chambers) {
        add_chamber(json, kind, facts);
    }
    json.end_array();
    add_locked_memory(json, findings.locked);
    json.name("devices").begin_object();
    for (const auto& device : devices) {
        json.name(device.name).boolean(is_there(device));
    }
    json.end_object().end_object();
    return json.str();
}

std::string chamber_text(ChamberKind kind, const Outcome<EnclaveFacts>& facts)
{
    std::string text = std::string("chamber ") + host::enclave::chamber_name(kind) + ": ";
    if (!facts) {
        return text + "DOES NOT START\n  " + facts.error().what + "\n";
    }
    text +=
        std::string("starts; platform ") + platform_name(facts->platform) + ", " + platform_meaning(facts->platform);
    text += facts->debug ? "; DEBUG\n" : "\n";
    text += "  hardening of the image: " + hardening_text(facts->note) + "\n";
    for (const auto& protection : facts->protections) {
        text += (protection.active ? "  yes  " : "  NO   ") + protection.name;
        text += protection.active || protection.reason.empty() ? "\n" : ": " + protection.reason + "\n";
    }
    return text;
}

std::string text_for_people(const Findings& findings)
{
    std::string text = "kernel: " + findings.kernel_name + "\n";
    for (const auto& [kind, facts] : findings.chambers) {
        text += chamber_text(kind, facts);
    }
    text += text_of(findings.locked);
    text += std::string("root: ") + root_name(findings.root) + ", " + root_meaning(findings.root) + "\n";
    text += rollback_text(findings.root);
    for (const auto& device : devices) {
        text += is_there(device) ? std::string(device.name) + ": " + device.path + " is there; " + device.with + "\n"
                                 : std::string(device.name) + ": " + device.without + "\n";
    }
    return text + "\n" + proof_text(findings.root);
}

} // namespace

void add_doctor(Command& root, const Globals& globals)
{
    auto& doctor = root.command("doctor", "says what this machine can prove and what it cannot");
    doctor.describe("Starts each chamber once, under a root that is thrown away, and lists the protections that are "
                    "active around it, and why others are not; says what the home's root is. Changes nothing.");
    doctor.action([&globals]() -> int {
        const auto kind = host::enclave::Root::kind_of(globals.home);
        if (!kind) {
            return report(kind.error());
        }
        const Findings findings{*kind};
        const int printed = globals.json ? print_json(json_of(findings)) : print_text(text_for_people(findings));
        return findings.all_start() ? printed : int{exit_unavailable};
    });
}

} // namespace caisson::cli
