// Command: one word of the command line, its options, its help, and what it does.
// A description only; cli/parser.cpp reads the command line by it, cli/help.cpp prints it.
//
// Targets are references that must outlive the run: a verb keeps them in a shared_ptr its action captures.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace caisson::cli {

enum class Need : std::uint8_t { optional, required };

class Command {
  public:
    using Target = std::variant<bool*, std::string*, std::filesystem::path*, std::uint64_t*, std::vector<std::string>*>;

    // An option "--name" or "-n,--name"; or an argument, when `is_argument`.
    struct Option {
        std::string names;
        std::string value; // what stands for the value in the help: "NAME"; empty for a flag
        std::string help;
        Target target;
        Need need = Need::optional;
        bool is_argument = false;
        std::uint64_t minimum = 0;
        std::uint64_t maximum = 0;
    };
    struct Example {
        std::string line;
        std::string meaning;
    };

    Command(std::string name, std::string summary);
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;

    // A command below this one: "key" has "new". The reference stays valid.
    Command& command(std::string name, std::string summary);

    // --flag, without a value.
    Command& flag(std::string names, bool& target, std::string help);

    // --option VALUE. With a vector the option may be repeated. A number must lie in [minimum, maximum].
    Command& option(std::string names, std::string value, std::string& target, std::string help,
                    Need need = Need::optional);
    Command& option(std::string names, std::string value, std::filesystem::path& target, std::string help,
                    Need need = Need::optional);
    Command& option(std::string names, std::string value, std::vector<std::string>& target, std::string help,
                    Need need = Need::optional);
    Command& number(std::string names, std::string value, std::uint64_t& target, std::uint64_t minimum,
                    std::uint64_t maximum, std::string help, Need need = Need::optional);

    // A word without dashes, in the order they are declared.
    Command& argument(std::string value, std::string& target, std::string help, Need need = Need::required);
    Command& argument(std::string value, std::filesystem::path& target, std::string help, Need need = Need::required);

    // Everything after "--", as it is: "-- PROGRAM ARGS...".
    Command& rest(std::string value, std::vector<std::string>& target, std::string help, Need need = Need::required);

    // Paragraphs for the help, between the usage line and the options.
    Command& describe(std::string text);
    Command& example(std::string line, std::string meaning);

    // Runs when this command was chosen; returns the exit code.
    Command& action(std::function<int()> run);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::string& summary() const noexcept { return summary_; }
    [[nodiscard]] const std::string& description() const noexcept { return description_; }
    [[nodiscard]] const std::deque<Command>& commands() const noexcept { return commands_; }
    [[nodiscard]] const std::vector<Option>& options() const noexcept { return options_; }
    [[nodiscard]] const std::vector<Option>& rest_option() const noexcept { return rest_; } // none or one
    [[nodiscard]] const std::vector<Example>& examples() const noexcept { return examples_; }
    [[nodiscard]] const std::function<int()>& run() const noexcept { return run_; }

  private:
    std::string name_;
    std::string summary_;
    std::string description_;
    std::deque<Command> commands_;
    std::vector<Option> options_;
    std::vector<Option> rest_;
    std::vector<Example> examples_;
    std::function<int()> run_;
};

} // namespace caisson::cli
