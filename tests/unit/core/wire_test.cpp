#include "core/wire.hpp"

#include <gtest/gtest.h>

namespace caisson {
namespace {

TEST(Wire, integers_come_back_in_both_byte_orders)
{
    ByteArray<12> buffer{};
    Writer writer(buffer);
    writer.write_be(std::uint32_t{0x01020304});
    writer.write_le(std::uint64_t{0x1122334455667788});
    ASSERT_EQ(writer.finish().value_or(0), 12U);
    EXPECT_EQ(buffer[0], 1);
    EXPECT_EQ(buffer[4], 0x88);

    Reader reader(buffer);
    EXPECT_EQ(reader.read_be<std::uint32_t>().value_or(0), 0x01020304U);
    EXPECT_EQ(reader.read_le<std::uint64_t>().value_or(0), 0x1122334455667788U);
    EXPECT_TRUE(reader.finish());
}

TEST(Wire, a_read_past_the_end_is_truncated_and_takes_nothing)
{
    const ByteArray<3> buffer{1, 2, 3};
    Reader reader(buffer);
    EXPECT_EQ(reader.read_le<std::uint32_t>().error().kind, Kind::truncated);
    EXPECT_EQ(reader.rest().size(), 3U);
    EXPECT_EQ(reader.finish().error().kind, Kind::malformed);
}

TEST(Wire, a_write_past_the_end_is_told_by_finish)
{
    ByteArray<3> buffer{};
    Writer writer(buffer);
    writer.write_le(std::uint16_t{7});
    writer.write_le(std::uint16_t{8});
    EXPECT_EQ(writer.finish().error().kind, Kind::exhausted);
    EXPECT_EQ(buffer[2], 0);
}

} // namespace
} // namespace caisson
