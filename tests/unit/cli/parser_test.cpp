#include "cli/help.hpp"
#include "cli/parser.hpp"
#include "cli/verb.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace caisson::cli {
namespace {

struct Words {
    bool json = false;
    std::string home = "default";
    std::string name;
    std::vector<std::string> keys;
    std::vector<std::string> program;
    std::uint64_t size = 7;
};

class ParserTest : public testing::Test {
  protected:
    void SetUp() override
    {
        root_.flag("--json", words_.json, "print JSON");
        root_.option("--home", "DIR", words_.home, "where");
        auto& key = root_.command("key", "keys");
        key.command("new", "makes one")
            .argument("NAME", words_.name, "its name")
            .number("--size", "N", words_.size, 1, 9, "how many")
            .action([] { return 3; });
        root_.command("run", "runs a program")
            .option("-k,--key", "NAME", words_.keys, "which key")
            .rest("PROGRAM ARGS...", words_.program, "what to run")
            .action([] { return 4; });
    }

    Parsed parsed(const std::vector<std::string>& arguments) const { return parse(root_, arguments); }

    void expect_wrong(const std::vector<std::string>& arguments) const
    {
        const auto result = parsed(arguments);
        EXPECT_EQ(result.wish, Parsed::Wish::wrong);
        EXPECT_FALSE(result.error.empty());
    }

    Words words_;
    Command root_{"caisson", "all of it"};
};

TEST_F(ParserTest, the_deepest_command_named_is_chosen)
{
    const auto result = parsed({"key", "new", "alice"});
    EXPECT_EQ(result.wish, Parsed::Wish::run);
    EXPECT_EQ(result.path, "caisson key new");
    EXPECT_EQ(result.chosen->run()(), 3);
    EXPECT_EQ(words_.name, "alice");
}

TEST_F(ParserTest, global_options_stand_anywhere)
{
    EXPECT_EQ(parsed({"key", "new", "alice", "--json", "--home", "/x"}).wish, Parsed::Wish::run);
    EXPECT_TRUE(words_.json);
    EXPECT_EQ(words_.home, "/x");
}

TEST_F(ParserTest, the_words_after_the_mark_are_the_programs_own)
{
    const auto result = parsed({"run", "-k", "a", "--key", "b", "--", "prog", "--json", "--", "-h"});
    EXPECT_EQ(result.wish, Parsed::Wish::run) << result.error;
    EXPECT_FALSE(words_.json);
    EXPECT_EQ(words_.keys, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(words_.program, (std::vector<std::string>{"prog", "--json", "--", "-h"}));
}

TEST_F(ParserTest, what_is_missing_unknown_or_too_much_is_wrong)
{
    expect_wrong({"key"});
    expect_wrong({"key", "new"});
    expect_wrong({"key", "new", "a", "b"});
    expect_wrong({"key", "new", "a", "--", "b"});
    expect_wrong({"key", "new", "a", "--colour"});
    expect_wrong({"keys"});
    expect_wrong({"run"});
    expect_wrong({"run", "--"});
    expect_wrong({"run", "prog"});
    expect_wrong({"--home", "a", "--home", "b", "run", "--", "x"});
}

TEST_F(ParserTest, the_first_word_that_was_not_expected_is_named)
{
    EXPECT_EQ(parsed({"keey", "list", "--json"}).error, "there is no command \"keey\"");
    EXPECT_EQ(parsed({"key", "frob"}).error, "there is no command \"frob\"");
    EXPECT_EQ(parsed({"key", "frob"}).path, "caisson key");
    EXPECT_EQ(parsed({"key", "new", "a", "b", "c"}).error, "not expected: \"b\"");
    EXPECT_EQ(parsed({"key", "new", "a", "--colour", "red"}).error, "not expected: \"--colour\"");
    EXPECT_EQ(parsed({"key", "new", "a", ""}).error, "not expected: \"\"");
}

TEST_F(ParserTest, a_number_outside_its_bounds_is_wrong)
{
    for (const std::string value : {"0", "10", "-1", "x", "", "99999999999999999999999"}) {
        expect_wrong({"key", "new", "a", "--size", value});
    }
    EXPECT_EQ(parsed({"key", "new", "a", "--size", "9"}).wish, Parsed::Wish::run);
    EXPECT_EQ(words_.size, 9U);
}

TEST_F(ParserTest, help_needs_nothing_else)
{
    const auto result = parsed({"key", "new", "--help"});
    EXPECT_EQ(result.wish, Parsed::Wish::help);
    EXPECT_EQ(result.path, "caisson key new");
    EXPECT_EQ(parsed({"-h"}).path, "caisson");
}

TEST_F(ParserTest, help_keeps_to_80_columns_and_names_every_option)
{
    root_.describe(std::string(200, 'x').replace(50, 1, " ").replace(100, 1, " ").replace(150, 1, " "));
    const auto text = help_text(root_, "caisson", root_) + help_text(root_.commands().back(), "caisson run", root_);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), help_columns) << line;
        EXPECT_FALSE(line.ends_with(' ')) << line;
    }
    for (const std::string word : {"--json", "--home DIR", "-k, --key NAME", "-- PROGRAM ARGS...", "run", "key"}) {
        EXPECT_NE(text.find(word), std::string::npos) << word;
    }
}

TEST(ExitCode, each_kind_says_what_the_caller_can_do)
{
    EXPECT_EQ(exit_code(Kind::malformed), 65);
    EXPECT_EQ(exit_code(Kind::missing), 66);
    EXPECT_EQ(exit_code(Kind::unavailable), 69);
    EXPECT_EQ(exit_code(Kind::conflict), 73);
    EXPECT_EQ(exit_code(Kind::expired), 75);
    EXPECT_EQ(exit_code(Kind::forbidden), 77);
}

TEST(Report, an_error_is_one_line_without_control_letters)
{
    testing::internal::CaptureStderr();
    EXPECT_EQ(report({Kind::missing, "opening x\n\x1b[2J: gone"}), 66);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "caisson: opening x??[2J: gone\n");
}

} // namespace
} // namespace caisson::cli
