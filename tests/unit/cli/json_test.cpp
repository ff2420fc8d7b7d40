#include "cli/json.hpp"

#include <gtest/gtest.h>

namespace caisson::cli {
namespace {

TEST(JsonWriter, commas_stand_between_values_and_nowhere_else)
{
    JsonWriter json;
    json.begin_object().name("a").begin_array().number(1).boolean(false).null().begin_object().end_object().end_array();
    json.name("b").text("x").name("c").number_signed(-2).end_object();
    EXPECT_EQ(json.str(), R"({"a":[1,false,null,{}],"b":"x","c":-2})");
}

TEST(JsonWriter, quotes_and_control_letters_are_escaped)
{
    JsonWriter json;
    json.text("a\"b\\c\n\x7f");
    EXPECT_EQ(json.str(), R"("a\"b\\c\u000a\u007f")");
}

TEST(JsonWriter, octets_that_are_no_utf8_become_the_replacement_letter)
{
    for (const std::string_view bad : {"\xff", "\xc0", "\xc3", "\x80"}) {
        EXPECT_EQ(JsonWriter().text(bad).str(), R"("\ufffd")");
    }
    EXPECT_EQ(JsonWriter().text("\xed\xa0\x80").str(), R"("\ufffd\ufffd\ufffd")") << "a surrogate";
    EXPECT_EQ(JsonWriter().text("\xe0\x80\x80").str(), R"("\ufffd\ufffd\ufffd")") << "overlong";
    EXPECT_EQ(JsonWriter().text("\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91").str(),
              "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91\"");
}

} // namespace
} // namespace caisson::cli
