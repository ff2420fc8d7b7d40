#include "cli/parser.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <iterator>
#include <map>

namespace caisson::cli {
namespace {

using CommandOf = std::map<const CLI::App*, const Command*>;

CLI::Option* add_option(CLI::App& app, const Command::Option& option)
{
    return std::visit(
        [&](auto* target) -> CLI::Option* {
            using Pointed = std::remove_pointer_t<decltype(target)>;
            if constexpr (std::is_same_v<Pointed, bool>) {
                return app.add_flag(option.names, *target, option.help);
            } else {
                return app.add_option(option.names, *target, option.help);
            }
        },
        option.target);
}

// Everything is taken once unless its target is a list: `--json --json` is harmless, `--home A --home B` a mistake.
void build(CLI::App& app, const Command& command, CommandOf& command_of)
{
    command_of[&app] = &command;
    app.set_help_flag("-h,--help", "");
    app.fallthrough();
    for (const auto& option : command.options()) {
        auto* added = add_option(app, option);
        if (option.need == Need::required) {
            added->required();
        }
        if (std::holds_alternative<std::vector<std::string>*>(option.target)) {
            added->expected(1)->take_all();
        }
        if (std::holds_alternative<std::uint64_t*>(option.target)) {
            added->check(CLI::Range(option.minimum, option.maximum));
        }
    }
    for (const auto& below : command.commands()) {
        build(*app.add_subcommand(below.name(), below.summary()), below, command_of);
    }
}

const CLI::App* deepest(const CLI::App& root, std::string& path)
{
    const auto* app = &root;
    while (true) {
        const auto chosen = app->get_subcommands();
        if (chosen.empty()) {
            return app;
        }
        app = chosen.back();
        path += " " + app->get_name();
    }
}

std::string first_line(const std::string& text)
{
    return text.substr(0, text.find('\n'));
}

// The words after "--" belong to the chosen command's program, untouched.
std::string take_rest(const Command& chosen, bool has_mark, std::vector<std::string> words)
{
    if (chosen.rest_option().empty()) {
        return has_mark ? "nothing may follow \"--\" here" : "";
    }
    const auto& option = chosen.rest_option().front();
    if (option.need == Need::required && words.empty()) {
        return "after \"--\" comes " + option.value;
    }
    *std::get<std::vector<std::string>*>(option.target) = std::move(words);
    return {};
}

// Of the words nobody took, the one the user wrote first.
std::string unexpected_word(const CLI::App& app, const std::vector<std::string>& arguments, const Command& chosen)
{
    const auto left = app.remaining(true);
    for (const auto& word : arguments) {
        if (std::find(left.begin(), left.end(), word) != left.end()) {
            const bool is_command = !chosen.commands().empty() && !word.starts_with('-');
            return (is_command ? "there is no command \"" : "not expected: \"") + word + "\"";
        }
    }
    return "a word was not expected";
}

std::string wrong_choice(const Command& chosen)
{
    return chosen.run() ? std::string{} : "a command is missing after \"" + chosen.name() + "\"";
}

} // namespace

Parsed parse(const Command& root, const std::vector<std::string>& arguments)
{
    CLI::App app(root.summary(), root.name());
    CommandOf command_of;
    build(app, root, command_of);

    const auto mark = std::find(arguments.begin(), arguments.end(), "--");
    std::vector<std::string> own(arguments.begin(), mark);
    std::reverse(own.begin(), own.end()); // CLI11 takes them from the back
    Parsed parsed{Parsed::Wish::run, &root, root.name(), {}};
    bool has_extras = false;
    try {
        app.parse(own);
    } catch (const CLI::CallForHelp&) {
        parsed.wish = Parsed::Wish::help;
    } catch (const CLI::ExtrasError&) {
        parsed.wish = Parsed::Wish::wrong;
        has_extras = true;
    } catch (const CLI::Error& error) {
        parsed.wish = Parsed::Wish::wrong;
        parsed.error = first_line(error.what());
    }
    parsed.chosen = command_of.at(deepest(app, parsed.path));
    if (has_extras) {
        parsed.error = unexpected_word(app, {arguments.begin(), mark}, *parsed.chosen);
    }
    if (parsed.wish != Parsed::Wish::run) {
        return parsed;
    }
    parsed.error = wrong_choice(*parsed.chosen);
    if (parsed.error.empty()) {
        const bool has_mark = mark != arguments.end();
        parsed.error = take_rest(*parsed.chosen, has_mark, {has_mark ? std::next(mark) : mark, arguments.end()});
    }
    if (!parsed.error.empty()) {
        parsed.wish = Parsed::Wish::wrong;
    }
    return parsed;
}

} // namespace caisson::cli
