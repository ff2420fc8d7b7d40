#include "services/agent/home.hpp"

#include "host/store/durable_file.hpp"
#include "host/store/json_object.hpp"
#include "host/text.hpp"

#include <algorithm>

namespace caisson::services::agent {
namespace {

using host::Done;
using host::fault;
using host::hex;
using host::Outcome;
using host::store::Existing;
using host::store::JsonObject;

constexpr std::size_t text_file_bytes_max = std::size_t{256} << 10U;
constexpr std::size_t sealed_bytes_max = 4096;
constexpr ::mode_t secret_mode = 0600;
constexpr std::size_t address_letters_max = 255;

bool is_letter_of_name(char letter) noexcept
{
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
           letter == '.' || letter == '_' || letter == '-';
}

// Letters that need no escaping in JSON and fool no terminal.
bool is_address(std::string_view address) noexcept
{
    return !address.empty() && address.size() <= address_letters_max && std::ranges::all_of(address, [](char letter) {
        return is_letter_of_name(letter) || letter == ':' || letter == '[' || letter == ']';
    });
}

Outcome<std::string> load_text(const std::filesystem::path& path)
{
    const auto content = TRY(host::store::load_file(path, text_file_bytes_max));
    return std::string(text_of(content));
}

} // namespace

bool is_node_name(std::string_view name) noexcept
{
    return !name.empty() && name.size() <= protocol::node_name_bytes_max &&
           std::ranges::all_of(name, is_letter_of_name);
}

const char* platform_text(protocol::sgx::Platform platform) noexcept
{
    return platform == protocol::sgx::Platform::sgx ? "sgx" : "process";
}

std::optional<protocol::sgx::Platform> platform_of(std::string_view text) noexcept
{
    if (text == "process") {
        return protocol::sgx::Platform::process;
    }
    return text == "sgx" ? std::optional(protocol::sgx::Platform::sgx) : std::nullopt;
}

std::filesystem::path agent_folder(const std::filesystem::path& home)
{
    return home / "agent";
}

Outcome<Invitation> load_invitation(const std::filesystem::path& file)
{
    const auto content = TRY(load_text(file));
    const auto object = TRY(
        JsonObject::parse(content, "join file " + file.string(), "ask for a new one with \"caisson server invite\""));
    TRY(object.expect_number("version", 1));
    Invitation invitation;
    invitation.server = TRY(object.text("server"));
    if (!is_address(invitation.server)) {
        return object.wrong("server", "HOST:PORT");
    }
    invitation.ca_pem = TRY(object.text("ca_pem"));
    TRY(object.read_hex_to("server_signing_key", invitation.server_signing_key.bytes));
    TRY(object.read_hex_to("server_box_key", invitation.server_box_key.bytes));
    TRY(object.read_hex_to("token", invitation.token));
    if (const auto name = object.text("name"); name) {
        if (!is_node_name(*name)) {
            return object.wrong("name", "at most 64 of a-z, A-Z, 0-9, '.', '_', '-'");
        }
        invitation.name = *name;
    }
    return invitation;
}

Done expect_not_joined(const std::filesystem::path& home)
{
    const auto path = agent_folder(home) / "join.json";
    std::error_code error;
    if (std::filesystem::exists(path, error)) {
        return fault(Kind::conflict, "joining: " + path.string() +
                                         " is there already, this node has joined a server; remove the folder "
                                         "to give that identity up, or choose another --home");
    }
    return {};
}

Done store_joined(const std::filesystem::path& home, const Joined& joined, const protocol::WitnessKey& witness_key)
{
    const auto folder = agent_folder(home);
    TRY(host::store::make_folder(folder, 0700));
    const auto store = [&folder](const char* name, Bytes content) {
        return host::store::store_file(folder / name, content, secret_mode, Existing::replace);
    };
    TRY(store("identity.sealed", joined.sealed_identity));
    TRY(store("tls.key", bytes_of(joined.credentials.key_pem)));
    TRY(store("tls.pem", bytes_of(joined.credentials.certificate_pem)));
    TRY(store("ca.pem", bytes_of(joined.credentials.ca_pem)));
    const auto text = "{\n  \"version\": 1,\n  \"server\": \"" + joined.server + "\",\n  \"name\": \"" + joined.name +
                      "\",\n  \"server_signing_key\": \"" + hex(joined.server_signing_key.bytes) +
                      "\",\n  \"platform\": \"" + std::string(platform_text(joined.platform)) +
                      "\",\n  \"witness_key\": \"" + hex(witness_key.bytes) + "\"\n}\n";
    return store("join.json", bytes_of(text));
}

Outcome<Joined> load_joined(const std::filesystem::path& home)
{
    const auto folder = agent_folder(home);
    const auto content = load_text(folder / "join.json");
    if (!content && content.error().kind == Kind::missing) {
        return fault(Kind::missing, "agent: " + folder.string() +
                                        ": this node has joined no server; run \"caisson "
                                        "agent join FILE\" with a file from \"caisson server "
                                        "invite\"");
    }
    if (!content) {
        return std::unexpected(content.error());
    }
    const auto object = TRY(JsonObject::parse(*content, (folder / "join.json").string(), "join the server again"));
    TRY(object.expect_number("version", 1));
    Joined joined;
    joined.server = TRY(object.text("server"));
    joined.name = TRY(object.text("name"));
    TRY(object.read_hex_to("server_signing_key", joined.server_signing_key.bytes));
    if (object.has("platform")) { // homes of before have none: those joined on `process`
        const auto platform = platform_of(TRY(object.text("platform")));
        if (!platform) {
            return object.wrong("platform", "\"process\" or \"sgx\"");
        }
        joined.platform = *platform;
    }
    joined.credentials.ca_pem = TRY(load_text(folder / "ca.pem"));
    joined.credentials.certificate_pem = TRY(load_text(folder / "tls.pem"));
    joined.credentials.key_pem = TRY(load_text(folder / "tls.key"));
    joined.sealed_identity = TRY(host::store::load_file(folder / "identity.sealed", sealed_bytes_max));
    return joined;
}

} // namespace caisson::services::agent
