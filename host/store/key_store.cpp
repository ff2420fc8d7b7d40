#include "host/store/key_store.hpp"

#include "core/check.hpp"
#include "core/text.hpp"
#include "host/store/durable_file.hpp"
#include "host/store/json_object.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <unistd.h>

namespace caisson::host::store {
namespace {

constexpr int format_version = 1;
constexpr int listed_version = 2; // with list_key
constexpr std::string_view suffix = ".json";
constexpr std::array<std::string_view, 8> fields{"version", "name",         "public_key", "handle",
                                                 "gated",   "verifier_key", "sealed",     "list_key"};
constexpr const char* remedy = "restore the file from a backup, or remove the key and make it anew";

bool is_name_letter(char letter) noexcept
{
    return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' ||
           letter == '-';
}

std::string z85_of(Bytes bytes)
{
    std::string text(bytes.size() / 4 * 5, '\0');
    write_z85(text, bytes);
    return text;
}

std::string hex_of(Bytes bytes)
{
    std::string text(2 * bytes.size(), '\0');
    write_hex(text, bytes);
    return text;
}

} // namespace

Done check_key_name(std::string_view name)
{
    const bool good = !name.empty() && name.size() <= key_name_bytes_max &&
                      std::all_of(name.begin(), name.end(), is_name_letter) &&
                      (name.front() != '.' && name.front() != '-' && name.front() != '_');
    if (!good) {
        return fault(Kind::malformed,
                     "key name \"" + std::string(name.substr(0, key_name_bytes_max)) +
                         "\": not a name; use a-z, 0-9, '.', '_' and '-', at most 64, the first a letter or digit");
    }
    return {};
}

// Names, Z85 and hexadecimal digits need no escapes.
std::string key_record_text(const KeyRecord& record)
{
    const auto line = [](std::string_view field, const std::string& value) {
        return "  \"" + std::string(field) + "\": " + value;
    };
    const auto quoted = [](const std::string& value) { return "\"" + value + "\""; };
    const auto list = record.listed ? line("list_key", quoted(hex_of(record.list_key.bytes))) + ",\n" : std::string();
    return "{\n" + line("version", std::to_string(record.listed ? listed_version : format_version)) + ",\n" +
           line("name", quoted(record.name)) + ",\n" + line("public_key", quoted(z85_of(record.public_key.bytes))) +
           ",\n" + line("handle", quoted(z85_of(record.handle.bytes))) + ",\n" +
           line("gated", record.gated ? "true" : "false") + ",\n" +
           line("verifier_key", quoted(hex_of(record.verifier_key.bytes))) + ",\n" + list +
           line("sealed", quoted(hex_of(record.sealed))) + "\n}\n";
}

Outcome<KeyRecord> read_key_record(std::string_view text, const std::string& where)
{
    const auto object = TRY(JsonObject::parse(text, where, remedy));
    KeyRecord record;
    record.listed = object.expect_number("version", listed_version).has_value();
    TRY(object.expect_only(record.listed ? std::span(fields) : std::span(fields).first(fields.size() - 1)));
    if (!record.listed) {
        TRY(object.expect_number("version", format_version));
    }
    record.name = TRY(object.text("name"));
    if (!check_key_name(record.name)) {
        return object.wrong("name", "the name of the key");
    }
    TRY(object.read_z85_to("public_key", record.public_key.bytes));
    TRY(object.read_z85_to("handle", record.handle.bytes));
    record.gated = TRY(object.boolean("gated"));
    TRY(object.read_hex_to("verifier_key", record.verifier_key.bytes));
    if (record.listed) {
        TRY(object.read_hex_to("list_key", record.list_key.bytes));
    }
    record.sealed = TRY(object.hex("sealed", 1, sealed_key_bytes_max));
    return record;
}

KeyStore::KeyStore(const std::filesystem::path& home)
    : folder_(home / "keys")
{
}

std::filesystem::path KeyStore::path_of(std::string_view name) const
{
    return folder_ / (std::string(name) + std::string(suffix));
}

std::unexpected<Fault> KeyStore::taken(std::string_view name) const
{
    return fault(Kind::conflict, "key " + std::string(name) + ": there is a key of that name in " + folder_.string() +
                                     "; choose another name, or remove it first with \"caisson key remove\"");
}

Done KeyStore::expect_free(std::string_view name) const
{
    TRY(check_key_name(name));
    std::error_code error;
    return std::filesystem::exists(std::filesystem::symlink_status(path_of(name), error)) ? Done(taken(name)) : Done{};
}

Done KeyStore::store(const KeyRecord& record) const
{
    TRY(check_key_name(record.name));
    CHECK(record.sealed.size() <= sealed_key_bytes_max);
    TRY(make_folder(folder_, 0700));
    auto done = store_file(path_of(record.name), bytes_of(key_record_text(record)), 0600, Existing::keep);
    if (!done && done.error().kind == Kind::conflict) {
        return taken(record.name);
    }
    return done;
}

Done KeyStore::replace(const KeyRecord& record) const
{
    TRY(check_key_name(record.name));
    CHECK(record.sealed.size() <= sealed_key_bytes_max);
    return store_file(path_of(record.name), bytes_of(key_record_text(record)), 0600, Existing::replace);
}

Outcome<KeyRecord> KeyStore::load(std::string_view name) const
{
    TRY(check_key_name(name));
    const auto path = path_of(name);
    const auto content = load_file(path, key_file_bytes_max);
    if (!content && content.error().kind == Kind::missing) {
        return fault(Kind::missing, "key " + std::string(name) + ": no such key in " + folder_.string() +
                                        "; \"caisson key list\" shows those there are");
    }
    if (!content) {
        return std::unexpected(content.error());
    }
    const auto where = "key file " + path.string();
    auto record = TRY(read_key_record(text_of(*content), where));
    if (record.name != name) {
        return fault(Kind::malformed, where + ": holds the key \"" + record.name + "\"; rename the file to " +
                                          record.name + std::string(suffix));
    }
    return record;
}

Outcome<std::vector<std::string>> KeyStore::names() const
{
    std::vector<std::string> found;
    std::error_code error;
    std::filesystem::directory_iterator entry(folder_, error);
    if (error == std::errc::no_such_file_or_directory) {
        return found;
    }
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        const auto file = entry->path().filename().string();
        if (file.size() > suffix.size() && file.ends_with(suffix)) {
            auto name = file.substr(0, file.size() - suffix.size());
            if (check_key_name(name)) {
                found.push_back(std::move(name));
            }
        }
    }
    if (error) {
        return std::unexpected(system_fault("reading the folder " + folder_.string(), error.value()));
    }
    std::sort(found.begin(), found.end());
    return found;
}

Done KeyStore::remove(std::string_view name) const
{
    TRY(check_key_name(name));
    const auto path = path_of(name);
    if (::unlink(path.c_str()) != 0) {
        if (errno == ENOENT) {
            return fault(Kind::missing, "key " + std::string(name) + ": no such key in " + folder_.string() +
                                            "; \"caisson key list\" shows those there are");
        }
        return std::unexpected(system_fault("removing " + path.string(), errno));
    }
    return sync_folder(folder_);
}

} // namespace caisson::host::store
