#include "host/enclave/image/builder.hpp"
#include "host/enclave/image/sigstruct.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::PageType;
using protocol::sgx::Sigstruct;

std::vector<std::uint8_t> small_image()
{
    SgxsWriter writer({1, 1U << 16U});
    const ByteArray<3> code{1, 2, 3};
    writer.write_page(0, protocol::sgx::secinfo_flags(PageType::PT_REG, 5), code);
    writer.write_page(0x3000, protocol::sgx::secinfo_flags(PageType::PT_TCS, 0), {});
    return writer.stream();
}

// The kind with which a stream is refused, or nothing.
std::optional<Kind> refusal_of(Bytes stream)
{
    auto reader = SgxsReader::open(stream);
    if (!reader) {
        return reader.error().kind;
    }
    while (!reader->done()) {
        if (const auto page = reader->read_page(); !page) {
            return page.error().kind;
        }
    }
    return std::nullopt;
}

constexpr std::size_t record = 64;
constexpr std::size_t page_stream = record + 16 * (record + 256);

TEST(Sgxs, what_was_written_is_read)
{
    const auto stream = small_image();
    EXPECT_EQ(refusal_of(stream), std::nullopt);
    auto reader = SgxsReader::open(stream);
    ASSERT_TRUE(reader);
    EXPECT_EQ(reader->header().size, 1U << 16U);
    const auto page = reader->read_page();
    ASSERT_TRUE(page && page->measured);
    EXPECT_EQ(page->chunks[0][2], 3);
}

// A stream that ends between two pages is another, smaller enclave: only MRENCLAVE tells, so it is not truncated.
// One that ends after an EADD record alone names a page without content, which SGX allows and the loader sees.
TEST(Sgxs, every_truncation_inside_a_page_is_refused)
{
    const auto stream = small_image();
    for (std::size_t size = 0; size < stream.size(); ++size) {
        const bool between_pages = size >= record && (size - record) % page_stream == 0;
        const bool page_without_content = size >= 2 * record && (size - 2 * record) % page_stream == 0;
        EXPECT_EQ(refusal_of(Bytes(stream).first(size)).has_value(), !between_pages && !page_without_content) << size;
        EXPECT_NE(measurement_of(Bytes(stream).first(size)), measurement_of(stream));
    }
}

TEST(Sgxs, every_flipped_byte_changes_the_measurement)
{
    const auto stream = small_image();
    const auto measured = measurement_of(stream);
    for (std::size_t at = 0; at < stream.size(); at += 7) {
        auto altered = stream;
        altered[at] ^= 1;
        EXPECT_NE(measurement_of(altered), measured);
        static_cast<void>(refusal_of(altered));
    }
}

// [IMAGE-2]
TEST(Sgxs, a_page_twice_outside_or_out_of_order_is_malformed)
{
    for (const std::uint64_t second : {0x0ULL, 0x1000ULL, 0x10000ULL, 0x2001ULL, ~0xfffULL}) {
        SgxsWriter writer({1, 1U << 16U});
        writer.write_page(0x1000, protocol::sgx::secinfo_flags(PageType::PT_REG, 3), {});
        writer.write_page(second, protocol::sgx::secinfo_flags(PageType::PT_REG, 3), {});
        EXPECT_EQ(refusal_of(writer.stream()), Kind::malformed) << second;
    }
}

TEST(Sgxs, an_unknown_page_type_or_permission_is_malformed)
{
    for (const auto secinfo :
         {protocol::sgx::secinfo_flags(PageType::PT_SECS, 0), protocol::sgx::secinfo_flags(PageType::PT_TCS, 3),
          protocol::sgx::secinfo_flags(PageType::PT_REG, 2), protocol::sgx::secinfo_flags(PageType::PT_REG, 0xb),
          std::uint64_t{1} << 40U}) {
        SgxsWriter writer({1, 1U << 16U});
        writer.write_page(0, secinfo, {});
        EXPECT_EQ(refusal_of(writer.stream()), Kind::malformed) << secinfo;
    }
}

TEST(Sgxs, a_size_that_is_no_power_of_two_or_too_large_is_malformed)
{
    for (const std::uint64_t size : {0ULL, 4096ULL, 3ULL << 12U, 1ULL << 37U, ~0ULL}) {
        EXPECT_EQ(refusal_of(SgxsWriter({1, size}).stream()), Kind::malformed) << size;
    }
}

TEST(Builder, what_is_no_elf_file_is_refused)
{
    EXPECT_FALSE(build_image({}, {1U << 20U}));
    const std::vector<std::uint8_t> zeros(4096);
    EXPECT_FALSE(build_image(zeros, {1U << 20U}));
}

class SigstructTest : public testing::Test {
  protected:
    static void SetUpTestSuite()
    {
        const auto path = testing::TempDir() + "image_test_" + std::to_string(getpid()) + ".pem";
        const auto signer = Signer::create(path);
        ASSERT_TRUE(signer);
        EXPECT_EQ(std::filesystem::status(path).permissions(),
                  std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
        EXPECT_FALSE(Signer::create(path)) << "an existing key was overwritten";
        Identity identity;
        identity.product = 7;
        identity.svn = 3;
        signed_ = *signer->sign(measurement_of(small_image()), identity);
        std::filesystem::remove(path);
    }
    static inline Sigstruct signed_{};
};

TEST_F(SigstructTest, what_was_signed_verifies)
{
    EXPECT_TRUE(verify_sigstruct(signed_));
    EXPECT_EQ(signed_.isv_prod_id, 7);
    EXPECT_EQ(signed_.isv_svn, 3);
    EXPECT_TRUE(verify_enclave(signed_, measurement_of(small_image()), signed_.attributes));
}

// [IMAGE-3] The CPU ignores header's last word (software's) and what stands between the two signed parts and the
// quotients.
TEST_F(SigstructTest, every_altered_byte_that_the_cpu_looks_at_is_refused)
{
    constexpr auto q1_at = offsetof(Sigstruct, q1);
    for (std::size_t at = 0; at < sizeof(Sigstruct); ++at) {
        if (at >= second_part_offset + signed_part_bytes && at < q1_at) {
            continue;
        }
        auto altered = signed_;
        reinterpret_cast<std::uint8_t*>(&altered)[at] ^= 1;
        EXPECT_FALSE(verify_sigstruct(altered)) << at;
    }
}

TEST_F(SigstructTest, a_signature_or_quotient_of_all_ones_or_zeros_is_refused)
{
    for (const auto byte : {std::uint8_t{0}, std::uint8_t{0xff}}) {
        for (auto part : {&Sigstruct::signature, &Sigstruct::q1, &Sigstruct::q2, &Sigstruct::modulus}) {
            auto altered = signed_;
            (altered.*part).fill(byte);
            EXPECT_FALSE(verify_sigstruct(altered));
        }
    }
}

TEST_F(SigstructTest, another_image_or_other_attributes_are_refused)
{
    EXPECT_FALSE(verify_enclave(signed_, Digest{}, signed_.attributes));
    auto debug = signed_.attributes;
    debug.flags |= protocol::sgx::ATTRIBUTES_DEBUG;
    EXPECT_FALSE(verify_enclave(signed_, measurement_of(small_image()), debug));
}

TEST_F(SigstructTest, a_file_of_another_size_is_malformed)
{
    const std::vector<std::uint8_t> bytes(sizeof(Sigstruct) + 1);
    EXPECT_FALSE(read_sigstruct(bytes));
    EXPECT_FALSE(read_sigstruct(Bytes(bytes).first(sizeof(Sigstruct) - 1)));
}

} // namespace
} // namespace caisson::host::enclave::image
