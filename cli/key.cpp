#include "cli/home_guard.hpp"
#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "core/secret.hpp"
#include "core/text.hpp"
#include "host/enclave/platform_text.hpp"
#include "host/enclave/root.hpp"
#include "host/store/access_signer.hpp"
#include "host/store/durable_file.hpp"
#include "host/store/joined_server.hpp"
#include "host/store/key_store.hpp"
#include "host/text.hpp"
#include "services/run/key_chamber.hpp"

#include <array>
#include <cstdio>
#include <memory>

#include <unistd.h>

namespace caisson::cli {
namespace {

using host::Fault;
using host::fault;
using host::hex;
using host::Outcome;
using host::z85;
using host::enclave::Guard;
using host::enclave::guard_text;
using host::enclave::platform_name;
using host::enclave::root_name;
using host::store::KeyRecord;
using host::store::KeyStore;
using host::store::VerifierKey;
using services::run::KeyChamber;
using services::run::Pins;

constexpr std::size_t z85_key_letters = 40;

void add_facts(JsonWriter& json, const KeyRecord& record, const std::optional<Guard>& guard)
{
    json.begin_object().name("name").text(record.name).name("public_key").text(z85(record.public_key.bytes));
    json.name("handle").text(z85(record.handle.bytes)).name("gated").boolean(record.gated);
    json.name("verifier_key");
    record.gated ? json.text(hex(record.verifier_key.bytes)) : json.null();
    json.name("list_key");
    record.listed ? json.text(hex(record.list_key.bytes)) : json.null();
    json.name("platform");
    guard ? json.text(platform_name(guard->platform)) : json.null();
    json.name("root");
    guard ? json.text(root_name(guard->root)) : json.null();
    json.name("debug");
    guard ? json.boolean(guard->debug) : json.null();
    json.end_object();
}

int print_facts(const KeyRecord& record, const Globals& globals)
{
    const auto guard = guard_of_home(globals);
    if (globals.json) {
        JsonWriter json;
        add_facts(json, record, guard);
        return print_json(json.str());
    }
    std::string text = "name        " + record.name + "\npublic key  " + z85(record.public_key.bytes) +
                       "\nhandle      " + z85(record.handle.bytes) + "\ngate        ";
    text += record.gated ? "admits only peers that the server with key\n            " + hex(record.verifier_key.bytes) +
                               " trusts"
                         : "none: admits every peer with a right CURVE key";
    text += record.listed ? "\naccess list only those that a list names which is signed by\n            " +
                                hex(record.list_key.bytes)
                          : "";
    text += "\nchamber     " + (guard ? guard_text(*guard) : std::string("unknown"));
    return print_text(text + "\n");
}

// The lines that libzmq's tool curve_keygen prints, for scripts that read them.
int print_as_curve_keygen(const KeyRecord& record)
{
    return print_text("A key pair for CurveZMQ, in Z85. Where the secret key stands is a handle: it works under\n"
                      "\"caisson run\" on this machine, and opens nothing elsewhere.\n\n"
                      "== CURVE PUBLIC KEY ==\n" +
                      z85(record.public_key.bytes) + "\n\n== CURVE SECRET KEY ==\n" + z85(record.handle.bytes) + "\n");
}

// What decides about the gate of a new key.
struct GateChoice {
    bool ungated = false;
    std::string verifier; // 64 hexadecimal digits, or a file that holds them
    std::string list;     // likewise; empty: no list
};

Outcome<VerifierKey> read_pin(const std::string& given, const std::string& option)
{
    VerifierKey key;
    key.bytes = TRY(host::store::read_verifying_key(given, "key: " + option)).bytes;
    return key;
}

Outcome<Pins> choose_pins(const GateChoice& choice, const std::filesystem::path& home)
{
    Pins pins;
    if (!choice.list.empty()) {
        pins.list = TRY(read_pin(choice.list, "--list-key"));
    }
    if (!choice.verifier.empty()) {
        pins.gate = TRY(read_pin(choice.verifier, "--verifier"));
    } else if (!choice.ungated) {
        pins.gate = TRY(host::store::load_joined_server(home));
    }
    return pins;
}

void warn_if_ungated(const KeyRecord& record, const GateChoice& choice)
{
    if (!record.gated && !choice.ungated) {
        std::fprintf(stderr,
                     "caisson: key %s is ungated: this node has joined no attestation server, so every peer with a "
                     "right CURVE key gets in; to change that, join one with \"caisson agent join\" and make a new "
                     "key, or name its key with --verifier\n",
                     record.name.c_str());
    }
}

constexpr const char* curve_keygen_format = "curve_keygen";

struct NewWish {
    std::string name;
    GateChoice gate;
    std::string format; // empty: our own
};

int new_key(const NewWish& wish, const Globals& globals)
{
    const auto& [name, choice, format] = wish;
    const auto made = [&]() -> Outcome<KeyRecord> {
        TRY(host::store::check_key_name(name));
        const KeyStore store(globals.home);
        TRY(store.expect_free(name));
        const auto pins = TRY(choose_pins(choice, globals.home));
        auto chamber = TRY(KeyChamber::open_to_change(globals.home));
        TRY(chamber.carry_over(store));
        auto record = TRY(chamber.make(name, pins));
        TRY(store.store(record));
        TRY(chamber.conclude());
        return record;
    }();
    if (!made) {
        return report(made.error());
    }
    warn_if_ungated(*made, choice);
    return format == curve_keygen_format ? print_as_curve_keygen(*made) : print_facts(*made, globals);
}

// Of a broken key file the others are still listed.
int list_keys(const Globals& globals)
{
    const KeyStore store(globals.home);
    const auto names = store.names();
    if (!names) {
        return report(names.error());
    }
    int result = exit_ok;
    const auto guard = guard_of_home(globals);
    JsonWriter json;
    json.begin_array();
    std::string text;
    for (const auto& name : *names) {
        const auto record = store.load(name);
        if (!record) {
            result = report(record.error());
            continue;
        }
        add_facts(json, *record, guard);
        text += z85(record->public_key.bytes) + (record->gated ? "  gated    " : "  ungated  ") + record->name + "\n";
    }
    json.end_array();
    if (globals.json) {
        print_json(json.str());
    } else if (!text.empty()) {
        print_text("PUBLIC KEY                                GATE     NAME\n" + text +
                   (guard ? "in a chamber on " + guard_text(*guard) + "\n" : ""));
    } else if (result == exit_ok) {
        print_text("no keys yet; make one with \"caisson key new NAME\"\n");
    }
    return result;
}

struct ShowWish {
    std::string name;
    bool only_public = false;
    bool only_handle = false;
};

int show_key(const ShowWish& wish, const Globals& globals)
{
    if (wish.only_public && wish.only_handle) {
        report({Kind::malformed, "usage: --public and --handle exclude each other; without either both are shown"});
        return exit_usage;
    }
    const auto record = KeyStore(globals.home).load(wish.name);
    if (!record) {
        return report(record.error());
    }
    if (wish.only_public) {
        return print_text(z85(record->public_key.bytes) + "\n");
    }
    return wish.only_handle ? print_text(z85(record->handle.bytes) + "\n") : print_facts(*record, globals);
}

int export_key(const std::string& name, const Globals& globals)
{
    const auto sealed = [&]() -> Outcome<KeyRecord> {
        const auto record = TRY(KeyStore(globals.home).load(name));
        auto chamber = TRY(KeyChamber::open(globals.home));
        return TRY(chamber.reseal(record));
    }();
    return sealed ? print_text(host::store::key_record_text(*sealed)) : report(sealed.error());
}

struct ImportWish {
    std::string name;
    std::filesystem::path sealed;
    std::string raw_z85;
    std::filesystem::path owner; // not empty: a backup of before the last change is taken in
    GateChoice gate;
};

// The secret is in this process only between reading and the chamber, and wiped after.
struct SecretText {
    std::array<char, z85_key_letters + 2> letters{};
    ByteArray<32> secret{};

