// What a hostile host can do with listings, contents and errors.
#include "tests/unit/trusted/witness/witness_world.hpp"

namespace caisson::trusted::witness {
namespace {

const PolicyItem tree{PolicyItemKind::tree, "/srv/app"};
const PolicyItem file{PolicyItemKind::file, "/etc/hosts"};
const PolicyItem cmdline{PolicyItemKind::fact, "cmdline"};
const PolicyItem modules{PolicyItemKind::fact, "modules"};

class RoundTest : public testing::Test {
  protected:
    void SetUp() override { world.enrol(); }

    // The tree's listing is refused, the tree is marked, and the round goes on without its entries.
    void expect_refused(const Buffer& listing, Kind kind, std::uint32_t failure, const char* why)
    {
        ASSERT_TRUE(world.open_policy({tree, file}, ++round).good()) << why;
        const auto answered = world.absorb(listing, folder | 0755U);
        EXPECT_FALSE(answered.good()) << why;
        EXPECT_EQ(answered.kind(), kind) << why;
        EXPECT_EQ(world.next().path, "/etc/hosts") << why;
        EXPECT_TRUE(world.absorb("hosts", regular | 0644U).good());
        const auto found = world.finish();
        ASSERT_TRUE(found.verified) << why;
        EXPECT_EQ(found.measurements.size(), 2U) << why;
        EXPECT_EQ(found.measurements.at("/srv/app").failure, failure) << why;
        EXPECT_EQ(found.measurements.at("/etc/hosts").digest, sha256_of("hosts")) << why;
    }
    void expect_malformed(std::string_view path)
    {
        expect_refused(listed({{path, regular}}), Kind::malformed, protocol::failure_malformed,
                       std::string(path).c_str());
    }

