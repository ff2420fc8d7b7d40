#include "services/gateway/route_files.hpp"

#include "host/store/durable_file.hpp"

#include <sys/stat.h>

namespace caisson::services::gateway {
namespace {

using host::Outcome;

constexpr std::size_t config_bytes_max = std::size_t{256} << 10U;
constexpr std::size_t key_list_bytes_max = std::size_t{8} << 20U;
constexpr std::size_t password_bytes_max = 4096;

Outcome<std::string> load_text(const std::filesystem::path& path, std::size_t bytes_max)
{
    const auto content = TRY(host::store::load_file(path, bytes_max));
    return std::string(content.begin(), content.end());
}

} // namespace

Outcome<Config> load_config(const std::filesystem::path& path)
{
    const auto text = TRY(load_text(path, config_bytes_max));
    return parse_config(text, path.string());
}

Outcome<std::optional<KeySet>> load_allowed(const RouteConfig& config)
{
    auto allowed = config.allow;
    if (!config.allow_file.empty()) {
        const auto text = TRY(load_text(config.allow_file, key_list_bytes_max));
        const auto listed = TRY(parse_key_list(text, config.allow_file));
        if (!allowed) {
            allowed.emplace();
        }
        allowed->insert(listed.begin(), listed.end());
    }
    return allowed;
}

std::string mark_of(const std::string& path)
{
    struct stat facts = {};
    if (path.empty() || ::stat(path.c_str(), &facts) != 0) {
        return {};
    }
    return std::to_string(facts.st_ino) + ":" + std::to_string(facts.st_size) + ":" +
           std::to_string(facts.st_mtim.tv_sec) + "." + std::to_string(facts.st_mtim.tv_nsec);
}

Outcome<std::string> load_password(const RouteConfig& config)
{
    if (config.password_file.empty()) {
        return std::string();
    }
    auto text = TRY(load_text(config.password_file, password_bytes_max));
    return text.substr(0, text.find_first_of("\r\n"));
}

} // namespace caisson::services::gateway