    SecretText() = default;
    SecretText(const SecretText&) = delete;
    SecretText& operator=(const SecretText&) = delete;
    ~SecretText()
    {
        wipe({reinterpret_cast<std::uint8_t*>(letters.data()), letters.size()});
        wipe(secret);
    }
};

Outcome<void> read_secret(SecretText& text)
{
    std::size_t size = 0;
    while (size < text.letters.size()) {
        const auto count = ::read(STDIN_FILENO, text.letters.data() + size, text.letters.size() - size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            break;
        }
        size += static_cast<std::size_t>(count);
    }
    if (size == z85_key_letters + 1 && text.letters[z85_key_letters] == '\n') {
        --size;
    }
    const auto bytes = size == z85_key_letters ? read_z85(text.secret, {text.letters.data(), size})
                                               : Result<std::size_t>(fail(Kind::malformed, "size"));
    if (!bytes) {
        return fault(Kind::malformed, "key import: standard input: not a secret key; 40 letters of Z85 and at most one "
                                      "line end are expected");
    }
    return {};
}

Outcome<KeyRecord> take_sealed_key(const ImportWish& wish, const KeyStore& store, const Globals& globals)
{
    const auto content = TRY(host::store::load_file(wish.sealed, host::store::key_file_bytes_max));
    const auto sealed = TRY(host::store::read_key_record(text_of(content), "key import: " + wish.sealed.string()));
    auto chamber = TRY(KeyChamber::open_to_change(globals.home));
    TRY(chamber.carry_over(store)); // before an older copy opens: the other keys are none
    if (!wish.owner.empty()) {
        TRY(chamber.accept_older(wish.owner));
    }
    auto record = TRY(chamber.take_sealed(wish.name, sealed.sealed));
    TRY(store.store(record));
    TRY(chamber.conclude());
    return record;
}

Outcome<KeyRecord> take_secret_key(const ImportWish& wish, const KeyStore& store, const Globals& globals)
{
    const auto pins = TRY(choose_pins(wish.gate, globals.home));
    auto chamber = TRY(KeyChamber::open_to_change(globals.home));
    TRY(chamber.carry_over(store));
    SecretText text;
    TRY(read_secret(text));
    auto record = TRY(chamber.take_secret(wish.name, pins, text.secret));
    TRY(store.store(record));
    TRY(chamber.conclude());
    return record;
}

Outcome<KeyRecord> take_key(const ImportWish& wish, const Globals& globals)
{
    TRY(host::store::check_key_name(wish.name));
    const KeyStore store(globals.home);
    TRY(store.expect_free(wish.name));
    return wish.sealed.empty() ? take_secret_key(wish, store, globals) : take_sealed_key(wish, store, globals);
}

int import_key(const ImportWish& wish, const Globals& globals)
{
    if (wish.sealed.empty() == wish.raw_z85.empty() || (!wish.raw_z85.empty() && wish.raw_z85 != "-")) {
        report({Kind::malformed, "usage: key import: either --sealed FILE, or --raw-z85 - with the secret on standard "
                                 "input (never on the command line, where every user sees it)"});
        return exit_usage;
    }
    const auto record = take_key(wish, globals);
    if (!record) {
        return report(record.error());
    }
    if (!wish.raw_z85.empty()) {
        warn_if_ungated(*record, wish.gate);
        std::fprintf(stderr,
                     "caisson: key %s was outside before: copies of its secret may remain in files, backups and "
                     "programs; only a key made by \"caisson key new\" has none\n",
                     record->name.c_str());
    }
    return print_facts(*record, globals);
}

int remove_key(const std::string& name, const Globals& globals)
{
    const auto done = [&]() -> host::Done {
        const KeyStore store(globals.home);
        if (TRY(host::enclave::Root::kind_of(globals.home)) == protocol::sgx::RootKind::file) {
            return store.remove(name);
        }
        auto chamber = KeyChamber::open_to_change(globals.home); // should it fail, the key goes all the same
        TRY(store.remove(name));
        const auto counted = [&]() -> host::Done {
            auto opened = TRY(std::move(chamber));
            TRY(opened.carry_over(store));
            return opened.conclude();
        }();
        return counted ? host::Done{}
                       : fault(counted.error().kind, "key " + name +
                                                         ": its file is removed, but older copies of it "
                                                         "still open: " +
                                                         counted.error().what);
    }();
    return done ? int{exit_ok} : report(done.error());
}

void add_gate_options(Command& command, GateChoice& choice)
{
    command.flag("--ungated", choice.ungated, "admit every peer with a right CURVE key");
    command.option("--verifier", "HEX|FILE", choice.verifier,
                   "admit only peers that the attestation server with this key trusts (default: the server this node "
                   "has joined)");
    command.option(
        "--list-key", "HEX|FILE", choice.list,
        "talk only with those that a list names which is signed by this key (\"caisson access\"); the chamber "
        "enforces it");
}

void add_new(Command& key, const Globals& globals)
{
    const auto wish = std::make_shared<NewWish>();
    auto& command = key.command("new", "makes a key");
    command.describe("The secret is made inside the chamber and leaves it only sealed, for the same chamber on this "
                     "machine. Give the public key to your peers, and the handle to your program where it expects the "
                     "secret key.");
    command.argument("NAME", wish->name, "a-z, 0-9, '.', '_', '-'; at most 64");
    add_gate_options(command, wish->gate);
    command.option("--format", "curve_keygen", wish->format,
                   "print the lines of libzmq's curve_keygen; where it has the secret key stands the handle");
    command.example("caisson key new alice", "makes the key alice and prints its public key and handle");
    command.action([wish, &globals] {
        if (wish->gate.ungated && !wish->gate.verifier.empty()) {
            report({Kind::malformed, "usage: --ungated and --verifier exclude each other"});
            return int{exit_usage};
        }
        if (!wish->format.empty() && (wish->format != curve_keygen_format || globals.json)) {
            report({Kind::malformed, "usage: --format: \"curve_keygen\" is the one there is, and excludes --json"});
            return int{exit_usage};
        }
        return new_key(*wish, globals);
    });
}

void add_show(Command& key, const Globals& globals)
{
    const auto wish = std::make_shared<ShowWish>();
    auto& command = key.command("show", "shows a key: public key, handle, gate");
    command.argument("NAME", wish->name, "which key");
    command.flag("--public", wish->only_public, "only the public key, for scripts");
    command.flag("--handle", wish->only_handle, "only the handle, for scripts");
    command.example("caisson key show alice --handle", "prints what stands where a program expects the secret key");
    command.action([wish, &globals] { return show_key(*wish, globals); });
}

void add_import(Command& key, const Globals& globals)
{
    const auto wish = std::make_shared<ImportWish>();
    auto& command = key.command("import", "takes in a sealed key, or a secret from outside");
    command.describe(
        "A sealed key opens only on the machine that sealed it. A secret from outside works as before, but "
        "nobody can say how many copies of it there are.");
    command.argument("NAME", wish->name, "its name from now on");
    command.option("--sealed", "FILE", wish->sealed, "what \"caisson key export\" printed");
    command.option("--raw-z85", "-", wish->raw_z85, "the secret, 40 letters of Z85, from standard input");
    command.option("--owner", "FILE", wish->owner,
                   "the TPM's owner secret, for a key exported before the last change of this home's keys");
    add_gate_options(command, wish->gate);
    command.example("caisson key import alice --raw-z85 - < alice.secret", "takes in the secret of an old program");
    command.action([wish, &globals] { return import_key(*wish, globals); });
}

void add_named(Command& key, const Globals& globals, const char* name, const char* summary,
               int (*run)(const std::string&, const Globals&))
{
    const auto wish = std::make_shared<std::string>();
    auto& command = key.command(name, summary);
    command.argument("NAME", *wish, "which key");
    command.action([wish, &globals, run] { return run(*wish, globals); });
}

} // namespace

void add_key(Command& root, const Globals& globals)
{
    auto& key = root.command("key", "makes, shows, moves and removes CURVE keys");
    key.describe("Keys live in the home, each sealed for the curve chamber of this machine.");
    add_new(key, globals);
    key.command("list", "lists the keys").action([&globals] { return list_keys(globals); });
    add_show(key, globals);
    add_named(key, globals, "export", "prints a key in its sealed form, for a backup", export_key);
    add_import(key, globals);
    add_named(key, globals, "remove", "removes a key for good", remove_key);
}

} // namespace caisson::cli
