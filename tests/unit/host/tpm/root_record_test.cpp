#include "host/tpm/root_record.hpp"

#include "host/tpm/nv.hpp"

#include <gtest/gtest.h>

namespace caisson::host::tpm {
namespace {

RootRecord a_record()
{
    RootRecord record;
    record.address = "device:/dev/tpmrm0";
    record.srk_name = {0, 11, 1, 2, 3};
    record.ak_name = {0, 11, 4, 5, 6};
    record.pcr_mask = default_pcr_mask;
    record.register_value = Digest{9};
    record.signer = {1, 2};
    record.approval = {3, 4};
    record.release = {{1}, {2}};
    record.recovery = {{3}, {4}};
    record.slot = slot_first + slot_indices;
    return record;
}

TEST(RootRecordTest, is_read_as_it_was_written)
{
    const auto text = record_text(a_record());
    const auto read = read_record(text, "tpm.json");
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(record_text(*read), text);
    EXPECT_EQ(read->register_value, Digest{9});
}

TEST(RootRecordTest, every_truncation_is_malformed)
{
    const auto text = record_text(a_record());
    for (std::size_t size = 0; size + 3 < text.size(); ++size) {
        const auto read = read_record(std::string_view(text).substr(0, size), "tpm.json");
        ASSERT_FALSE(read) << size;
        EXPECT_EQ(read.error().kind, Kind::malformed);
    }
}

TEST(RootRecordTest, fields_out_of_range_are_malformed)
{
    const auto broken = [](auto change) {
        auto record = a_record();
        change(record);
        return !read_record(record_text(record), "tpm.json");
    };
    EXPECT_TRUE(broken([](RootRecord& record) { record.address = ""; }));
    EXPECT_TRUE(broken([](RootRecord& record) { record.pcr_mask = 0; }));
    EXPECT_TRUE(broken([](RootRecord& record) { record.pcr_mask = 1U << 24U; }));
    EXPECT_TRUE(broken([](RootRecord& record) { record.slot = 0x01c00002; })); // a maker's certificate
    EXPECT_TRUE(broken([](RootRecord& record) { record.slot = slot_first + 1; }));
    EXPECT_TRUE(broken([](RootRecord& record) { record.srk_name.clear(); }));
    EXPECT_TRUE(broken([](RootRecord& record) { record.release.area.resize(4000); }));
}

} // namespace
} // namespace caisson::host::tpm
