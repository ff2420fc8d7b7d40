// The platform `sgx` up to the ioctl, with a device that records, measures and judges.
#include "airlock/arena.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/root.hpp"
#include "host/enclave/sgx_enclave.hpp"
#include "tests/null_chamber/chamber.hpp"
#include "tests/null_chamber/requests.hpp"
#include "tests/support/fake_sgx_device.hpp"
#include "tests/support/inproc_chamber.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace caisson::host::enclave {
namespace {

using tests::FakeSgxDevice;
using tests::null_chamber::Request;

class SgxEnclaveTest : public testing::Test {
  protected:
    void SetUp() override
    {
        folder_ = std::filesystem::path(testing::TempDir()) / ("caisson-sgx-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
        for (const char* name : {"null.sgxs", "null.sig"}) {
            std::filesystem::copy_file(std::filesystem::path(CAISSON_TEST_IMAGES) / name, folder_ / name);
        }
        root_.emplace(*Root::open_file(folder_ / "root.key"));
        options_.chamber = ChamberKind::null;
        options_.platform = protocol::sgx::Platform::sgx;
        options_.images = folder_;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::unique_ptr<FakeSgxDevice> device()
    {
        return std::make_unique<FakeSgxDevice>(std::make_unique<tests::InprocChamberOf<tests::null_chamber::Chamber>>(),
                                               *root_, std::uint8_t{7});
    }
    void flip(const char* name, std::streamoff at)
    {
        std::fstream file(folder_ / name, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(at);
        const auto byte = static_cast<char>(file.get() ^ 1);
        file.seekp(at);
        file.put(byte);
    }

    std::filesystem::path folder_;
    std::optional<Root> root_;
    EnclaveOptions options_;
};

TEST_F(SgxEnclaveTest, the_driver_is_given_exactly_what_was_measured_and_signed)
{
    auto fake = device();
    auto* const seen = fake.get();
    const auto enclave = open_sgx_enclave(options_, std::move(fake));
    ASSERT_TRUE(enclave) << enclave.error().what;
    std::ifstream file(folder_ / "null.sgxs", std::ios::binary);
    const std::vector<std::uint8_t> image{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(seen->measurement(), image::measurement_of(image));
    EXPECT_EQ((*enclave)->facts().mrenclave, seen->measurement());
}

TEST_F(SgxEnclaveTest, the_calls_come_in_the_drivers_order)
{
    auto fake = device();
    auto* const seen = fake.get();
    ASSERT_TRUE(open_sgx_enclave(options_, std::move(fake))) << "opened and closed";
    fake = device();
    auto* const again = fake.get();
    const auto enclave = open_sgx_enclave(options_, std::move(fake));
    static_cast<void>(seen);
    ASSERT_TRUE(enclave);
    const auto& calls = again->calls;
    ASSERT_GE(calls.size(), 5U);
    EXPECT_EQ(calls.front(), "create");
    const auto init = std::find(calls.begin(), calls.end(), "init");
    ASSERT_NE(init, calls.end());
    EXPECT_TRUE(std::all_of(calls.begin() + 1, init, [](const auto& call) { return call == "add"; }));
    EXPECT_TRUE(std::all_of(init + 1, calls.end(), [](const auto& call) { return call == "map"; }));
}

TEST_F(SgxEnclaveTest, no_page_is_mapped_writable_and_executable)
{
    auto fake = device();
    auto* const seen = fake.get();
    const auto enclave = open_sgx_enclave(options_, std::move(fake));
    ASSERT_TRUE(enclave);
    std::uint64_t bytes = 0;
    for (const auto& [permissions, size] : seen->mapped) {
        EXPECT_NE(permissions & 6U, 6U);
        EXPECT_NE(permissions & 1U, 0U);
        bytes += size;
    }
    const auto added = std::count(seen->calls.begin(), seen->calls.end(), "add");
    EXPECT_EQ(bytes, static_cast<std::uint64_t>(added) * protocol::sgx::page_bytes + airlock::arena_bytes);
}

TEST_F(SgxEnclaveTest, its_ring_is_served_and_it_says_what_guards_it)
{
    auto fake = device();
    auto* const seen = fake.get();
    const auto enclave = open_sgx_enclave(options_, std::move(fake));
    ASSERT_TRUE(enclave);
    std::vector<std::uint8_t> answer(16);
    const auto size = (*enclave)->call(static_cast<std::uint32_t>(Request::echo), bytes_of("hello"), answer);
    ASSERT_TRUE(size) << kind_name(size.error().kind);
    EXPECT_EQ(text_of(Bytes(answer).first(*size)), "hello");
    EXPECT_EQ((*enclave)->facts().platform, protocol::sgx::Platform::sgx);
    EXPECT_EQ((*enclave)->facts().root, protocol::sgx::RootKind::cpu);
    EXPECT_FALSE((*enclave)->facts().debug);
    EXPECT_TRUE(seen->seed_was_zero); // nothing of the host's goes into its randomness
}

TEST_F(SgxEnclaveTest, an_altered_image_or_signature_is_unauthentic)
{
    flip("null.sgxs", 200);
    auto refused = open_sgx_enclave(options_, device());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unauthentic);
    EXPECT_NE(refused.error().what.find((folder_ / "null.sgxs").string()), std::string::npos) << refused.error().what;
    flip("null.sgxs", 200);
    flip("null.sig", 600);
    refused = open_sgx_enclave(options_, device());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unauthentic);
    EXPECT_NE(refused.error().what.find((folder_ / "null.sig").string()), std::string::npos) << refused.error().what;
}

TEST_F(SgxEnclaveTest, an_image_or_signature_that_ends_too_early_is_named_and_not_started)
{
    const auto refused_at = [&](const std::string& name, std::uintmax_t size) {
        std::filesystem::resize_file(folder_ / name, size);
        const auto opened = open_sgx_enclave(options_, device());
        EXPECT_FALSE(opened) << name << " of " << size;
        const auto fault = opened ? Fault(Kind::missing, "") : opened.error();
        EXPECT_NE(fault.what.find((folder_ / name).string()), std::string::npos) << fault.what;
        return fault.kind;
    };
    constexpr std::uintmax_t page = image::SgxsReader::page_record_bytes;
    const auto whole = std::filesystem::file_size(folder_ / "null.sgxs");
    EXPECT_EQ(refused_at("null.sgxs", whole - 1), Kind::truncated);
    EXPECT_EQ(refused_at("null.sgxs", whole - page), Kind::unauthentic); // a whole page is missing
    EXPECT_EQ(refused_at("null.sgxs", image::SgxsReader::header_bytes - 1), Kind::truncated);
    EXPECT_EQ(refused_at("null.sgxs", 0), Kind::truncated);
    std::filesystem::copy_file(std::filesystem::path(CAISSON_TEST_IMAGES) / "null.sgxs", folder_ / "null.sgxs",
                               std::filesystem::copy_options::overwrite_existing);
    EXPECT_EQ(refused_at("null.sig", sizeof(protocol::sgx::Sigstruct) - 1), Kind::malformed);
    EXPECT_EQ(refused_at("null.sig", 0), Kind::malformed);
}

TEST_F(SgxEnclaveTest, whatever_the_driver_refuses_is_an_error_and_no_chamber)
{
    for (const char* call : {"create", "add", "init", "map"}) {
        auto fake = device();
        fake->refuse = call;
        const auto refused = open_sgx_enclave(options_, std::move(fake));
        ASSERT_FALSE(refused) << call;
        EXPECT_EQ(refused.error().kind, Kind::unavailable);
    }
}

TEST_F(SgxEnclaveTest, a_missing_image_is_missing)
{
    std::filesystem::remove(folder_ / "null.sig");
    const auto refused = open_sgx_enclave(options_, device());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::missing);
}

TEST_F(SgxEnclaveTest, asked_for_without_sgx_it_is_an_error_with_cause_and_remedy_and_nothing_weaker)
{
    if (::access("/dev/sgx_enclave", F_OK) == 0) {
        GTEST_SKIP() << "this machine has SGX";
    }
    const auto refused = Enclave::open(options_, *root_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unavailable);
    for (const char* word : {"/dev/sgx_enclave", "firmware", "platform process"}) {
        EXPECT_NE(refused.error().what.find(word), std::string::npos) << refused.error().what;
    }
}

} // namespace
} // namespace caisson::host::enclave
