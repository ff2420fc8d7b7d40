#include "protocol/measurement.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include <string>
#include <vector>

namespace caisson::protocol {
namespace {

using Buffer = std::vector<std::uint8_t>;

struct Keys {
    SigningKey signing;
    VerifyingKey verifying;
    WitnessKey witness;

    explicit Keys(std::uint8_t seed)
    {
        ByteArray<32> bytes{seed};
        crypto_sign_seed_keypair(verifying.bytes.data(), signing.expose().data(), bytes.data());
        witness.bytes = verifying.bytes;
    }
};

ChamberIdentity chamber_identity()
{
    ChamberIdentity identity;
    identity.mrenclave.fill(3);
    identity.mrsigner.fill(4);
    identity.product = 2;
    identity.svn = 1;
    identity.platform = sgx::Platform::process;
    return identity;
}

std::vector<Measurement> some_measurements()
{
    Digest digest;
    digest.fill(5);
    return {{"/srv", MeasuredType::directory, 0755, 0, failure_none, {}},
            {"/srv/a", MeasuredType::file, 0644, 12, failure_none, digest},
            {"/srv/l", MeasuredType::link, 0777, 3, failure_none, digest},
            {"/srv/p", MeasuredType::other, 0600, 0, failure_none, {}},
            {"/gone", MeasuredType::file, 0, 0, 2, {}},
            {"cmdline", MeasuredType::fact, 0, 7, failure_none, digest}};
}

MeasurementResult result_head()
{
    MeasurementResult head;
    head.policy.fill(1);
    head.nonce.bytes.fill(2);
    head.exporter.bytes.fill(3);
    head.policy_key.bytes.fill(4);
    head.witness = chamber_identity();
    head.keys[0].key.bytes.fill(6);
    head.keys[0].debug = true;
    head.key_count = 1;
    return head;
}

Buffer result_of(const std::vector<Measurement>& measurements, const Keys& by = Keys(1))
{
    Buffer output(result_document_bytes_max);
    ResultWriter writer(output, measurements.size());
    for (const auto& measurement : measurements) {
        writer.write(measurement);
    }
    const auto size = writer.finish(by.signing, result_head());
    EXPECT_TRUE(size);
    output.resize(size ? *size : 0);
    return output;
}

Buffer policy_of(std::span<const PolicyItem> items, const Keys& by = Keys(1))
{
    MeasurementPolicy head;
    head.policy.fill(1);
    head.nonce.bytes.fill(2);
    head.witness.bytes.fill(3);
    Buffer output(policy_document_bytes_max);
    const auto size = write_policy(output, by.signing, head, items);
    output.resize(size ? *size : 0);
    return output;
}

Buffer evidence_of(const Keys& by, const WitnessKey& named)
{
    WitnessEvidence evidence;
    evidence.witness = named;
    evidence.policy_key.bytes.fill(1);
    evidence.tls_spki_sha256.fill(2);
    evidence.exporter.bytes.fill(3);
    evidence.nonce.bytes.fill(4);
    evidence.chamber = chamber_identity();
    Buffer output(evidence_bytes_max);
    output.resize(*write_evidence(output, by.signing, evidence));
    return output;
}

const std::array<PolicyItem, 3> items{
    {{PolicyItemKind::tree, "/srv"}, {PolicyItemKind::file, "/etc/hosts"}, {PolicyItemKind::fact, "modules"}}};

// Whatever verifies must be the one true document.
template <typename Verify>
void expect_only_the_whole(const Buffer& whole, Verify verifies)
{
    ASSERT_TRUE(verifies(Bytes(whole)));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(verifies(Bytes(whole).first(size))) << "truncated to " << size;
    }
    auto altered = whole;
    for (std::size_t bit = 0; bit < altered.size() * 8; ++bit) {
        const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
        altered[bit / 8] ^= mask;
        EXPECT_FALSE(verifies(Bytes(altered))) << "bit " << bit;
        altered[bit / 8] ^= mask;
    }
    altered.push_back(0);
    EXPECT_FALSE(verifies(Bytes(altered)));
}

TEST(Measurement, a_result_is_read_as_it_was_written)
{
    const auto expected = some_measurements();
    const auto document = result_of(expected);
    auto result = verify_result(document, Keys(1).witness);
    ASSERT_TRUE(result) << result.error().what;
    const auto head = result_head();
    EXPECT_EQ(result->head.policy, head.policy);
    EXPECT_EQ(result->head.nonce, head.nonce);
    EXPECT_EQ(result->head.exporter, head.exporter);
    EXPECT_EQ(result->head.policy_key, head.policy_key);
    EXPECT_EQ(result->head.witness, head.witness);
    ASSERT_EQ(result->head.key_count, 1U);
    EXPECT_EQ(result->head.keys[0], head.keys[0]);
    std::vector<Measurement> found;
    while (result->measurements.left() != 0) {
        found.push_back(**result->measurements.next());
    }
    EXPECT_EQ(found, expected);
    EXPECT_FALSE(result->measurements.next()->has_value());
}

// [MEASURE-1]
TEST(Measurement, only_the_whole_unaltered_result_verifies)
{
    expect_only_the_whole(result_of(some_measurements()),
                          [](Bytes document) { return verify_result(document, Keys(1).witness).has_value(); });
}

// [MEASURE-1]
TEST(Measurement, a_list_from_another_result_is_unauthentic)
{
    const auto ours = result_of(some_measurements());
    auto fewer = some_measurements();
    fewer.pop_back();
    const auto theirs = result_of(fewer);
    const auto parts = [](const Buffer& document) {
        CborReader reader(document);
        EXPECT_TRUE(reader.expect_array(2));
        const auto head = *reader.read_bytes(4096);
        return std::pair{head, *reader.read_bytes(result_document_bytes_max)};
    };
    Buffer spliced(ours.size());
    CborWriter writer(spliced);
    writer.begin_array(2);
    writer.write_bytes(parts(ours).first);
    writer.write_bytes(parts(theirs).second);
    EXPECT_EQ(verify_result(writer.written(), Keys(1).witness).error().kind, Kind::unauthentic);
}

// [MEASURE-1]
TEST(Measurement, a_result_by_another_witness_is_unauthentic)
{
    const auto document = result_of(some_measurements(), Keys(2));
    EXPECT_EQ(verify_result(document, Keys(1).witness).error().kind, Kind::unauthentic);
}

TEST(Measurement, a_policy_does_not_verify_as_a_result)
{
    EXPECT_FALSE(verify_result(policy_of(items), Keys(1).witness));
    EXPECT_FALSE(verify_policy(result_of({}), Keys(1).verifying));
    EXPECT_FALSE(verify_evidence(policy_of(items)));
}

// [MEASURE-10]
TEST(Measurement, a_signed_measurement_that_contradicts_itself_is_malformed)
{
    Digest digest;
    digest.fill(5);
    const Measurement wrong[] = {
        {"relative", MeasuredType::file, 0644, 1, failure_none, digest},
        {"/a/../b", MeasuredType::file, 0644, 1, failure_none, digest},
        {"uptime", MeasuredType::fact, 0, 1, failure_none, digest},
        {"/cmdline", MeasuredType::fact, 0, 1, failure_none, digest},
        {"/a", MeasuredType::file, 010000, 1, failure_none, digest},
        {"/a", MeasuredType::file, 0644, 1, 4096, {}},
        {"/a", MeasuredType::file, 0644, 1, failure_malformed + 1, {}},
        {"/a", static_cast<MeasuredType>(0), 0644, 1, failure_none, digest},
        {"/a", static_cast<MeasuredType>(6), 0644, 1, failure_none, digest},
    };
    for (const auto& measurement : wrong) {
        const auto document = result_of({measurement});
        const auto result = verify_result(document, Keys(1).witness);
        ASSERT_FALSE(result) << measurement.path;
        EXPECT_EQ(result.error().kind, Kind::malformed);
    }
}

TEST(Measurement, an_empty_result_is_a_result)
{
    const auto document = result_of({});
    const auto result = verify_result(document, Keys(1).witness);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->measurements.left(), 0U);
}

