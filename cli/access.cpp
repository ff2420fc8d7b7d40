#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "host/store/access_signer.hpp"
#include "host/store/durable_file.hpp"
#include "host/text.hpp"
#include "services/gateway/config.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>

namespace caisson::cli {
namespace {

using host::fault;
using host::hex;
using host::Outcome;
using host::unix_ms;
using host::z85;
using host::store::AccessFacts;
using host::store::AccessSigner;

constexpr std::size_t text_bytes_max = std::size_t{1} << 20U;
constexpr std::uint64_t day_ms = 86'400'000;
constexpr std::uint64_t days_max = 3650;

std::string time_text(std::uint64_t time_ms)
{
    const auto seconds = static_cast<std::time_t>(time_ms / 1000);
    std::tm parts{};
    char text[32] = {};
    if (::gmtime_r(&seconds, &parts) == nullptr ||
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts) == 0) {
        return std::to_string(time_ms) + " ms";
    }
    return text;
}

std::filesystem::path signer_path(const std::filesystem::path& given, const Globals& globals)
{
    return given.empty() ? globals.home / "access.key" : given;
}

Outcome<AccessSigner> load_signer(const std::filesystem::path& path)
{
    auto signer = host::store::load_access_signer(path);
    if (!signer && signer.error().kind == Kind::missing) {
        return fault(Kind::missing, path.string() + ": no such key; make one with \"caisson access init\", or name one "
                                                    "with --key");
    }
    return signer;
}

int print_signer(const AccessSigner& signer, const Globals& globals)
{
    const auto key = hex(signer.key.bytes);
    if (globals.json) {
        JsonWriter json;
        json.begin_object().name("list_key").text(key).end_object();
        return print_json(json.str());
    }
    return print_text(key + "\n");
}

int init(const std::filesystem::path& path, const Globals& globals)
{
    const auto made = host::store::make_access_signer(path);
    const auto signer = made ? load_signer(path) : Outcome<AccessSigner>(std::unexpected(made.error()));
    return signer ? print_signer(*signer, globals) : report(signer.error());
}

int print_list(const AccessFacts& facts, const Globals& globals)
{
    if (globals.json) {
        JsonWriter json;
        json.begin_object().name("serial").number(facts.serial).name("issued_ms").number(facts.issued_ms);
        json.name("expires_ms");
        facts.expires_ms == 0 ? json.null() : json.number(facts.expires_ms);
        json.name("keys").begin_array();
        for (const auto& key : facts.keys) {
            json.text(z85(key.bytes));
        }
        return print_json(json.end_array().end_object().str());
    }
    std::string text = "# serial " + std::to_string(facts.serial) + ", signed " + time_text(facts.issued_ms) + ", " +
                       (facts.expires_ms == 0 ? "no end" : "ends " + time_text(facts.expires_ms)) + ", " +
                       std::to_string(facts.keys.size()) + " keys\n";
    for (const auto& key : facts.keys) {
        text += z85(key.bytes) + "\n";
    }
    return print_text(text);
}

struct SignWish {
    std::filesystem::path list;
    std::filesystem::path out;
    std::filesystem::path key;
    std::uint64_t serial = 0;
    std::uint64_t days = 0;
};

// The time is a serial that rises by itself; where the clock was set back, the list before says how far it has come.
std::uint64_t next_serial(const SignWish& wish, const AccessSigner& signer, std::uint64_t now)
{
    const auto before = host::store::read_access_file(wish.out, signer.key);
    return wish.serial != 0 ? wish.serial : std::max(now, before ? before->serial + 1 : 0);
}

Outcome<AccessFacts> sign(SignWish wish, const Globals& globals)
{
    const auto signer = TRY(load_signer(signer_path(wish.key, globals)));
    if (wish.out.empty()) {
        wish.out = wish.list.string() + ".signed";
    }
    const auto text = TRY(host::store::load_file(wish.list, text_bytes_max));
    const auto keys = TRY(services::gateway::parse_key_list(std::string(text_of(text)), wish.list.string()));
    AccessFacts facts;
    facts.issued_ms = unix_ms();
    facts.serial = next_serial(wish, signer, facts.issued_ms);
    facts.expires_ms = wish.days == 0 ? 0 : facts.issued_ms + wish.days * day_ms;
    facts.keys.assign(keys.begin(), keys.end());
    TRY(host::store::sign_access_file(wish.out, signer, facts));
    return host::store::read_access_file(wish.out, signer.key);
}

void add_sign(Command& access, const Globals& globals)
{
    const auto wish = std::make_shared<SignWish>();
    auto& command = access.command("sign", "signs a list of public keys");
    command.describe(
        "The list is a file of public keys in Z85, one a line; # begins a comment. What is written can go "
        "over any way, to a host nobody trusts: the chamber checks it, and takes no list that is not newer "
        "than the one it has.");
    command.argument("LIST", wish->list, "the keys");
    command.option("--out", "FILE", wish->out, "where the signed list goes (default: LIST.signed)");
    command.option("--key", "FILE", wish->key, "the signing key (default: access.key in the home)");
    command.number("--expires", "DAYS", wish->days, 1, days_max, "the list ends then, for gated keys");
    command.number("--serial", "N", wish->serial, 1, INT64_MAX, "its serial (default: the time, in milliseconds)");
    command.example("caisson access sign clients.txt", "writes clients.txt.signed");
    command.action([wish, &globals] {
        const auto signed_list = sign(*wish, globals);
        return signed_list ? print_list(*signed_list, globals) : report(signed_list.error());
    });
}

void add_show(Command& access, const Globals& globals)
{
    struct Wish {
        std::filesystem::path list;
        std::string key;
    };
    const auto wish = std::make_shared<Wish>();
    auto& command = access.command("show", "checks a signed list and prints it");
    command.argument("FILE", wish->list, "the signed list");
    command.option("--list-key", "HEX|FILE", wish->key, "the public key of who signed (default: of the home)");
    command.action([wish, &globals] {
        const auto facts = [&]() -> Outcome<AccessFacts> {
            const auto key = wish->key.empty() ? TRY(load_signer(signer_path({}, globals))).key
                                               : TRY(host::store::read_verifying_key(wish->key, "--list-key"));
            return host::store::read_access_file(wish->list, key);
        }();
        return facts ? print_list(*facts, globals) : report(facts.error());
    });
}

void add_with_key(Command& access, const Globals& globals, const char* name, const char* summary,
                  int (*run)(const std::filesystem::path&, const Globals&))
{
    const auto path = std::make_shared<std::filesystem::path>();
    auto& command = access.command(name, summary);
    command.option("--key", "FILE", *path, "where it is (default: access.key in the home)");
    command.action([path, &globals, run] { return run(signer_path(*path, globals), globals); });
}

int show_signer(const std::filesystem::path& path, const Globals& globals)
{
    const auto signer = load_signer(path);
    return signer ? print_signer(*signer, globals) : report(signer.error());
}

} // namespace

void add_access(Command& root, const Globals& globals)
{
    auto& access = root.command("access", "signs who may talk to a key, for the chamber to check");
    access.describe("A key made with \"caisson key new --list-key\" talks only with those that a list names which the "
                    "pinned signer has signed. Sign on a machine you trust; hosts get the list alone.");
    add_with_key(access, globals, "init", "makes a signing key and prints its public key", init);
    add_with_key(access, globals, "key", "prints the public key", show_signer);
    add_sign(access, globals);
    add_show(access, globals);
}

} // namespace caisson::cli
