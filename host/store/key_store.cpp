#include "host/store/key_store.hpp"

#include "core/check.hpp"
#include "core/text.hpp"
#include "host/store/durable_file.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <unistd.h>

namespace caisson::host::store {
namespace {

using nlohmann::json;

constexpr int format_version = 1;
constexpr std::string_view suffix = ".json";
constexpr std::array<std::string_view, 7> fields{"version", "name",         "public_key", "handle",
                                                 "gated",   "verifier_key", "sealed"};
constexpr const char* remedy = "; restore the file from a backup, or remove the key and make it anew";

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

// Reads the fields of one file and says where and what when one is not as it should be.
class FieldReader {
  public:
    FieldReader(const json& object, std::string where)
        : object_(object)
        , where_(std::move(where))
    {
    }

    [[nodiscard]] std::unexpected<Fault> wrong(std::string_view field, std::string_view expected) const
    {
        return fault(Kind::malformed,
                     where_ + ": field \"" + std::string(field) + "\" must be " + std::string(expected) + remedy);
    }

    [[nodiscard]] Outcome<std::string> text(std::string_view field, std::string_view expected) const
    {
        const auto found = object_.find(field);
        if (found == object_.end() || !found->is_string()) {
            return wrong(field, expected);
        }
        return found->get<std::string>();
    }

    [[nodiscard]] Outcome<bool> boolean(std::string_view field) const
    {
        const auto found = object_.find(field);
        if (found == object_.end() || !found->is_boolean()) {
            return wrong(field, "true or false");
        }
        return found->get<bool>();
    }

    template <typename NamedBytes>
    [[nodiscard]] Outcome<NamedBytes> z85(std::string_view field) const
    {
        constexpr std::string_view expected = "40 letters of Z85";
        const auto written = TRY(text(field, expected));
        NamedBytes value;
        const auto size = read_z85(value.bytes, written);
        if (!size || *size != value.bytes.size()) {
            return wrong(field, expected);
        }
        return value;
    }

    [[nodiscard]] Outcome<std::vector<std::uint8_t>> hex(std::string_view field, std::size_t bytes_min,
                                                         std::size_t bytes_max, std::string_view expected) const
    {
        const auto written = TRY(text(field, expected));
        std::vector<std::uint8_t> value(bytes_max);
        const auto size = read_hex(value, written);
        if (!size || *size < bytes_min) {
            return wrong(field, expected);
        }
        value.resize(*size);
        return value;
    }

  private:
    const json& object_;
    std::string where_;
};

// Twice the same field means somebody else wrote the file, and readers would disagree about it.
Outcome<json> parse_object(std::string_view text, const std::string& where)
{
    std::vector<std::string> seen;
    bool repeated = false;
    const json::parser_callback_t note_names = [&](int depth, json::parse_event_t event, json& parsed) {
        if (depth == 1 && event == json::parse_event_t::key) {
            auto name = parsed.get<std::string>();
            repeated = repeated || std::find(seen.begin(), seen.end(), name) != seen.end();
            seen.push_back(std::move(name));
        }
        return true;
    };
    json object;
    try {
        object = json::parse(text, note_names);
    } catch (const json::exception& error) {
        const std::string_view what = error.what();
        const auto detail = what.substr(std::min(what.find("] ") + 2, what.size()));
        return fault(Kind::malformed, where + ": not JSON: " + std::string(detail) + remedy);
    }
    if (!object.is_object()) {
        return fault(Kind::malformed, where + ": must be a JSON object" + remedy);
    }
    if (repeated) {
        return fault(Kind::malformed, where + ": a field stands there twice" + remedy);
    }
    for (const auto& item : object.items()) {
        if (std::find(fields.begin(), fields.end(), item.key()) == fields.end()) {
            return fault(Kind::malformed,
                         where + ": unknown field \"" + item.key() + "\"; is the file of a later version of caisson?");
        }
    }
    return object;
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

std::string key_record_text(const KeyRecord& record)
{
    const json object{{"version", format_version},
                      {"name", record.name},
                      {"public_key", z85_of(record.public_key.bytes)},
                      {"handle", z85_of(record.handle.bytes)},
                      {"gated", record.gated},
                      {"verifier_key", hex_of(record.verifier_key.bytes)},
                      {"sealed", hex_of(record.sealed)}};
    return object.dump(2) + '\n';
}

Outcome<KeyRecord> read_key_record(std::string_view text, const std::string& where)
{
    const auto object = TRY(parse_object(text, where));
    const FieldReader reader(object, where);
    const auto version = object.find("version");
    if (version == object.end() || !version->is_number_integer() || *version != format_version) {
        return reader.wrong("version", "1; is the file of a later version of caisson?");
    }
    KeyRecord record;
    record.name = TRY(reader.text("name", "the name of the key"));
    if (!check_key_name(record.name)) {
        return reader.wrong("name", "the name of the key");
    }
    record.public_key = TRY(reader.z85<protocol::CurveKey>("public_key"));
    record.handle = TRY(reader.z85<KeyHandle>("handle"));
    record.gated = TRY(reader.boolean("gated"));
    const auto verifier = TRY(reader.hex("verifier_key", record.verifier_key.bytes.size(),
                                         record.verifier_key.bytes.size(), "64 hexadecimal digits"));
    copy_bytes(record.verifier_key.bytes, verifier);
    record.sealed = TRY(reader.hex("sealed", 1, sealed_key_bytes_max, "2 to 2048 hexadecimal digits"));
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

Done KeyStore::store(const KeyRecord& record) const
{
    TRY(check_key_name(record.name));
    CHECK(record.sealed.size() <= sealed_key_bytes_max);
    TRY(make_folder(folder_, 0700));
    auto done = store_file(path_of(record.name), bytes_of(key_record_text(record)), 0600, Existing::keep);
    if (!done && done.error().kind == Kind::conflict) {
        return fault(Kind::conflict, "key " + record.name + ": there is a key of that name in " + folder_.string() +
                                         "; choose another name, or remove it first with \"caisson key remove\"");
    }
    return done;
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
