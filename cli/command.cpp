#include "cli/command.hpp"

#include <utility>

namespace caisson::cli {

Command::Command(std::string name, std::string summary)
    : name_(std::move(name))
    , summary_(std::move(summary))
{
}

Command& Command::command(std::string name, std::string summary)
{
    return commands_.emplace_back(std::move(name), std::move(summary));
}

Command& Command::flag(std::string names, bool& target, std::string help)
{
    options_.push_back({std::move(names), {}, std::move(help), &target});
    return *this;
}

Command& Command::option(std::string names, std::string value, std::string& target, std::string help, Need need)
{
    options_.push_back({std::move(names), std::move(value), std::move(help), &target, need});
    return *this;
}

Command& Command::option(std::string names, std::string value, std::filesystem::path& target, std::string help,
                         Need need)
{
    options_.push_back({std::move(names), std::move(value), std::move(help), &target, need});
    return *this;
}

Command& Command::option(std::string names, std::string value, std::vector<std::string>& target, std::string help,
                         Need need)
{
    options_.push_back({std::move(names), std::move(value), std::move(help), &target, need});
    return *this;
}

Command& Command::number(std::string names, std::string value, std::uint64_t& target, std::uint64_t minimum,
                         std::uint64_t maximum, std::string help, Need need)
{
    options_.push_back({std::move(names), std::move(value), std::move(help), &target, need, false, minimum, maximum});
    return *this;
}

Command& Command::argument(std::string value, std::string& target, std::string help, Need need)
{
    options_.push_back({value, std::move(value), std::move(help), &target, need, true});
    return *this;
}

Command& Command::argument(std::string value, std::filesystem::path& target, std::string help, Need need)
{
    options_.push_back({value, std::move(value), std::move(help), &target, need, true});
    return *this;
}

Command& Command::rest(std::string value, std::vector<std::string>& target, std::string help, Need need)
{
    rest_.clear();
    rest_.push_back({value, std::move(value), std::move(help), &target, need, true});
    return *this;
}

Command& Command::describe(std::string text)
{
    description_ = std::move(text);
    return *this;
}

Command& Command::example(std::string line, std::string meaning)
{
    examples_.push_back({std::move(line), std::move(meaning)});
    return *this;
}

Command& Command::action(std::function<int()> run)
{
    run_ = std::move(run);
    return *this;
}

} // namespace caisson::cli
