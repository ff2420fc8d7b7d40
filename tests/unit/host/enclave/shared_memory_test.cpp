#include "host/enclave/shared_memory.hpp"

#include "host/enclave/image/sha256.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sys/mman.h>
#include <unistd.h>

namespace caisson::host::enclave {
namespace {

class SealedFileTest : public testing::Test {
  protected:
    void SetUp() override
    {
        auto pattern = (std::filesystem::temp_directory_path() / "caisson-sealed-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path file_of(const std::string& content) const
    {
        const auto path = folder_ / "file";
        std::ofstream(path, std::ios::binary) << content;
        std::filesystem::permissions(path, std::filesystem::perms(0600));
        return path;
    }
    static Outcome<SealedFile> copy_of(const std::filesystem::path& path, std::size_t bytes_max)
    {
        return SealedFile::copy_of(path, bytes_max, Executable::no);
    }
    static std::string content_of(const SealedFile& file)
    {
        const auto content = file.first(file.size());
        EXPECT_TRUE(content);
        return content ? std::string(text_of(*content)) : "";
    }

    std::filesystem::path folder_;
};

TEST_F(SealedFileTest, it_has_the_content_whatever_happens_to_the_file)
{
    const std::string content(100'000, 'c'); // more than one portion
    const auto path = file_of(content);
    auto file = copy_of(path, content.size());
    ASSERT_TRUE(file);
    std::filesystem::resize_file(path, 10);
    EXPECT_EQ(content_of(*file), content);
    const auto moved = std::move(*file);
    EXPECT_EQ(content_of(moved), content);
    EXPECT_EQ(moved.digest().value(), image::sha256(bytes_of(content)));
    EXPECT_EQ(text_of(moved.first(10).value()), content.substr(0, 10));
}

TEST_F(SealedFileTest, nobody_can_change_it)
{
    auto file = copy_of(file_of("content"), 100);
    ASSERT_TRUE(file);
    EXPECT_EQ(::pwrite(file->descriptor(), "x", 1, 0), -1);
    EXPECT_EQ(::ftruncate(file->descriptor(), 3), -1);
    EXPECT_EQ(::ftruncate(file->descriptor(), 300), -1);
    EXPECT_EQ(::mmap(nullptr, 7, PROT_READ | PROT_WRITE, MAP_SHARED, file->descriptor(), 0), MAP_FAILED);
    EXPECT_EQ(::lseek(file->descriptor(), 0, SEEK_END), 7);
}

TEST_F(SealedFileTest, a_file_larger_than_its_limit_is_malformed)
{
    const auto path = file_of("content");
    EXPECT_TRUE(copy_of(path, 7));
    const auto file = copy_of(path, 6);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind, Kind::malformed);
}

TEST_F(SealedFileTest, an_empty_file_is_empty)
{
    const auto file = copy_of(file_of(""), 6);
    ASSERT_TRUE(file);
    EXPECT_EQ(file->size(), 0U);
    EXPECT_EQ(content_of(*file), "");
    EXPECT_EQ(file->digest().value(), image::sha256({}));
}

TEST_F(SealedFileTest, one_that_others_may_write_is_forbidden)
{
    const auto path = file_of("content");
    std::filesystem::permissions(path, std::filesystem::perms(0620));
    const auto file = copy_of(path, 100);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind, Kind::forbidden);
}

TEST_F(SealedFileTest, what_is_no_file_or_not_there_is_refused)
{
    EXPECT_EQ(copy_of(folder_, 100).error().kind, Kind::malformed);
    EXPECT_EQ(copy_of(folder_ / "none", 100).error().kind, Kind::missing);
}

} // namespace
} // namespace caisson::host::enclave
