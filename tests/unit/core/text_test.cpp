#include "core/text.hpp"

#include <gtest/gtest.h>

#include <string>

namespace caisson {
namespace {

TEST(Hex, reads_back_what_it_wrote)
{
    const ByteArray<4> bytes{0x00, 0x7f, 0xab, 0xff};
    std::string text(8, '\0');
    write_hex(text, bytes);
    EXPECT_EQ(text, "007fabff");
    ByteArray<4> back{};
    EXPECT_EQ(read_hex(back, text).value_or(0), 4U);
    EXPECT_EQ(back, bytes);
}

TEST(Hex, refuses_odd_long_and_foreign_text)
{
    ByteArray<2> out{};
    EXPECT_EQ(read_hex(out, "abc").error().kind, Kind::malformed);
    EXPECT_EQ(read_hex(out, "aabbcc").error().kind, Kind::exhausted);
    EXPECT_EQ(read_hex(out, "zz").error().kind, Kind::malformed);
    EXPECT_EQ(read_hex(out, "0x").error().kind, Kind::malformed);
}

// RFC 32: the test case of the specification.
TEST(Z85, agrees_with_the_rfc)
{
    const ByteArray<8> bytes{0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b};
    std::string text(10, '\0');
    write_z85(text, bytes);
    EXPECT_EQ(text, "HelloWorld");
    ByteArray<8> back{};
    EXPECT_EQ(read_z85(back, text).value_or(0), 8U);
    EXPECT_EQ(back, bytes);
}

TEST(Z85, refuses_what_is_no_z85)
{
    ByteArray<4> out{};
    EXPECT_EQ(read_z85(out, "abcd").error().kind, Kind::malformed);
    EXPECT_EQ(read_z85(out, "ab~cd").error().kind, Kind::malformed);
    EXPECT_EQ(read_z85(out, "#####").error().kind, Kind::malformed); // above 2^32 - 1
    EXPECT_EQ(read_z85(out, "HelloWorld").error().kind, Kind::exhausted);
}

} // namespace
} // namespace caisson