TEST(Measurement, more_measurements_than_allowed_are_malformed)
{
    const std::vector<Measurement> many(measurements_max + 1, {"/p", MeasuredType::other, 0, 0, failure_none, {}});
    EXPECT_EQ(verify_result(result_of(many), Keys(1).witness).error().kind, Kind::malformed);
}

TEST(Measurement, a_result_writer_without_room_is_exhausted)
{
    for (const std::size_t room : {0U, 100U, 2200U, 2300U}) {
        Buffer output(room);
        ResultWriter writer(output, 4);
        for (int index = 0; index < 4; ++index) {
            writer.write({std::string(200, 'p'), MeasuredType::other, 0, 0, failure_none, {}});
        }
        const auto size = writer.finish(Keys(1).signing, result_head());
        ASSERT_FALSE(size) << room;
        EXPECT_EQ(size.error().kind, Kind::exhausted);
    }
}

TEST(Measurement, a_policy_is_read_as_it_was_written)
{
    const auto document = policy_of(items);
    auto policy = verify_policy(document, Keys(1).verifying);
    ASSERT_TRUE(policy) << policy.error().what;
    EXPECT_EQ(policy->head.policy[0], 1);
    EXPECT_EQ(policy->head.nonce.bytes[0], 2);
    EXPECT_EQ(policy->head.witness.bytes[0], 3);
    for (const auto& expected : items) {
        const auto item = **policy->items.next();
        EXPECT_EQ(item.kind, expected.kind);
        EXPECT_EQ(item.name, expected.name);
    }
    EXPECT_EQ(policy->items.left(), 0U);
}

