#include "host/store/joined_server.hpp"

#include "host/store/durable_file.hpp"
#include "host/store/json_object.hpp"

namespace caisson::host::store {
namespace {

constexpr std::size_t join_file_bytes_max = std::size_t{1} << 20U;

} // namespace

Outcome<std::optional<VerifierKey>> load_joined_server(const std::filesystem::path& home)
{
    const auto path = home / "agent" / "join.json";
    const auto content = load_file(path, join_file_bytes_max);
    if (!content && content.error().kind == Kind::missing) {
        return std::optional<VerifierKey>{};
    }
    if (!content) {
        return std::unexpected(content.error());
    }
    const auto object = TRY(JsonObject::parse(text_of(*content), path.string(), "join the server again"));
    VerifierKey key;
    TRY(object.read_hex_to("server_signing_key", key.bytes));
    return std::optional<VerifierKey>(key);
}

} // namespace caisson::host::store
