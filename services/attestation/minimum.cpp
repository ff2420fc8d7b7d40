#include "services/attestation/minimum.hpp"

#include "host/text.hpp"
#include "services/attestation/node_root.hpp"

#include <algorithm>

namespace caisson::services::attestation {
namespace {

using host::hex;
using protocol::TrustTier;
using protocol::sgx::Platform;
using protocol::sgx::RootKind;

int strength(Platform platform) noexcept
{
    return platform == Platform::sgx ? 2 : platform == Platform::process ? 1 : 0;
}

const char* in_words(Platform platform) noexcept
{
    return platform == Platform::sgx       ? "sgx, shown by a quote"
           : platform == Platform::process ? "process, a locked-down process that emulates SGX"
                                           : "inproc, no isolation";
}

std::string key_text(const protocol::CurveKey& key)
{
    return "the chamber of key " + host::z85(key.bytes);
}

} // namespace

Proven proven_of(const protocol::ChamberIdentity& witness, const std::optional<host::store::RootRecord>& tpm,
                 const std::optional<host::store::CpuRecord>& cpu)
{
    Proven proven;
    const bool by_cpu = cpu && !cpu->simulated; // [EVIDENCE-11]
    const bool says_sgx = witness.platform == Platform::sgx;
    proven.platform = says_sgx && !by_cpu ? Platform::process : witness.platform;
    proven.root = by_cpu ? RootKind::cpu : proven_root(tpm);
    proven.debug = witness.debug;
    proven.mrenclave = witness.mrenclave;
    proven.tcb_status = cpu ? cpu->status : "";
    return proven;
}

std::vector<Shortfall> shortfalls(const Policy& policy, const Proven& proven,
                                  std::span<const protocol::CurveKeyClaim> keys)
{
    std::vector<Shortfall> found;
    const auto expect = [&](bool met, std::string what, std::string wanted, std::string is,
                            TrustTier tier = TrustTier::contraindicated) {
        if (!met) {
            found.push_back({{"", std::move(what), std::move(wanted), std::move(is)}, tier});
        }
    };
    if (auto weaker = root_shortfall(policy.root, proven.root)) {
        found.push_back({std::move(*weaker), TrustTier::contraindicated});
    }
    expect(strength(proven.platform) >= strength(policy.platform), "its platform is weaker than the policy demands",
           in_words(policy.platform), in_words(proven.platform));
    expect(policy.debug_allowed || !proven.debug, "its witness is a debug enclave, which its host can read and change",
           "no debug enclave", "debug");
    expect(policy.witnesses.empty() || std::ranges::find(policy.witnesses, proven.mrenclave) != policy.witnesses.end(),
           "its witness is another image than the policy names",
           hex(policy.witnesses.empty() ? Digest{} : policy.witnesses.front()), hex(proven.mrenclave));
    expect(proven.tcb_status.empty() || std::ranges::find(policy.tcb, proven.tcb_status) != policy.tcb.end(),
           "what Intel says of its CPU is not what the policy accepts", policy.tcb.front(), proven.tcb_status,
           TrustTier::warning);
    for (const auto& claim : keys) {
        expect(strength(claim.platform) >= strength(policy.platform),
               key_text(claim.key) + " is on a weaker platform than the policy demands", in_words(policy.platform),
               in_words(claim.platform));
        expect(policy.debug_allowed || !claim.debug, key_text(claim.key) + " is a debug enclave", "no debug enclave",
               "debug");
    }
    return found;
}

} // namespace caisson::services::attestation