// [MEASURE-1]
TEST(Measurement, only_the_whole_unaltered_policy_verifies)
{
    expect_only_the_whole(policy_of(items),
                          [](Bytes document) { return verify_policy(document, Keys(1).verifying).has_value(); });
}

// [MEASURE-6]
TEST(Measurement, a_policy_item_that_leads_astray_is_not_written)
{
    const PolicyItem wrong[] = {
        {PolicyItemKind::tree, ""},           {PolicyItemKind::tree, "/"},          {PolicyItemKind::tree, "srv"},
        {PolicyItemKind::tree, "/srv/"},      {PolicyItemKind::file, "/a//b"},      {PolicyItemKind::file, "/a/./b"},
        {PolicyItemKind::file, "/a/../b"},    {PolicyItemKind::file, "/.."},        {PolicyItemKind::fact, "version"},
        {PolicyItemKind::fact, "/etc/hosts"}, {PolicyItemKind::file, {"/a\0b", 4}},
    };
    for (const auto& item : wrong) {
        EXPECT_TRUE(policy_of({&item, 1}).empty()) << item.name;
    }
    const auto longest = "/" + std::string(measured_path_bytes_max - 1, 'n');
    const auto too_long = longest + "n";
    EXPECT_TRUE(is_measurable_path(longest));
    EXPECT_FALSE(is_measurable_path(too_long));
    EXPECT_TRUE(is_measurable_path("/a.b/..c/.d"));
}

TEST(Measurement, a_policy_too_long_for_a_witness_is_exhausted)
{
    const std::vector<PolicyItem> many(policy_items_max + 1, items[1]);
    EXPECT_TRUE(policy_of(many).empty());
    const auto long_path = "/" + std::string(measured_path_bytes_max - 1, 'n');
    const std::vector<PolicyItem> wide(policy_items_max, {PolicyItemKind::file, long_path});
    EXPECT_TRUE(policy_of(wide).empty());
}

// [MEASURE-2]
TEST(Measurement, only_the_whole_unaltered_evidence_verifies)
{
    const Keys keys(1);
    const auto evidence = evidence_of(keys, keys.witness);
    EXPECT_EQ(verify_evidence(evidence)->witness, keys.witness);
    EXPECT_EQ(verify_evidence(evidence)->chamber, chamber_identity());
    expect_only_the_whole(evidence, [](Bytes document) { return verify_evidence(document).has_value(); });
}

// [MEASURE-2]
TEST(Measurement, evidence_that_names_a_key_its_maker_lacks_is_unauthentic)
{
    const auto evidence = evidence_of(Keys(1), Keys(2).witness);
    EXPECT_EQ(verify_evidence(evidence).error().kind, Kind::unauthentic);
}

// [MEASURE-14]
TEST(Measurement, platform_and_root_are_read_from_the_cpusvn)
{
    sgx::Report report{};
    EXPECT_EQ(identity_of(report).platform, sgx::Platform::sgx);
    EXPECT_EQ(identity_of(report).root, sgx::RootKind::cpu);
    copy_bytes(report.cpusvn, sgx::emulated_cpusvn_prefix);
    report.cpusvn[8] = 2;
    report.cpusvn[9] = 2;
    EXPECT_EQ(identity_of(report).platform, sgx::Platform::process);
    EXPECT_EQ(identity_of(report).root, sgx::RootKind::tpm);
}

// [MEASURE-14]
TEST(Measurement, an_emulated_cpusvn_never_claims_hardware)
{
    sgx::Report report{};
    copy_bytes(report.cpusvn, sgx::emulated_cpusvn_prefix);
    for (unsigned value = 0; value < 256; ++value) {
        report.cpusvn[8] = static_cast<std::uint8_t>(value);
        report.cpusvn[9] = static_cast<std::uint8_t>(value);
        EXPECT_NE(identity_of(report).platform, sgx::Platform::sgx) << value;
        EXPECT_NE(identity_of(report).root, sgx::RootKind::cpu) << value;
    }
}

} // namespace
} // namespace caisson::protocol
