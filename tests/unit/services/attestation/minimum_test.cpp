// What a policy may demand besides measurements: each demand, met and not met.
#include "services/attestation/minimum.hpp"

#include <gtest/gtest.h>

namespace caisson::services::attestation {
namespace {

using protocol::TrustTier;
using protocol::sgx::Platform;
using protocol::sgx::RootKind;

Policy policy_of(const std::string& lines)
{
    const auto policy = parse_policy("version = 1\n" + lines + "\nproc = [\"cmdline\"]\n", "policy");
    EXPECT_TRUE(policy) << policy.error().what;
    return policy.value_or(Policy());
}

bool is_refused(const std::string& lines)
{
    const auto policy = parse_policy("version = 1\n" + lines + "\nproc = [\"cmdline\"]\n", "policy");
    return !policy && policy.error().kind == Kind::malformed && policy.error().what.starts_with("policy:2: ");
}

// A node of the strongest kind.
Proven best()
{
    return {Platform::sgx, RootKind::cpu, false, "UpToDate", {}};
}

protocol::CurveKeyClaim claim_on(Platform platform, bool debug)
{
    protocol::CurveKeyClaim claim;
    claim.platform = platform;
    claim.debug = debug;
    return claim;
}

TrustTier worst(const std::vector<Shortfall>& found)
{
    auto tier = TrustTier::none;
    for (const auto& shortfall : found) {
        tier = std::max(tier, shortfall.tier);
    }
    return tier;
}

// [MEASURE-20]
TEST(Minimum, without_demands_every_platform_and_root_will_do_but_no_debug_enclave)
{
    const auto policy = policy_of("");
    EXPECT_TRUE(shortfalls(policy, {Platform::inproc, RootKind::file, false, "", {}}, {}).empty());
    EXPECT_TRUE(shortfalls(policy, best(), {}).empty());
    EXPECT_EQ(worst(shortfalls(policy, {Platform::process, RootKind::file, true, "", {}}, {})),
              TrustTier::contraindicated);
}

// [MEASURE-20]
TEST(Minimum, the_strongest_demands_are_met_by_a_cpu_alone)
{
    const auto policy = policy_of("platform = \"sgx\"\nroot = \"cpu\"\ndebug = \"refused\"\ntcb = [\"UpToDate\"]");
    EXPECT_TRUE(shortfalls(policy, best(), {}).empty());
    EXPECT_EQ(shortfalls(policy, {Platform::process, RootKind::tpm, true, "", {}}, {}).size(), 3U);
}

// [MEASURE-20]
TEST(Minimum, a_weaker_platform_falls_short_and_says_what_was_wanted_and_found)
{
    auto proven = best();
    proven.platform = Platform::process;
    const auto found = shortfalls(policy_of("platform = \"sgx\""), proven, {});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].tier, TrustTier::contraindicated);
    EXPECT_EQ(found[0].reason.what, "its platform is weaker than the policy demands");
    EXPECT_EQ(found[0].reason.expected, "sgx, shown by a quote");
    EXPECT_EQ(found[0].reason.found, "process, a locked-down process that emulates SGX");
    proven.platform = Platform::inproc;
    EXPECT_EQ(shortfalls(policy_of("platform = \"process\""), proven, {}).size(), 1U);
    EXPECT_TRUE(shortfalls(policy_of("platform = \"any\""), proven, {}).empty());
}

// [MEASURE-20]
TEST(Minimum, a_weaker_root_falls_short)
{
    auto proven = best();
    for (const auto root : {RootKind::file, RootKind::software_tpm, RootKind::tpm}) {
        proven.root = root;
        EXPECT_EQ(shortfalls(policy_of("root = \"cpu\""), proven, {}).size(), 1U);
    }
    proven.root = RootKind::software_tpm;
    EXPECT_EQ(shortfalls(policy_of("root = \"tpm\""), proven, {}).size(), 1U);
    EXPECT_TRUE(shortfalls(policy_of("root = \"software-tpm\""), proven, {}).empty());
}

// [MEASURE-20]
TEST(Minimum, a_debug_enclave_is_trusted_only_where_it_is_allowed)
{
    auto proven = best();
    proven.debug = true;
    EXPECT_EQ(shortfalls(policy_of("debug = \"refused\""), proven, {}).size(), 1U);
    EXPECT_TRUE(shortfalls(policy_of("debug = \"allowed\""), proven, {}).empty());
}