    World world;
    std::uint8_t round = 0;
};

TEST_F(RoundTest, a_tree_a_file_and_facts_are_measured)
{
    const auto opened = world.open_policy({tree, file, cmdline, modules});
    ASSERT_TRUE(opened.good());
    EXPECT_EQ(*Reader(opened.output).read_le<std::uint32_t>(), 4U);

    auto want = world.next();
    EXPECT_EQ(want.what, Wanted::tree_listing);
    EXPECT_EQ(want.path, "/srv/app");
    ASSERT_TRUE(world
                    .absorb(listed({{"bin", folder | 0755U},
                                    {"bin/run", regular | 0755U},
                                    {"link", link | 0777U},
                                    {"pipe", fifo | 0600U}}),
                            folder | 0750U)
                    .good());
    want = world.next();
    EXPECT_EQ(want.path, "/etc/hosts");
    EXPECT_EQ(want.what, Wanted::file_content);
    ASSERT_TRUE(world.absorb("127.0.0.1", regular | 0644U, false).good());
    ASSERT_TRUE(world.absorb(" localhost").good());
    EXPECT_EQ(world.next().what, Wanted::fact);
    EXPECT_EQ(world.next().path, "cmdline");
    ASSERT_TRUE(world.absorb("quiet\n").good());
    EXPECT_EQ(world.next().path, "modules");
    ASSERT_TRUE(world.absorb("b 1\na 2\n").good());
    want = world.next();
    EXPECT_EQ(want.path, "/srv/app/bin/run");
    EXPECT_EQ(want.what, Wanted::file_content);
    ASSERT_TRUE(world.absorb("#!", regular | 0700U).good());
    want = world.next();
    EXPECT_EQ(want.path, "/srv/app/link");
    EXPECT_EQ(want.what, Wanted::link_target);
    ASSERT_TRUE(world.absorb("bin/run").good());
    EXPECT_EQ(world.ask(Request::next_measurement).kind(), Kind::missing);

    const auto found = world.finish();
    ASSERT_TRUE(found.verified);
    ASSERT_EQ(found.measurements.size(), 8U);
    const auto& all = found.measurements;
    EXPECT_EQ(all.at("/srv/app").mode, 0750U);
    EXPECT_EQ(all.at("/srv/app/bin").type, protocol::MeasuredType::directory);
    EXPECT_EQ(all.at("/srv/app/bin/run").digest, sha256_of("#!"));
    EXPECT_EQ(all.at("/srv/app/bin/run").mode, 0700U); // as the opened file had it, not the listing
    EXPECT_EQ(all.at("/srv/app/link").digest, sha256_of("bin/run"));
    EXPECT_EQ(all.at("/srv/app/link").type, protocol::MeasuredType::link);
    EXPECT_EQ(all.at("/srv/app/pipe").type, protocol::MeasuredType::other);
    EXPECT_EQ(all.at("/etc/hosts").digest, sha256_of("127.0.0.1 localhost"));
    EXPECT_EQ(all.at("/etc/hosts").size, 19U);
    EXPECT_EQ(all.at("cmdline").digest, sha256_of("quiet\n"));
    EXPECT_EQ(all.at("modules").digest, sha256_of("present\na\nb\n"));
}

// [MEASURE-7]
TEST_F(RoundTest, a_listing_that_leaves_its_tree_is_refused)
{
    for (const auto* path : {"..", "../x", "a/..", "a/../b", ".", "./a", "a/.", "/etc", "/", "a//b", "a/", "//"}) {
        expect_malformed(path);
    }
}

// [MEASURE-7]
TEST_F(RoundTest, a_listing_with_a_nul_or_an_empty_or_long_name_is_refused)
{
    expect_malformed(std::string_view("a\0b", 3));
    expect_malformed("");
    const std::string longest(protocol::measured_path_bytes_max - std::string_view("/srv/app/").size(), 'n');
    expect_malformed(longest + "n");
    ASSERT_TRUE(world.open_policy({tree}, ++round).good());
    EXPECT_TRUE(world.absorb(listed({{longest, fifo}}), folder).good());
}

// [MEASURE-7]
TEST_F(RoundTest, a_listing_with_a_name_twice_or_out_of_order_is_refused)
{
    expect_refused(listed({{"a", regular}, {"a", regular}}), Kind::malformed, protocol::failure_malformed, "twice");
    expect_refused(listed({{"b", regular}, {"a", regular}}), Kind::malformed, protocol::failure_malformed, "order");
}

TEST_F(RoundTest, every_truncation_of_a_listing_is_refused)
{
    const auto whole = listed({{"a", regular}, {"b", regular}});
    const auto first = listed({{"a", regular}}).size();
    for (std::size_t size = 1; size < whole.size(); ++size) {
        if (size != first) {
            expect_refused(Buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), Kind::truncated,
                           protocol::failure_malformed, "truncated");
        }
    }
}

TEST_F(RoundTest, the_order_is_kept_across_chunks)
{
    ASSERT_TRUE(world.open_policy({tree}).good());
    ASSERT_TRUE(world.absorb(listed({{"b", fifo}}), folder, false).good());
    EXPECT_EQ(world.absorb(listed({{"a", fifo}})).kind(), Kind::malformed);
}

TEST_F(RoundTest, two_trees_do_not_mix_their_orders)
{
    const PolicyItem other{PolicyItemKind::tree, "/srv/other"};
    ASSERT_TRUE(world.open_policy({tree, other}).good());
    ASSERT_TRUE(world.absorb(listed({{"z", fifo}}), folder).good());
    EXPECT_TRUE(world.absorb(listed({{"a", fifo}}), folder).good());
    EXPECT_EQ(world.finish().measurements.size(), 4U);
}

// [MEASURE-8]
TEST_F(RoundTest, a_tree_with_one_entry_more_than_the_table_is_exhausted_and_says_so)
{
    const auto listing = [](std::size_t count) {
        Buffer buffer;
        for (std::size_t index = 0; index < count; ++index) {
            auto name = std::to_string(100'000 + index);
            const auto entry = listed({{name, fifo}});
            buffer.insert(buffer.end(), entry.begin(), entry.end());
        }
        return buffer;
    };
    expect_refused(listing(protocol::measurements_max), Kind::exhausted, protocol::failure_too_many, "too many");
    ASSERT_TRUE(world.open_policy({tree}, ++round).good());
    ASSERT_TRUE(world.absorb(listing(protocol::measurements_max - 1), folder).good());
    EXPECT_EQ(world.finish().measurements.size(), protocol::measurements_max);
}

// [MEASURE-8]
TEST_F(RoundTest, more_path_text_than_the_pool_is_exhausted_and_says_so)
{
    ASSERT_TRUE(world.open_policy({tree}).good());
    Buffer buffer;
    for (std::size_t index = 0; index < 300; ++index) {
        const auto name = std::to_string(100'000 + index) + std::string(480, 'n');
        const auto entry = listed({{name, fifo}});
        buffer.insert(buffer.end(), entry.begin(), entry.end());
    }
    ASSERT_LT(buffer.size(), airlock::witness::chunk_bytes_max);
    EXPECT_EQ(world.absorb(buffer, folder).kind(), Kind::exhausted);
    const auto found = world.finish();
    ASSERT_TRUE(found.verified);
    EXPECT_EQ(found.measurements.at("/srv/app").failure, protocol::failure_too_many);
    EXPECT_EQ(found.measurements.size(), 1U);
}

// [MEASURE-9]
TEST_F(RoundTest, content_without_the_mode_of_a_regular_file_is_no_content)
{
    for (const auto mode : {0U, folder | 0755U, fifo | 0644U, link | 0777U, 0644U}) {
        ASSERT_TRUE(world.open_policy({file}, ++round).good());
        EXPECT_EQ(world.absorb("x", mode).kind(), Kind::malformed);
        const auto found = world.finish();
        EXPECT_EQ(found.measurements.at("/etc/hosts").failure, protocol::failure_malformed);
    }
}

TEST_F(RoundTest, a_listing_of_something_that_is_no_folder_is_refused)
{
    ASSERT_TRUE(world.open_policy({tree}).good());
    EXPECT_EQ(world.absorb(listed({{"a", regular}}), regular | 0644U).kind(), Kind::malformed);
    EXPECT_EQ(world.finish().measurements.size(), 1U);
}

// [MEASURE-11]
TEST_F(RoundTest, an_error_of_the_host_is_part_of_the_signed_result)
{
    ASSERT_TRUE(world.open_policy({tree, file, cmdline}).good());
    ASSERT_TRUE(world.absorb_error(2).good());
    ASSERT_TRUE(world.absorb_error(13).good());
    ASSERT_TRUE(world.absorb_error(5).good());
    const auto found = world.finish();
    ASSERT_TRUE(found.verified);
    EXPECT_EQ(found.measurements.at("/srv/app").failure, 2U);
    EXPECT_EQ(found.measurements.at("/etc/hosts").failure, 13U);
    EXPECT_EQ(found.measurements.at("cmdline").failure, 5U);
    EXPECT_EQ(found.measurements.at("/etc/hosts").digest, Digest{});
}

// [MEASURE-11]
TEST_F(RoundTest, an_error_after_half_a_file_leaves_no_digest)
{
    ASSERT_TRUE(world.open_policy({file}).good());
    ASSERT_TRUE(world.absorb("half", regular | 0644U, false).good());
    ASSERT_TRUE(world.absorb_error(5).good());
    const auto found = world.finish();
    EXPECT_EQ(found.measurements.at("/etc/hosts").failure, 5U);
    EXPECT_EQ(found.measurements.at("/etc/hosts").size, 0U);
}

TEST_F(RoundTest, an_error_after_half_a_listing_forgets_that_half)
{
    ASSERT_TRUE(world.open_policy({tree}).good());
    ASSERT_TRUE(world.absorb(listed({{"a", regular}}), folder, false).good());
    ASSERT_TRUE(world.absorb_error(5).good());
    EXPECT_EQ(world.finish().measurements.size(), 1U);
}

// [MEASURE-12]
TEST_F(RoundTest, a_kernel_without_modules_has_a_digest_of_its_own)
{
    ASSERT_TRUE(world.open_policy({modules}).good());
    ASSERT_TRUE(world.absorb_error(2).good());
    auto found = world.finish();
    EXPECT_EQ(found.measurements.at("modules").failure, protocol::failure_none);
    EXPECT_EQ(found.measurements.at("modules").digest, sha256_of("absent\n"));
    ASSERT_TRUE(world.open_policy({modules}, 2).good());
    ASSERT_TRUE(world.absorb_error(13).good());
    EXPECT_EQ(world.finish().measurements.at("modules").failure, 13U);
}

TEST_F(RoundTest, modules_text_that_is_none_is_marked)
{
    ASSERT_TRUE(world.open_policy({modules}).good());
    EXPECT_EQ(world.absorb("a 1\nb").kind(), Kind::malformed);
    EXPECT_EQ(world.finish().measurements.at("modules").failure, protocol::failure_malformed);
}

TEST_F(RoundTest, a_chunk_one_byte_too_long_changes_nothing)
{
    ASSERT_TRUE(world.open_policy({file}).good());
    const std::string most(airlock::witness::chunk_bytes_max, 'c');
    EXPECT_FALSE(world.absorb(most + "c", regular | 0644U).good());
    EXPECT_FALSE(world.absorb(most + std::string(100, 'c'), regular | 0644U).good());
    EXPECT_TRUE(world.absorb(most, regular | 0644U).good());
    EXPECT_EQ(world.finish().measurements.at("/etc/hosts").digest, sha256_of(most));
}

TEST_F(RoundTest, unknown_flags_and_errors_change_nothing)
{
    ASSERT_TRUE(world.open_policy({file}).good());
    ByteArray<8> input{8};
    EXPECT_EQ(world.ask(Request::absorb, input).kind(), Kind::malformed);
    EXPECT_EQ(world.absorb_error(0).kind(), Kind::malformed);
    EXPECT_EQ(world.absorb_error(airlock::witness::errno_max + 1).kind(), Kind::malformed);
    EXPECT_EQ(world.ask(Request::absorb, ByteArray<4>{airlock::witness::absorb_error}).kind(), Kind::truncated);
    EXPECT_EQ(world.next().path, "/etc/hosts");
}

TEST_F(RoundTest, a_new_policy_ends_the_round_before_it)
{
    ASSERT_TRUE(world.open_policy({tree, file}, 1).good());
    ASSERT_TRUE(world.absorb(listed({{"a", regular}}), folder, false).good());
    ASSERT_TRUE(world.open_policy({file}, 2).good());
    ASSERT_TRUE(world.absorb("x", regular | 0644U).good());
    const auto found = world.finish();
    EXPECT_EQ(found.measurements.size(), 1U);
    EXPECT_EQ(found.head.nonce, nonce(2));
}

} // namespace
} // namespace caisson::trusted::witness
