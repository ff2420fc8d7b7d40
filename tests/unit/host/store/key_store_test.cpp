#include "host/store/key_store.hpp"

#include "host/store/durable_file.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include <sys/stat.h>

namespace caisson::host::store {
namespace {

class KeyStoreTest : public testing::Test {
  protected:
    void SetUp() override
    {
        std::string pattern = testing::TempDir() + "key_store_XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        home_ = pattern;
        store_ = std::make_unique<KeyStore>(home_);
    }
    void TearDown() override { std::filesystem::remove_all(home_); }

    void put(const std::string& file, const std::string& content) const
    {
        std::filesystem::create_directories(home_ / "keys");
        std::ofstream(home_ / "keys" / file) << content;
        std::filesystem::permissions(home_ / "keys" / file, std::filesystem::perms(0600));
    }

    std::size_t file_count() const
    {
        std::size_t count = 0;
        for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(home_ / "keys")) {
            ++count;
        }
        return count;
    }

    std::filesystem::path home_;
    std::unique_ptr<KeyStore> store_;
};

KeyRecord sample(const std::string& name)
{
    KeyRecord record;
    record.name = name;
    record.public_key.bytes.fill(0x11);
    record.handle.bytes.fill(0x22);
    record.gated = true;
    record.verifier_key.bytes.fill(0x33);
    record.sealed = {1, 2, 3, 4};
    return record;
}

std::string replaced(std::string text, const std::string& from, const std::string& to)
{
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST_F(KeyStoreTest, a_stored_key_is_loaded_as_it_was)
{
    ASSERT_TRUE(store_->store(sample("alice")));
    const auto loaded = store_->load("alice");
    ASSERT_TRUE(loaded) << loaded.error().what;
    EXPECT_EQ(*loaded, sample("alice"));
}

TEST_F(KeyStoreTest, a_key_file_is_readable_by_its_owner_alone)
{
    ASSERT_TRUE(store_->store(sample("alice")));
    struct ::stat facts{};
    ASSERT_EQ(::stat(store_->path_of("alice").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U);
}

TEST_F(KeyStoreTest, a_key_is_never_overwritten)
{
    ASSERT_TRUE(store_->store(sample("alice")));
    auto other = sample("alice");
    other.sealed = {9};
    const auto done = store_->store(other);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, Kind::conflict);
    EXPECT_EQ(*store_->load("alice"), sample("alice"));
    EXPECT_EQ(file_count(), 1U) << "a temporary file was left";
}

TEST_F(KeyStoreTest, names_are_listed_in_order_and_foreign_files_left_alone)
{
    ASSERT_TRUE(store_->store(sample("bob")));
    ASSERT_TRUE(store_->store(sample("alice")));
    put("README", "notes");
    put(".alice.json.a1b2c3", "a temporary of a run that was killed");
    put("Upper.json", "{}");
    EXPECT_EQ(*store_->names(), (std::vector<std::string>{"alice", "bob"}));
}

TEST_F(KeyStoreTest, a_home_without_keys_has_none)
{
    EXPECT_TRUE(store_->names()->empty());
}

TEST_F(KeyStoreTest, a_removed_key_is_gone_and_cannot_be_removed_again)
{
    ASSERT_TRUE(store_->store(sample("alice")));
    ASSERT_TRUE(store_->remove("alice"));
    EXPECT_EQ(store_->load("alice").error().kind, Kind::missing);
    EXPECT_EQ(store_->remove("alice").error().kind, Kind::missing);
}

TEST_F(KeyStoreTest, a_name_that_is_a_path_an_option_or_too_long_is_refused)
{
    for (const std::string name :
         {"", ".", "..", "../x", "a/b", "-rf", ".hidden", "_x", "Alice", "a b", "a\nb", "\xc3\xa4"}) {
        EXPECT_EQ(check_key_name(name).error().kind, Kind::malformed) << name;
        EXPECT_FALSE(store_->load(name)) << name;
        EXPECT_FALSE(store_->remove(name)) << name;
        EXPECT_FALSE(store_->store(sample(name))) << name;
    }
    EXPECT_TRUE(check_key_name(std::string(key_name_bytes_max, 'a')));
    EXPECT_FALSE(check_key_name(std::string(key_name_bytes_max + 1, 'a')));
}

TEST_F(KeyStoreTest, a_file_that_others_may_write_to_is_refused)
{
    ASSERT_TRUE(store_->store(sample("alice")));
    std::filesystem::permissions(store_->path_of("alice"), std::filesystem::perms(0620));
    EXPECT_EQ(store_->load("alice").error().kind, Kind::forbidden);
}

TEST_F(KeyStoreTest, a_pipe_or_folder_in_a_key_files_place_is_refused_without_waiting)
{
    put("x", "");
    ASSERT_EQ(::mkfifo((home_ / "keys/pipe.json").c_str(), 0600), 0);
    ASSERT_EQ(::mkdir((home_ / "keys/folder.json").c_str(), 0700), 0);
    EXPECT_EQ(store_->load("pipe").error().kind, Kind::malformed);
    EXPECT_EQ(store_->load("folder").error().kind, Kind::malformed);
}

TEST_F(KeyStoreTest, a_file_above_the_limit_is_refused)
{
    put("alice.json", std::string(key_file_bytes_max + 1, ' '));
    EXPECT_EQ(store_->load("alice").error().kind, Kind::malformed);
}

TEST_F(KeyStoreTest, a_file_under_another_keys_name_is_refused)
{
    put("bob.json", key_record_text(sample("alice")));
    const auto loaded = store_->load("bob");
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, Kind::malformed);
    EXPECT_NE(loaded.error().what.find("bob.json"), std::string::npos);
    EXPECT_NE(loaded.error().what.find("\"alice\""), std::string::npos);
}

TEST_F(KeyStoreTest, a_store_in_a_place_where_a_file_stands_says_so)
{
    std::ofstream(home_ / "keys") << "x";
    const auto done = store_->store(sample("alice"));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, Kind::malformed);
}

