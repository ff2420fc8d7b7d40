#include "cli/help.hpp"

#include <algorithm>
#include <sstream>
#include <string_view>

namespace caisson::cli {
namespace {

constexpr std::size_t name_columns_max = 28;

// Appends `text` word by word; lines after the first start with `indent` spaces. A line end in `text` is kept.
void append_wrapped(std::string& out, std::string_view text, std::size_t indent, std::size_t column)
{
    std::size_t at = 0;
    bool first_in_line = true;
    while (at < text.size()) {
        if (text[at] == '\n') {
            out += '\n';
            column = 0;
            first_in_line = true;
            ++at;
            continue;
        }
        if (text[at] == ' ') {
            ++at;
            continue;
        }
        const auto end = std::min(text.find_first_of(" \n", at), text.size());
        const auto word = text.substr(at, end - at);
        if (!first_in_line && column + 1 + word.size() > help_columns) {
            out += '\n';
            column = 0;
            first_in_line = true;
        }
        if (column == 0) {
            out.append(indent, ' ');
            column = indent;
        } else if (!first_in_line) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        first_in_line = false;
        at = end;
    }
    out += '\n';
}

struct Line {
    std::string left;
    std::string right;
};

void append_table(std::string& out, std::string_view title, const std::vector<Line>& lines)
{
    if (lines.empty()) {
        return;
    }
    std::size_t width = 0;
    for (const auto& line : lines) {
        if (line.left.size() <= name_columns_max) {
            width = std::max(width, line.left.size());
        }
    }
    out += '\n';
    out += title;
    out += '\n';
    for (const auto& line : lines) {
        out += "  " + line.left;
        if (line.left.size() > width) {
            out += '\n';
            append_wrapped(out, line.right, width + 4, 0);
            continue;
        }
        out.append(width + 2 - line.left.size(), ' ');
        append_wrapped(out, line.right, width + 4, width + 4);
    }
}

std::string usage_of(const Command& command, const std::string& path)
{
    std::string usage = path;
    if (!command.commands().empty()) {
        usage += " COMMAND";
    }
    const auto shown = [](const Command::Option& option, const std::string& text) {
        return option.need == Need::required ? " " + text : " [" + text + "]";
    };
    bool has_options = command.commands().size() > 0;
    for (const auto& option : command.options()) {
        if (!option.is_argument && option.need == Need::required) {
            usage += " " + option.names.substr(option.names.rfind(',') + 1) + " " + option.value;
        }
        has_options = has_options || (!option.is_argument && option.need == Need::optional);
    }
    usage += has_options ? " [options]" : "";
    for (const auto& option : command.options()) {
        usage += option.is_argument ? shown(option, option.value) : "";
    }
    for (const auto& option : command.rest_option()) {
        usage += shown(option, "-- " + option.value);
    }
    return usage;
}

Line line_of(const Command::Option& option)
{
    std::string left = option.names;
    for (std::size_t at = 0; (at = left.find(',', at)) != std::string::npos; at += 2) {
        left.replace(at, 1, ", ");
    }
    if (!option.is_argument && !option.value.empty()) {
        left += " " + option.value;
    }
    return {left, option.help};
}

std::vector<Line> lines_of(const Command& command, bool arguments)
{
    std::vector<Line> lines;
    for (const auto& option : command.options()) {
        if (option.is_argument == arguments) {
            lines.push_back(line_of(option));
        }
    }
    if (arguments) {
        for (const auto& option : command.rest_option()) {
            lines.push_back(line_of(option));
        }
    }
    return lines;
}

} // namespace

std::string help_text(const Command& command, const std::string& path, const Command& global)
{
    std::string out;
    append_wrapped(out, command.summary(), 0, 0);
    out += '\n';
    out += "Usage: ";
    append_wrapped(out, usage_of(command, path), 4, 7);
    if (!command.description().empty()) {
        out += '\n';
        append_wrapped(out, command.description(), 0, 0);
    }
    std::vector<Line> commands;
    for (const auto& below : command.commands()) {
        commands.push_back({below.name(), below.summary()});
    }
    append_table(out, "Commands:", commands);
    append_table(out, "Arguments:", lines_of(command, true));
    auto options = lines_of(command, false);
    if (&command != &global) {
        append_table(out, "Options:", options);
    }
    auto everywhere = lines_of(global, false);
    everywhere.push_back({"-h, --help", "this text; after a command: the command's"});
    append_table(out, "Options of every command:", everywhere);
    if (!command.examples().empty()) {
        out += "\nExamples:\n";
        for (const auto& example : command.examples()) {
            out += "  " + example.line + "\n";
            append_wrapped(out, example.meaning, 6, 0);
        }
    }
    if (!command.commands().empty()) {
        out += "\nMore about one of them: " + path + " COMMAND --help\n";
    }
    return out;
}

} // namespace caisson::cli
