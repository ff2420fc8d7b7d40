#include "protocol/cbor.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace caisson::protocol {
namespace {

std::vector<std::uint8_t> encoded(auto write)
{
    std::vector<std::uint8_t> buffer(256);
    CborWriter writer(buffer);
    write(writer);
    buffer.resize(writer.finish().value_or(0));
    return buffer;
}

// RFC 8949, appendix A.
TEST(Cbor, writes_the_examples_of_the_rfc)
{
    using V = std::vector<std::uint8_t>;
    EXPECT_EQ(encoded([](auto& w) { w.write_uint(23); }), V({0x17}));
    EXPECT_EQ(encoded([](auto& w) { w.write_uint(24); }), V({0x18, 0x18}));
    EXPECT_EQ(encoded([](auto& w) { w.write_uint(1000000); }), V({0x1a, 0x00, 0x0f, 0x42, 0x40}));
    EXPECT_EQ(encoded([](auto& w) { w.write_uint(1000000000000); }),
              V({0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00}));
    EXPECT_EQ(encoded([](auto& w) { w.write_int(-1000); }), V({0x39, 0x03, 0xe7}));
    EXPECT_EQ(encoded([](auto& w) { w.write_text("IETF"); }), V({0x64, 0x49, 0x45, 0x54, 0x46}));
    EXPECT_EQ(encoded([](auto& w) { w.write_bool(true); }), V({0xf5}));
}

TEST(Cbor, reads_back_what_it_wrote)
{
    const auto bytes = encoded([](CborWriter& w) {
        w.begin_map(2);
        w.write_uint(1);
        w.write_int(-5);
        w.write_uint(2);
        w.begin_array(3);
        w.write_bytes(bytes_of("abc"));
        w.write_null();
        w.write_bool(false);
    });
    CborReader reader(bytes);
    EXPECT_TRUE(reader.expect_map(2));
    EXPECT_TRUE(reader.expect_key(1));
    EXPECT_EQ(reader.read_int().value_or(0), -5);
    EXPECT_TRUE(reader.expect_key(2));
    EXPECT_EQ(reader.begin_array(8).value_or(0), 3U);
    EXPECT_EQ(text_of(reader.read_bytes(8).value_or(Bytes{})), "abc");
    EXPECT_TRUE(reader.next_is_null());
    EXPECT_TRUE(reader.read_null());
    EXPECT_EQ(reader.read_bool().value_or(true), false);
    EXPECT_TRUE(reader.finish());
}

TEST(Cbor, every_truncation_fails)
{
    const auto bytes = encoded([](CborWriter& w) {
        w.begin_array(3);
        w.write_uint(70000);
        w.write_bytes(bytes_of("hello"));
        w.write_text("world");
    });
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CborReader reader(Bytes(bytes).first(size));
        const auto read = [&]() -> Status {
            TRY(reader.expect_array(3));
            TRY(reader.read_uint());
            TRY(reader.read_bytes(16));
            TRY(reader.read_text(16));
            return reader.finish();
        }();
        ASSERT_FALSE(read) << size;
        EXPECT_EQ(read.error().kind, Kind::truncated) << size;
    }
}

// [TRUST-3]
TEST(Cbor, what_is_not_deterministic_is_malformed)
{
    const auto kind_of_uint = [](std::vector<std::uint8_t> bytes) {
        CborReader reader(bytes);
        const auto value = reader.read_uint();
        return value ? Kind{} : value.error().kind;
    };
    EXPECT_EQ(kind_of_uint({0x18, 0x17}), Kind::malformed);             // 23 in two bytes
    EXPECT_EQ(kind_of_uint({0x19, 0x00, 0xff}), Kind::malformed);       // 255 in three
    EXPECT_EQ(kind_of_uint({0x1a, 0, 0, 0xff, 0xff}), Kind::malformed); // 65535 in five
    EXPECT_EQ(kind_of_uint({0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}), Kind::malformed);
    EXPECT_EQ(kind_of_uint({0x1c}), Kind::malformed); // reserved
    EXPECT_EQ(kind_of_uint({0x1f}), Kind::malformed); // indefinite
    EXPECT_EQ(kind_of_uint({0x40}), Kind::malformed); // another type
}

TEST(Cbor, limits_hold_before_anything_is_taken)
{
    const auto bytes = encoded([](CborWriter& w) { w.write_bytes(bytes_of("0123456789")); });
    CborReader reader(bytes);
    EXPECT_EQ(reader.read_bytes(9).error().kind, Kind::malformed);
    const std::vector<std::uint8_t> huge{0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    CborReader second(huge);
    EXPECT_EQ(second.read_bytes(SIZE_MAX).error().kind, Kind::truncated);
}

TEST(Cbor, a_full_buffer_is_told_at_the_end)
{
    ByteArray<4> small{};
    CborWriter writer(small);
    writer.write_text("too long");
    EXPECT_EQ(writer.finish().error().kind, Kind::exhausted);
}

} // namespace
} // namespace caisson::protocol
