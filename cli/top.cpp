#include "cli/verb.hpp"
#include "services/gateway/observer.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <sstream>
#include <thread>

#include <unistd.h>

namespace caisson::cli {
namespace {

using host::Outcome;
using services::gateway::ask_gateways;

constexpr std::size_t field_count = 12; // of a line of /sessions.tsv
constexpr const char* clear_screen = "\x1b[H\x1b[2J";

std::string age_text(const std::string& milliseconds)
{
    const auto seconds = std::stoull(milliseconds) / 1000;
    if (seconds < 120) {
        return std::to_string(seconds) + " s";
    }
    return seconds < 7200 ? std::to_string(seconds / 60) + " min" : std::to_string(seconds / 3600) + " h";
}

std::string padded(const std::string& text, std::size_t width)
{
    return text.size() >= width ? text + " " : text + std::string(width - text.size(), ' ') + " ";
}

std::string row(const std::array<std::string, 11>& columns)
{
    constexpr std::array<std::size_t, 10> widths = {12, 21, 40, 11, 12, 8, 7, 10, 10, 12};
    std::string line;
    for (std::size_t index = 0; index < widths.size(); ++index) {
        line += padded(columns[index], widths[index]);
    }
    return line + columns.back() + "\n";
}

Outcome<std::string> table(const std::filesystem::path& home)
{
    std::string out = row(
        {"LISTENER", "PEER", "KEY", "TRUST", "LISTS", "STAGE", "AGE", "MSGS IN", "MSGS OUT", "BYTES IN", "BYTES OUT"});
    std::size_t count = 0;
    std::string guards;
    for (const auto& answer : TRY(ask_gateways(home, "/sessions.tsv"))) {
        std::istringstream lines(answer.body);
        std::string line;
        while (std::getline(lines, line)) {
            if (line.starts_with('#')) {
                guards += "gateway " + answer.pid + ": curve chamber on" + line.substr(1) + "\n";
                continue;
            }
            std::istringstream words(line);
            std::array<std::string, field_count> field;
            for (auto& word : field) {
                words >> word;
            }
            if (words.fail()) {
                return host::fault(Kind::malformed, "top: the gateway " + answer.pid + " says what is no session");
            }
            // A user that ZAP named stands with the trust.
            const auto trust = field[4] == "-" ? field[3] : field[3] + "/" + field[4];
            out += row({field[0], field[1], field[2], trust, field[6], field[5], age_text(field[7]), field[8], field[9],
                        field[10], field[11]});
            ++count;
        }
    }
    return out + std::to_string(count) + (count == 1 ? " session\n" : " sessions\n") + guards;
}

Outcome<std::string> as_json(const std::filesystem::path& home)
{
    std::string out = "{\"gateways\":[";
    const char* separator = "";
    for (const auto& answer : TRY(ask_gateways(home, "/sessions"))) {
        out += separator + ("{\"pid\":" + answer.pid) + ",\"state\":" + answer.body + "}";
        separator = ",";
    }
    return out + "]}";
}

int show_once(const Globals& globals)
{
    if (globals.json) {
        const auto text = as_json(globals.home);
        return text ? print_json(*text) : report(text.error());
    }
    const auto text = table(globals.home);
    return text ? print_text(*text) : report(text.error());
}

int show(const Globals& globals, bool once, std::uint64_t interval)
{
    if (once || globals.json || ::isatty(STDOUT_FILENO) == 0) {
        return show_once(globals);
    }
    while (true) {
        const auto text = table(globals.home);
        if (!text) {
            return report(text.error());
        }
        if (const int status = print_text(clear_screen + *text); status != exit_ok) {
            return status;
        }
        std::this_thread::sleep_for(std::chrono::seconds(interval));
    }
}

} // namespace

void add_top(Command& root, const Globals& globals)
{
    struct Wish {
        bool once = false;
        std::uint64_t interval = 1;
    };
    const auto wish = std::make_shared<Wish>();
    auto& command = root.command("top", "the sessions of the running gateways: peer, key, trust, messages, bytes, age");
    command.describe(
        "Asks every gateway that runs with this home. Shows them anew each second until Ctrl-C; once, when "
        "the output is no terminal, with --once or with --json.");
    command.flag("--once", wish->once, "show them once");
    command.number("-i,--interval", "SECONDS", wish->interval, 1, 3600, "between two looks");
    command.example("caisson top", "");
    command.example("caisson --json top", "for programs; the gateway's /metrics is for Prometheus");
    command.action([wish, &globals] { return show(globals, wish->once, wish->interval); });
}

} // namespace caisson::cli
