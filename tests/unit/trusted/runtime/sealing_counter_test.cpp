// The rollback counter inside: which sealed blobs are an older copy.
#include "host/enclave/emulated_leaves.hpp"
#include "trusted/runtime/enclave_runtime.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace caisson::trusted {
namespace {

constexpr std::string_view context = "test v1";
constexpr std::string_view secret = "what is sealed in";
constexpr std::size_t counter_offset = 4 + 2 + 2; // behind version, policy and SVN

// One chamber of a machine whose root counts.
struct Counted {
    host::enclave::EnclaveIdentity identity;
    host::enclave::PlatformKeys keys;
    EnclaveRuntime runtime;

    Counted(std::uint64_t least, std::uint64_t sealed)
    {
        identity.attributes = {protocol::sgx::ATTRIBUTES_INIT | protocol::sgx::ATTRIBUTES_MODE64BIT,
                               protocol::sgx::XFRM_LEGACY};
        Seed seed;
        seed.expose()[0] = 1;
        const Leaves leaves{this,
                            [](void* self, const protocol::sgx::TargetInfo& target,
                               const protocol::sgx::ReportData& data, protocol::sgx::Report& report) noexcept {
                                const auto& chamber = *static_cast<Counted*>(self);
                                host::enclave::emulate_ereport(chamber.identity, chamber.keys, target, data, report);
                            },
                            [](void* self, const protocol::sgx::KeyRequest& request, ByteArray<16>& key) noexcept {
                                const auto& chamber = *static_cast<Counted*>(self);
                                return host::enclave::emulate_egetkey(chamber.identity, chamber.keys, request, key) ==
                                       0;
                            }};
        EXPECT_TRUE(runtime.start(leaves, seed, nullptr));
        runtime.set_counters({least, sealed});
    }

    std::vector<std::uint8_t> seal()
    {
        std::vector<std::uint8_t> blob(secret.size() + seal_overhead_bytes);
        const auto size = runtime.seal(SealPolicy::mrsigner, bytes_of(context), bytes_of(secret), blob);
        EXPECT_TRUE(size);
        blob.resize(size.value_or(0));
        return blob;
    }
    Result<std::size_t> unseal(Bytes blob, OlderCopy older = OlderCopy::refused)
    {
        ByteArray<64> output{};
        auto size = runtime.unseal(bytes_of(context), blob, output, older);
        const bool wiped = same_bytes(output, ByteArray<64>{});
        EXPECT_TRUE(size || wiped) << "a refused secret was handed out";
        return size;
    }
};

// [SEAL-5]
TEST(SealingCounter, a_blob_below_the_counter_is_unacceptable)
{
    const auto blob = Counted(4, 4).seal();
    EXPECT_TRUE(Counted(4, 4).unseal(blob));
    EXPECT_TRUE(Counted(3, 3).unseal(blob));
    const auto older = Counted(5, 5).unseal(blob);
    ASSERT_FALSE(older);
    EXPECT_EQ(older.error().kind, Kind::unacceptable);
}

// [TPM-19]
TEST(SealingCounter, what_a_change_seals_opens_before_and_after_the_counter_was_raised)
{
    const auto changed = Counted(4, 5).seal();
    EXPECT_TRUE(Counted(4, 4).unseal(changed)); // a crash before the counter was raised
    EXPECT_TRUE(Counted(5, 5).unseal(changed));
    EXPECT_FALSE(Counted(6, 6).unseal(changed));
}

TEST(SealingCounter, a_counter_that_was_altered_is_unauthentic)
{
    auto blob = Counted(4, 4).seal();
    ASSERT_EQ(blob[counter_offset], 4);
    blob[counter_offset] = 5;
    const auto altered = Counted(5, 5).unseal(blob);
    ASSERT_FALSE(altered);
    EXPECT_EQ(altered.error().kind, Kind::unauthentic);
}

TEST(SealingCounter, what_has_no_older_copies_opens_below_the_counter)
{
    const auto blob = Counted(4, 4).seal();
    EXPECT_TRUE(Counted(5, 5).unseal(blob, OlderCopy::opens));
}

TEST(SealingCounter, the_highest_counter_is_a_counter)
{
    constexpr auto highest = std::numeric_limits<std::uint64_t>::max();
    EXPECT_TRUE(Counted(highest, highest).unseal(Counted(highest, highest).seal()));
    EXPECT_FALSE(Counted(highest, highest).unseal(Counted(0, highest - 1).seal()));
}

TEST(SealingCounter, without_counters_every_copy_opens)
{
    const auto blob = Counted(0, 0).seal();
    EXPECT_TRUE(Counted(0, 0).unseal(blob));
    // A blob of a file root is none of a root that counts.
    EXPECT_FALSE(Counted(1, 1).unseal(blob));
}

} // namespace
} // namespace caisson::trusted
