#include "tests/unit/trusted/witness/witness_world.hpp"
#include "trusted/witness/module_names.hpp"

namespace caisson::trusted::witness {
namespace {

constexpr std::string_view text = "vsock 45056 0 - Live 0xffffffffc0a0b000\n"
                                  "ext4 1003520 2 - Live 0xffffffffc0900000\n"
                                  "bare\n"
                                  "crc16 16384 1 ext4, Live 0xffffffffc08f0000\n";

Result<Digest> digest_in_chunks(std::string_view whole, std::size_t chunk)
{
    const auto names = std::make_unique<ModuleNames>();
    for (std::size_t offset = 0; offset < whole.size(); offset += chunk) {
        TRY(names->absorb(bytes_of(whole.substr(offset, chunk))));
    }
    return names->digest();
}

TEST(ModuleNames, are_sorted_whatever_the_order_of_the_lines)
{
    const auto digest = digest_in_chunks(text, text.size());
    ASSERT_TRUE(digest);
    EXPECT_EQ(*digest, sha256_of("present\nbare\ncrc16\next4\nvsock\n"));
}

TEST(ModuleNames, do_not_depend_on_the_chunks)
{
    const auto whole = digest_in_chunks(text, text.size());
    for (std::size_t chunk = 1; chunk < text.size(); ++chunk) {
        EXPECT_EQ(*digest_in_chunks(text, chunk), *whole) << chunk;
    }
}

TEST(ModuleNames, none_loaded_is_not_the_same_as_no_such_file)
{
    EXPECT_EQ(*digest_in_chunks("", 1), sha256_of("present\n"));
    EXPECT_EQ(ModuleNames::digest_of_none(), sha256_of("absent\n"));
}

TEST(ModuleNames, a_text_that_ends_within_a_line_is_malformed)
{
    for (std::size_t size = 1; size < text.size(); ++size) {
        const bool at_line = text[size - 1] == '\n';
        EXPECT_EQ(digest_in_chunks(text.substr(0, size), 7).has_value(), at_line) << size;
    }
}

TEST(ModuleNames, a_line_without_a_name_is_malformed)
{
    EXPECT_EQ(digest_in_chunks("\n", 1).error().kind, Kind::malformed);
    EXPECT_EQ(digest_in_chunks(" x\n", 1).error().kind, Kind::malformed);
}

TEST(ModuleNames, a_name_longer_than_the_kernel_allows_is_malformed)
{
    EXPECT_TRUE(digest_in_chunks(std::string(module_name_bytes_max, 'n') + "\n", 10));
    EXPECT_EQ(digest_in_chunks(std::string(module_name_bytes_max + 1, 'n') + "\n", 10).error().kind, Kind::malformed);
}

TEST(ModuleNames, one_more_than_the_table_holds_is_exhausted)
{
    std::string lines;
    for (std::size_t index = 0; index < modules_max; ++index) {
        lines += "m" + std::to_string(index) + " 1 0\n";
    }
    EXPECT_TRUE(digest_in_chunks(lines, 4096));
    EXPECT_EQ(digest_in_chunks(lines + "more 1 0\n", 4096).error().kind, Kind::exhausted);
}

} // namespace
} // namespace caisson::trusted::witness