// [MEASURE-20]
TEST(Minimum, what_intel_warns_of_is_a_warning_unless_it_is_accepted)
{
    auto proven = best();
    proven.tcb_status = "SWHardeningNeeded";
    EXPECT_EQ(worst(shortfalls(policy_of(""), proven, {})), TrustTier::warning);
    EXPECT_TRUE(shortfalls(policy_of("tcb = [\"UpToDate\", \"SWHardeningNeeded\"]"), proven, {}).empty());
    proven.tcb_status = "UpToDate";
    EXPECT_EQ(worst(shortfalls(policy_of("tcb = [\"OutOfDate\"]"), proven, {})), TrustTier::warning);
    proven.tcb_status = ""; // no CPU vouches, so there is nothing to be out of date
    EXPECT_TRUE(shortfalls(policy_of(""), proven, {}).empty());
}

// [MEASURE-20]
TEST(Minimum, a_key_in_a_weaker_chamber_than_demanded_falls_short)
{
    const auto policy = policy_of("platform = \"sgx\"");
    const auto sgx = claim_on(Platform::sgx, false);
    const protocol::CurveKeyClaim claims[] = {sgx, claim_on(Platform::process, false), claim_on(Platform::sgx, true)};
    EXPECT_EQ(shortfalls(policy, best(), claims).size(), 2U);
    EXPECT_TRUE(shortfalls(policy, best(), {&sgx, 1}).empty());
}

// [MEASURE-20]
TEST(Minimum, a_witness_that_the_policy_does_not_name_falls_short)
{
    auto proven = best();
    proven.mrenclave.fill(0xab);
    std::string named;
    for (int index = 0; index < 32; ++index) {
        named += "ab";
    }
    EXPECT_TRUE(shortfalls(policy_of("witness = [\"" + named + "\"]"), proven, {}).empty());
    proven.mrenclave[31] ^= 1U;
    const auto found = shortfalls(policy_of("witness = [\"" + named + "\"]"), proven, {});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].reason.expected, named);
    EXPECT_EQ(found[0].tier, TrustTier::contraindicated);
}

// [EVIDENCE-11]
TEST(Minimum, what_is_said_counts_no_more_than_what_is_proved)
{
    protocol::ChamberIdentity says_sgx;
    says_sgx.platform = Platform::sgx;
    says_sgx.root = RootKind::cpu;
    const auto unproved = proven_of(says_sgx, std::nullopt, std::nullopt);
    EXPECT_EQ(unproved.platform, Platform::process);
    EXPECT_EQ(unproved.root, RootKind::file);
    host::store::CpuRecord cpu;
    cpu.status = "UpToDate";
    cpu.simulated = true;
    const auto simulated = proven_of(says_sgx, std::nullopt, cpu);
    EXPECT_EQ(simulated.platform, Platform::process);
    EXPECT_EQ(simulated.root, RootKind::file);
    cpu.simulated = false;
    const auto proved = proven_of(says_sgx, std::nullopt, cpu);
    EXPECT_EQ(proved.platform, Platform::sgx);
    EXPECT_EQ(proved.root, RootKind::cpu);
    says_sgx.debug = true;
    EXPECT_TRUE(proven_of(says_sgx, std::nullopt, cpu).debug);
}

TEST(Minimum, a_policy_with_an_unknown_demand_is_malformed_with_its_line)
{
    EXPECT_TRUE(is_refused("platform = \"SGX\""));
    EXPECT_TRUE(is_refused("platform = 3"));
    EXPECT_TRUE(is_refused("root = \"cpu2\""));
    EXPECT_TRUE(is_refused("debug = false"));
    EXPECT_TRUE(is_refused("debug = \"maybe\""));
    EXPECT_TRUE(is_refused("tcb = \"UpToDate\""));
    EXPECT_TRUE(is_refused("tcb = []"));
    EXPECT_TRUE(is_refused("tcb = [\"Revoked\"]"));
    EXPECT_TRUE(is_refused("tcb = [7]"));
    EXPECT_TRUE(is_refused("witness = \"ab\""));
    EXPECT_TRUE(is_refused("witness = []"));
    EXPECT_TRUE(is_refused("witness = [\"ab\"]"));
}

} // namespace
} // namespace caisson::services::attestation
