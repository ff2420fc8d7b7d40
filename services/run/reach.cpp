#include "services/run/reach.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

namespace caisson::services::run {
namespace {

constexpr std::size_t headers_max = 64;

std::filesystem::path resolve(const std::string& word)
{
    if (word.find('/') != std::string::npos) {
        return word;
    }
    const char* path = std::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "/usr/local/bin:/bin:/usr/bin";
    while (!rest.empty()) {
        const auto end = std::min(rest.find(':'), rest.size());
        auto candidate = std::filesystem::path(rest.substr(0, end)) / word;
        if (::access(candidate.c_str(), X_OK) == 0) {
            return candidate;
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {};
}

bool is_static_elf(const std::filesystem::path& path)
{
    std::ifstream file(path, std::ios::binary);
    Elf64_Ehdr head{};
    if (!file.read(reinterpret_cast<char*>(&head), sizeof head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phnum > headers_max) {
        return false;
    }
    file.seekg(static_cast<std::streamoff>(head.e_phoff));
    for (std::size_t index = 0; index < head.e_phnum; ++index) {
        Elf64_Phdr segment{};
        if (!file.read(reinterpret_cast<char*>(&segment), sizeof segment) || segment.p_type == PT_INTERP) {
            return false;
        }
    }
    return true;
}

} // namespace

std::string why_unreachable(const std::string& word)
{
    const auto path = resolve(word);
    struct ::stat facts{};
    if (path.empty() || ::stat(path.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) {
        return {};
    }
    if ((facts.st_mode & (S_ISUID | S_ISGID)) != 0 && ::geteuid() != facts.st_uid) {
        return path.string() + " is setuid, so the system does not load the shim into it";
    }
    return is_static_elf(path) ? path.string() + " is statically linked, so the shim cannot be loaded into it"
                               : std::string{};
}

} // namespace caisson::services::run
