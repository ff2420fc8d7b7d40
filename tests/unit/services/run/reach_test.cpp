#include "services/run/reach.hpp"

#include <gtest/gtest.h>

#include <array>
#include <fstream>

namespace caisson::services::run {
namespace {

TEST(Reach, programs_of_the_system_are_reached_by_name_and_by_path)
{
    EXPECT_EQ(why_unreachable("sh"), "");
    EXPECT_EQ(why_unreachable("/usr/bin/python3"), "");
}

TEST(Reach, a_static_program_is_not_reached)
{
    EXPECT_NE(why_unreachable(CAISSON_STATIC_PROGRAM).find("statically linked"), std::string::npos);
}

TEST(Reach, what_is_no_program_is_left_to_exec)
{
    const auto path = testing::TempDir() + "reach_test_file";
    const std::array<std::string, 4> contents{"", "#!/bin/sh\n",
                                              "\x7f"
                                              "ELF",
                                              "\x7f"
                                              "ELF\x02" +
                                                  std::string(100, '\xff')};
    for (const auto& content : contents) {
        std::ofstream(path, std::ios::binary) << content;
        EXPECT_EQ(why_unreachable(path), "");
    }
    EXPECT_EQ(why_unreachable("/nonexistent"), "");
    EXPECT_EQ(why_unreachable("no-such-program-in-path"), "");
    EXPECT_EQ(why_unreachable("/"), "");
    EXPECT_EQ(why_unreachable(""), "");
}

} // namespace
} // namespace caisson::services::run
