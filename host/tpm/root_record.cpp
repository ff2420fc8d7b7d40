#include "host/tpm/root_record.hpp"

#include "core/text.hpp"
#include "host/store/durable_file.hpp"
#include "host/store/json_object.hpp"
#include "host/text.hpp"
#include "host/tpm/nv.hpp"

#include <algorithm>

namespace caisson::host::tpm {
namespace {

using store::JsonObject;

constexpr std::size_t record_bytes_max = std::size_t{64} << 10U;
constexpr std::size_t log_bytes_max = std::size_t{64} << 10U;
constexpr std::size_t sealed_bytes_max = 2048;
constexpr std::size_t name_bytes_max = 66;
constexpr std::array<std::string_view, 15> fields{
    "version",  "tpm",           "srk_name", "ak_name",      "pcrs",         "register", "signer",    "approved",
    "approval", "sealed_public", "sealed",   "owner_public", "owner_sealed", "indices",  "simulated",
};
constexpr const char* remedy = "restore the file from a backup; without it the machine root is lost";

std::string hex_of_number(std::uint32_t number)
{
    ByteArray<4> bytes;
    for (std::size_t index = 0; index < bytes.size(); ++index) {
        bytes[index] = static_cast<std::uint8_t>(number >> (24 - 8 * index));
    }
    return hex(bytes);
}

Outcome<std::uint32_t> number_in(const JsonObject& object, std::string_view field)
{
    ByteArray<4> bytes{};
    TRY(object.read_hex_to(field, bytes));
    std::uint32_t number = 0;
    for (const auto byte : bytes) {
        number = number << 8U | byte;
    }
    return number;
}

// Letters that need no escape.
bool is_address(std::string_view text)
{
    return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, [](char letter) {
        return letter > ' ' && letter < 0x7f && letter != '"' && letter != '\\';
    });
}

} // namespace

std::string record_text(const RootRecord& record)
{
    std::string text = "{\n  \"version\": 1";
    const auto add = [&text](std::string_view field, const std::string& value) {
        text += ",\n  \"" + std::string(field) + "\": \"" + value + "\"";
    };
    add("tpm", record.address);
    add("srk_name", hex(record.srk_name));
    add("ak_name", hex(record.ak_name));
    add("pcrs", hex_of_number(record.pcr_mask));
    add("register", record.register_value ? hex(*record.register_value) : "");
    add("signer", hex(record.signer));
    add("approved", hex(record.approved));
    add("approval", hex(record.approval));
    add("sealed_public", hex(record.release.area));
    add("sealed", hex(record.release.secret));
    add("owner_public", hex(record.recovery.area));
    add("owner_sealed", hex(record.recovery.secret));
    add("indices", hex_of_number(record.slot));
    return text + ",\n  \"simulated\": " + (record.software ? "true" : "false") + "\n}\n";
}

Outcome<RootRecord> read_record(std::string_view text, const std::string& where)
{
    const auto object = TRY(JsonObject::parse(text, where, remedy));
    TRY(object.expect_only(fields));
    TRY(object.expect_number("version", 1));
    RootRecord record;
    record.address = TRY(object.text("tpm"));
    if (!is_address(record.address)) {
        return object.wrong("tpm", "device:PATH or swtpm:path=PATH");
    }
    record.srk_name = TRY(object.hex("srk_name", 1, name_bytes_max));
    record.ak_name = TRY(object.hex("ak_name", 1, name_bytes_max));
    record.pcr_mask = TRY(number_in(object, "pcrs"));
    if (record.pcr_mask == 0 || record.pcr_mask > pcr_mask_max) {
        return object.wrong("pcrs", "a bit for each of PCR 0 to 23, at least one");
    }
    const auto value = TRY(object.hex("register", 0, sizeof(Digest)));
    if (value.size() == sizeof(Digest)) {
        copy_bytes(record.register_value.emplace(), value);
    } else if (!value.empty()) {
        return object.wrong("register", "a SHA-256 value, or nothing");
    }
    record.signer = TRY(object.hex("signer", 0, sealed_bytes_max));
    TRY(object.read_hex_to("approved", record.approved));
    record.approval = TRY(object.hex("approval", 0, sealed_bytes_max));
    record.release.area = TRY(object.hex("sealed_public", 1, sealed_bytes_max));
    record.release.secret = TRY(object.hex("sealed", 1, sealed_bytes_max));
    record.recovery.area = TRY(object.hex("owner_public", 1, sealed_bytes_max));
    record.recovery.secret = TRY(object.hex("owner_sealed", 1, sealed_bytes_max));
    record.software = TRY(object.boolean("simulated"));
    record.slot = TRY(number_in(object, "indices"));
    if (!is_slot(record.slot)) {
        return object.wrong("indices", "the first of this home's NV indices");
    }
    return record;
}

std::filesystem::path root_folder(const std::filesystem::path& home)
{
    return home / "root";
}

std::filesystem::path record_path(const std::filesystem::path& home)
{
    return root_folder(home) / "tpm.json";
}

Outcome<RootRecord> load_record(const std::filesystem::path& home)
{
    const auto path = record_path(home);
    const auto content = TRY(store::load_file(path, record_bytes_max));
    return read_record(text_of(content), path.string());
}

Done store_record(const std::filesystem::path& home, const RootRecord& record)
{
    TRY(store::make_folder(root_folder(home), 0700));
    return store::store_file(record_path(home), bytes_of(record_text(record)), 0600, store::Existing::replace);
}

Outcome<std::vector<Digest>> load_image_log(const std::filesystem::path& home)
{
    const auto path = root_folder(home) / "images.log";
    std::vector<Digest> images;
    const auto content = store::load_file(path, log_bytes_max);
    if (!content && content.error().kind == Kind::missing) {
        return images;
    }
    const auto bytes = TRY(content);
    auto text = text_of(bytes);
    constexpr std::size_t line = 2 * sizeof(Digest) + 1;
    while (!text.empty()) {
        Digest image{};
        if (text.size() < line || text[line - 1] != '\n' || !read_hex(image, text.substr(0, line - 1))) {
            return fault(Kind::malformed, path.string() + ": not a line of 64 hexadecimal digits for each image; "
                                                          "remove the file and restart the machine");
        }
        images.push_back(image);
        text.remove_prefix(line);
    }
    return images;
}

Done store_image_log(const std::filesystem::path& home, std::span<const Digest> images)
{
    std::string text;
    for (const auto& image : images) {
        text += hex(image) + "\n";
    }
    return store::store_file(root_folder(home) / "images.log", bytes_of(text), 0600, store::Existing::replace);
}

} // namespace caisson::host::tpm