TEST(KeyRecordText, what_is_written_is_read_back)
{
    EXPECT_EQ(*read_key_record(key_record_text(sample("a.b_c-1")), "here"), sample("a.b_c-1"));
}

TEST(KeyRecordText, every_truncation_is_refused)
{
    const auto text = key_record_text(sample("alice"));
    const auto end = text.rfind('}');
    for (std::size_t size = 0; size <= end; ++size) {
        EXPECT_FALSE(read_key_record(text.substr(0, size), "here")) << size;
    }
}

TEST(KeyRecordText, a_field_that_is_missing_misspelt_or_twice_there_is_refused)
{
    const auto text = key_record_text(sample("alice"));
    for (const std::string field : {"version", "name", "public_key", "handle", "gated", "verifier_key", "sealed"}) {
        const auto misspelt = replaced(text, "\"" + field + "\"", "\"" + field + "s\"");
        EXPECT_FALSE(read_key_record(misspelt, "here")) << field;
        const auto twice = replaced(text, "{", "{\"" + field + "\":1,");
        EXPECT_FALSE(read_key_record(twice, "here")) << field;
    }
}

TEST(KeyRecordText, a_value_of_the_wrong_type_or_size_is_refused_and_named)
{
    const auto text = key_record_text(sample("alice"));
    const auto expect_named = [&](const std::string& from, const std::string& to, const std::string& field) {
        const auto record = read_key_record(replaced(text, from, to), "here");
        ASSERT_FALSE(record) << to;
        EXPECT_EQ(record.error().kind, Kind::malformed);
        EXPECT_NE(record.error().what.find("\"" + field + "\""), std::string::npos) << record.error().what;
    };
    expect_named("\"version\": 1", "\"version\": 3", "version");
    expect_named("\"version\": 1", "\"version\": 2", "list_key"); // what a version 2 is for
    expect_named("\"version\": 1", "\"version\": \"1\"", "version");
    expect_named("\"alice\"", "\"../alice\"", "name");
    expect_named("\"alice\"", "7", "name");
    expect_named("\"gated\": true", "\"gated\": 1", "gated");
    expect_named("\"01020304\"", "\"0102030\"", "sealed");
    expect_named("\"01020304\"", "\"0102030g\"", "sealed");
    expect_named("\"01020304\"", "\"\"", "sealed");
    expect_named("\"01020304\"", "\"" + std::string(2 * sealed_key_bytes_max + 2, '0') + "\"", "sealed");
    expect_named("3333", "333", "verifier_key");
    expect_named("3333", "33", "verifier_key");
    expect_named("\"handle\": \"", "\"handle\": \"00000", "handle");
    expect_named("\"public_key\": \"", "\"public_key\": \"~", "public_key");
}

TEST(KeyRecordText, what_is_no_object_is_refused)
{
    for (const std::string text : {"", "null", "[]", "7", "\"x\"", "{", "{}", "{}{}", "\xff\xfe", "{\"a\":1e999}"}) {
        EXPECT_FALSE(read_key_record(text, "here")) << text;
    }
    EXPECT_FALSE(read_key_record(std::string(100'000, '['), "here"));
    EXPECT_FALSE(read_key_record(std::string("{}\0", 3), "here"));
}

TEST(KeyRecordText, nothing_of_a_sealed_value_reaches_an_error)
{
    const auto text = replaced(key_record_text(sample("alice")), "\"01020304\"", "\"deadbeefdeadbeefxx\"");
    EXPECT_EQ(read_key_record(text, "here").error().what.find("deadbeef"), std::string::npos);
}

TEST(DurableFile, replacing_keeps_the_name_and_takes_the_new_content)
{
    const auto path = std::filesystem::path(testing::TempDir()) / "durable_file_test";
    ASSERT_TRUE(store_file(path, bytes_of("old"), 0644, Existing::replace));
    ASSERT_TRUE(store_file(path, bytes_of("new"), 0600, Existing::replace));
    EXPECT_EQ(text_of(*load_file(path, 10)), "new");
    EXPECT_EQ(load_file(path, 2).error().kind, Kind::malformed);
    std::filesystem::remove(path);
    EXPECT_EQ(load_file(path, 2).error().kind, Kind::missing);
}

TEST(DurableFile, a_folder_that_is_not_there_is_an_error_and_leaves_nothing)
{
    EXPECT_EQ(store_file("/nonexistent-folder/x", bytes_of("x"), 0600, Existing::keep).error().kind, Kind::missing);
}

} // namespace
} // namespace caisson::host::store
