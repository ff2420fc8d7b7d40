// A quote of our own image: REPORT for the quoting enclave, through AESM's protocol, to a verdict. AESM and Intel's PKI
// are the test's own.
#include "host/enclave/sgx_aesm.hpp"

#include "host/enclave/image/sgxs.hpp"
#include "tests/support/fake_aesm.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace caisson::host::enclave {
namespace {

using Buffer = tests::AesmBytes;
using tests::bytes_field;
using tests::FakeAesm;
using tests::joined;
using tests::number_field;

Digest image_measurement()
{
    std::ifstream file(std::filesystem::path(CAISSON_TEST_IMAGES) / "null.sgxs", std::ios::binary);
    const Buffer image{std::istreambuf_iterator<char>(file), {}};
    return image::measurement_of(image);
}

TEST(SgxAesm, a_quote_of_our_own_image_is_made_and_accepted)
{
    const tests::SgxPki pki;
    const FakeAesm service(tests::honest_aesm(pki));
    const Aesm aesm(service.path());
    const auto target = aesm.target();
    ASSERT_TRUE(target) << target.error().what;
    EXPECT_EQ(target->mrenclave[0], 0x9e);
    protocol::sgx::Report report{};
    report.attributes.flags = protocol::sgx::ATTRIBUTES_INIT | protocol::sgx::ATTRIBUTES_MODE64BIT;
    report.mrenclave = image_measurement();
    report.report_data.fill(0x77);
    const auto quote = aesm.quote(report);
    ASSERT_TRUE(quote) << quote.error().what;
    const auto verdict = protocol::evidence::verify_sgx_quote(*quote, pki.collateral(), pki.pin(), tests::sgx_pki_now);
    ASSERT_TRUE(verdict) << verdict.error().what;
    EXPECT_EQ(verdict->body.mrenclave, image_measurement());
    EXPECT_EQ(verdict->body.report_data, report.report_data);
    EXPECT_EQ(verdict->status, protocol::evidence::TcbStatus::UpToDate);
}

TEST(SgxAesm, no_service_is_unavailable_with_the_remedy)
{
    const auto refused = Aesm("/nonexistent/aesm.socket").target();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unavailable);
    EXPECT_NE(refused.error().what.find("aesmd"), std::string::npos);
}

TEST(SgxAesm, its_own_error_code_is_told)
{
    const FakeAesm service([](const Buffer&) { return tests::aesm_message(15, number_field(1, 42)); });
    const auto refused = Aesm(service.path()).target();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unavailable);
    EXPECT_NE(refused.error().what.find("42"), std::string::npos);
}

TEST(SgxAesm, a_hostile_service_gets_nowhere)
{
    const std::vector<Buffer> answers{
        {},                                                                                // hangs up
        {0xff, 0xff, 0xff, 0xff},                                                          // 4 GiB
        {0, 0, 0, 0},                                                                      // nothing
        {10, 0, 0, 0, 1, 2},                                                               // ends too early
        tests::aesm_message(15, Buffer(20, 0xff)),                                         // a number that does not end
        tests::aesm_message(15, {0x0d, 1, 2, 3, 4}),                                       // a field of another type
        tests::aesm_message(17, number_field(1, 0)),                                       // something else than asked
        tests::aesm_message(15, {}),                                                       // no code
        tests::aesm_message(15, joined({number_field(1, 0), number_field(3, 1U << 30U)})), // an impossible size
        tests::aesm_message(15, joined({number_field(1, 0), number_field(3, 32), bytes_field(2, Buffer(511))})),
        tests::aesm_message(15, {0x12, 0x7f}), // bytes that are not there
    };
    for (const auto& answer : answers) {
        const FakeAesm service([&answer](const Buffer&) { return answer; });
        EXPECT_FALSE(Aesm(service.path()).target());
        EXPECT_FALSE(Aesm(service.path()).quote({}));
    }
}

} // namespace
} // namespace caisson::host::enclave
