#include "services/attestation/node_cpu.hpp"

#include "core/text.hpp"
#include "host/store/durable_file.hpp"
#include "host/text.hpp"

#include <algorithm>

namespace caisson::services::attestation {
namespace {

namespace evidence = protocol::evidence;
using host::fault;
using host::hex;
using host::Outcome;
using host::store::CpuRecord;

constexpr std::size_t collateral_file_bytes_max = std::size_t{1} << 20U;
constexpr const char* root_file = "root.sha256";

std::int64_t seconds(std::uint64_t ms) noexcept
{
    return static_cast<std::int64_t>(ms / 1000);
}

std::string described(const evidence::SgxVerdict& verdict, const SgxTrust& by)
{
    std::string text = std::string(by.simulated ? "simulated SGX, not Intel's root; " : "SGX; ") + "FMSPC " +
                       hex(verdict.platform.fmspc) + ", " + evidence::tcb_status_name(verdict.status) + ", TCB of " +
                       verdict.platform_date;
    for (const auto& advisory : verdict.advisories) {
        text += (advisory == verdict.advisories.front() ? "; " : ", ") + advisory;
    }
    return text;
}

// What the quote is about: the report body speaks for the CPU, the evidence for the witness.
host::Done expect_same_enclave(const evidence::SgxVerdict& verdict, const protocol::WitnessEvidence& witness)
{
    const auto& body = verdict.body;
    const auto& chamber = witness.chamber;
    if (body.mrenclave != chamber.mrenclave || body.mrsigner != chamber.mrsigner ||
        body.isv_prod_id != chamber.product || body.isv_svn != chamber.svn || verdict.debug != chamber.debug) {
        return fault(Kind::unauthentic, "the quote is of another enclave than the witness says it is");
    }
    if (body.report_data != protocol::evidence_report_data(witness)) {
        return fault(Kind::unauthentic,
                     "the quote is over another key, TLS key, connection or nonce than the evidence");
    }
    return {};
}

Outcome<std::string> load_text(const std::filesystem::path& path)
{
    const auto bytes = TRY(host::store::load_file(path, collateral_file_bytes_max, host::store::Writers::anyone));
    return std::string(text_of(bytes));
}

struct NamedText {
    const char* name;
    std::string SgxTrust::* text;
};
constexpr NamedText text_files[] = {
    {"tcb_info.json", &SgxTrust::tcb_info},
    {"tcb_info_chain.pem", &SgxTrust::tcb_info_chain},
    {"qe_identity.json", &SgxTrust::qe_identity},
    {"qe_identity_chain.pem", &SgxTrust::qe_identity_chain},
};
struct NamedBytes {
    const char* name;
    std::vector<std::uint8_t> SgxTrust::* bytes;
};
constexpr NamedBytes byte_files[] = {{"pck_crl.der", &SgxTrust::pck_crl}, {"root_crl.der", &SgxTrust::root_crl}};

// Collateral in a folder, under these names.
Outcome<SgxTrust> load_collateral(const std::filesystem::path& folder)
{
    SgxTrust trust;
    for (const auto& [name, text] : text_files) {
        trust.*text = TRY(load_text(folder / name));
    }
    for (const auto& [name, bytes] : byte_files) {
        trust.*bytes =
            TRY(host::store::load_file(folder / name, collateral_file_bytes_max, host::store::Writers::anyone));
    }
    return trust;
}

host::Done use_root(SgxTrust& trust, std::string_view text, const std::string& where)
{
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
        text.remove_suffix(1);
    }
    const auto size = read_hex(trust.root, text);
    if (!size || *size != trust.root.size()) {
        return fault(Kind::malformed, where + ": the SHA-256 of a root's public key is 64 hexadecimal digits");
    }
    trust.simulated = trust.root != evidence::intel_sgx_root;
    return {};
}

} // namespace

Outcome<CpuRecord> check_quote(const std::vector<SgxTrust>& trusted, Bytes quote,
                               const protocol::WitnessEvidence& witness, std::uint64_t now_ms)
{
    if (quote.empty()) {
        return fault(Kind::missing, "the witness says it runs on SGX and shows no quote");
    }
    if (trusted.empty()) {
        return fault(Kind::missing, "the witness runs on SGX, and this server has no collateral to judge a quote by: "
                                    "\"caisson server trust-sgx FOLDER\"");
    }
    Outcome<CpuRecord> checked = fault(Kind::unacceptable, "no collateral fits");
    for (const auto& trust : trusted) {
        const auto verdict = evidence::verify_sgx_quote(quote, trust.collateral(), trust.root, seconds(now_ms));
        if (!verdict) {
            checked = fault(verdict.error().kind, std::string("its quote: ") + verdict.error().what);
            continue;
        }
        TRY(expect_same_enclave(*verdict, witness));
        if (verdict->status == evidence::TcbStatus::Revoked) {
            return fault(Kind::unacceptable, "its quote: Intel has revoked that platform");
        }
        return CpuRecord{described(*verdict, trust), evidence::tcb_status_name(verdict->status), trust.simulated,
                         now_ms};
    }
    return checked;
}

Outcome<std::string> trust_sgx(const std::filesystem::path& home, const std::filesystem::path& folder,
                               const std::string& root_sha256, std::uint64_t now_ms)
{
    const auto server = home / "server";
    TRY(host::store::load_file(server / "server.conf", collateral_file_bytes_max)); // there is a server
    auto trust = TRY(load_collateral(folder));
    if (!root_sha256.empty()) {
        TRY(use_root(trust, root_sha256, "--root"));
    }
    const auto verified = evidence::verify_sgx_collateral(trust.collateral(), trust.root, seconds(now_ms));
    if (!verified) {
        return fault(verified.error().kind, "trust-sgx: " + folder.string() + ": " + verified.error().what +
                                                "; fetch it anew from Intel's PCS, or name its root with --root");
    }
    auto family = hex(verified->tcb_info.fmspc);
    const auto kept = server / "sgx" / family;
    TRY(host::store::make_folder(server / "sgx", 0700));
    TRY(host::store::make_folder(kept, 0700));
    const auto store = [&kept](const char* name, Bytes content) {
        return host::store::store_file(kept / name, content, 0600, host::store::Existing::replace);
    };
    TRY(store(root_file, bytes_of(hex(trust.root) + "\n")));
    for (const auto& [name, text] : text_files) {
        TRY(store(name, bytes_of(trust.*text)));
    }
    for (const auto& [name, bytes] : byte_files) {
        TRY(store(name, trust.*bytes));
    }
    return family;
}

Outcome<std::vector<SgxTrust>> load_all_sgx_trust(const std::filesystem::path& home)
{
    std::vector<std::filesystem::path> folders;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(home / "server" / "sgx", error)) {
        folders.push_back(entry.path());
    }
    std::ranges::sort(folders);
    std::vector<SgxTrust> all;
    for (const auto& folder : folders) {
        auto& trust = all.emplace_back(TRY(load_collateral(folder)));
        const auto root = TRY(load_text(folder / root_file));
        TRY(use_root(trust, root, (folder / root_file).string()));
    }
    return all;
}

} // namespace caisson::services::attestation
