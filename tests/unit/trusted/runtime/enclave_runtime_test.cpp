#include "host/enclave/emulated_leaves.hpp"
#include "trusted/runtime/enclave_runtime.hpp"

#include <gtest/gtest.h>

namespace caisson::trusted {
namespace {

using host::enclave::EnclaveIdentity;
using host::enclave::PlatformKeys;

// One enclave of a machine: real leaves, randomness from a seed.
struct Machine {
    EnclaveIdentity identity;
    PlatformKeys keys;
    EnclaveRuntime runtime;

    explicit Machine(std::uint8_t machine = 1, std::uint8_t image = 1, std::uint8_t signer = 1, std::uint16_t svn = 2)
    {
        identity.attributes = {protocol::sgx::ATTRIBUTES_INIT | protocol::sgx::ATTRIBUTES_MODE64BIT,
                               protocol::sgx::XFRM_LEGACY};
        identity.mrenclave.fill(image);
        identity.mrsigner.fill(signer);
        identity.isv_prod_id = 1;
        identity.isv_svn = svn;
        for (auto* key : {&keys.seal_enclave, &keys.seal_signer, &keys.report}) {
            for (auto& byte : key->expose()) {
                byte = machine;
            }
        }
        Seed seed;
        seed.expose()[0] = 1;
        const Leaves leaves{
            this,
            [](void* self, const protocol::sgx::TargetInfo& target, const protocol::sgx::ReportData& data,
               protocol::sgx::Report& report) noexcept {
                const auto& machine_of = *static_cast<Machine*>(self);
                host::enclave::emulate_ereport(machine_of.identity, machine_of.keys, target, data, report);
            },
            [](void* self, const protocol::sgx::KeyRequest& request, ByteArray<16>& key) noexcept {
                const auto& machine_of = *static_cast<Machine*>(self);
                return host::enclave::emulate_egetkey(machine_of.identity, machine_of.keys, request, key) == 0;
            }};
        EXPECT_TRUE(runtime.start(leaves, seed, nullptr));
    }
};

constexpr std::string_view context = "test v1";
constexpr std::string_view secret = "what is sealed in";

std::vector<std::uint8_t> sealed_by(Machine& machine, SealPolicy policy = SealPolicy::mrsigner)
{
    std::vector<std::uint8_t> blob(secret.size() + seal_overhead_bytes);
    const auto size = machine.runtime.seal(policy, bytes_of(context), bytes_of(secret), blob);
    EXPECT_TRUE(size);
    blob.resize(*size);
    return blob;
}

Result<std::size_t> unsealed_by(Machine& machine, Bytes blob, std::string_view named = context)
{
    ByteArray<64> output{};
    return machine.runtime.unseal(bytes_of(named), blob, output, OlderCopy::refused);
}

TEST(Sealing, what_was_sealed_is_had_again)
{
    Machine machine;
    const auto blob = sealed_by(machine);
    ByteArray<64> output{};
    const auto size = machine.runtime.unseal(bytes_of(context), blob, output, OlderCopy::refused);
    ASSERT_TRUE(size);
    EXPECT_TRUE(same_bytes(Bytes(output).first(*size), bytes_of(secret)));
}

// [SEAL-1]
TEST(Sealing, every_altered_byte_is_refused)
{
    Machine machine;
    const auto blob = sealed_by(machine);
    for (std::size_t at = 0; at < blob.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            auto altered = blob;
            altered[at] = static_cast<std::uint8_t>(altered[at] ^ (1U << bit));
            EXPECT_FALSE(unsealed_by(machine, altered)) << at << '.' << bit;
        }
    }
}

TEST(Sealing, every_truncation_is_refused)
{
    Machine machine;
    const auto blob = sealed_by(machine);
    for (std::size_t size = 0; size < blob.size(); ++size) {
        EXPECT_FALSE(unsealed_by(machine, Bytes(blob).first(size))) << size;
    }
}

TEST(Sealing, another_context_is_unauthentic)
{
    Machine machine;
    EXPECT_EQ(unsealed_by(machine, sealed_by(machine), "test v2").error().kind, Kind::unauthentic);
}

// [SEAL-2]
TEST(Sealing, another_machine_is_unauthentic)
{
    Machine one(1);
    Machine other(2);
    EXPECT_EQ(unsealed_by(other, sealed_by(one)).error().kind, Kind::unauthentic);
}

TEST(Sealing, another_image_of_the_same_signer_unseals_only_what_was_sealed_for_the_signer)
{
    Machine one(1, 1);
    Machine other(1, 2);
    EXPECT_TRUE(unsealed_by(other, sealed_by(one, SealPolicy::mrsigner)));
    EXPECT_EQ(unsealed_by(other, sealed_by(one, SealPolicy::mrenclave)).error().kind, Kind::unauthentic);
}

TEST(Sealing, another_signer_is_unauthentic)
{
    Machine one(1, 1, 1);
    Machine other(1, 1, 2);
    EXPECT_EQ(unsealed_by(other, sealed_by(one)).error().kind, Kind::unauthentic);
}

TEST(Sealing, a_lower_svn_cannot_unseal_and_a_higher_one_can)
{
    Machine two(1, 1, 1, 2);
    Machine one(1, 1, 1, 1);
    Machine three(1, 1, 1, 3);
    EXPECT_EQ(unsealed_by(one, sealed_by(two)).error().kind, Kind::expired);
    EXPECT_TRUE(unsealed_by(three, sealed_by(two)));
}

TEST(Sealing, a_debug_enclave_cannot_unseal_what_a_production_one_sealed)
{
    Machine production;
    Machine debug;
    debug.identity.attributes.flags |= protocol::sgx::ATTRIBUTES_DEBUG;
    EXPECT_EQ(unsealed_by(debug, sealed_by(production)).error().kind, Kind::unauthentic);
}

TEST(Sealing, a_buffer_that_is_too_small_is_refused)
{
    Machine machine;
    ByteArray<64> small{};
    EXPECT_EQ(machine.runtime.seal(SealPolicy::mrsigner, {}, bytes_of(secret), small).error().kind, Kind::exhausted);
    const auto blob = sealed_by(machine);
    EXPECT_EQ(
        machine.runtime.unseal(bytes_of(context), blob, MutableBytes(small).first(1), OlderCopy::refused).error().kind,
        Kind::exhausted);
}

TEST(LocalReport, a_report_for_this_chamber_verifies)
{
    Machine one(1, 1);
    Machine other(1, 2);
    EXPECT_TRUE(other.runtime.verify_report(one.runtime.report(other.runtime.own_target(), {})));
}

TEST(LocalReport, a_report_for_another_chamber_is_unauthentic)
{
    Machine one(1, 1);
    Machine other(1, 2);
    EXPECT_FALSE(other.runtime.verify_report(one.runtime.report(one.runtime.own_target(), {})));
}

TEST(LocalReport, a_report_of_another_machine_is_unauthentic)
{
    Machine here(1, 1);
    Machine elsewhere(2, 2);
    EXPECT_FALSE(here.runtime.verify_report(elsewhere.runtime.report(here.runtime.own_target(), {})));
}

TEST(LocalReport, every_altered_byte_that_is_vouched_for_is_refused)
{
    Machine one(1, 1);
    Machine other(1, 2);
    const auto report = one.runtime.report(other.runtime.own_target(), {});
    for (std::size_t at = 0; at < sizeof report; ++at) {
        auto altered = report;
        reinterpret_cast<std::uint8_t*>(&altered)[at] ^= 1;
        EXPECT_FALSE(other.runtime.verify_report(altered)) << at;
    }
}

} // namespace
} // namespace caisson::trusted
