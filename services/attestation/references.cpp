#include "services/attestation/references.hpp"

#include "core/text.hpp"
#include "host/text.hpp"

#include <nlohmann/json.hpp>
#include <sodium.h>

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <set>

namespace caisson::services::attestation {
namespace {

using host::Done;
using host::fault;
using host::hex;
using host::Outcome;
using host::system_fault;
using protocol::MeasuredType;
using protocol::PolicyItemKind;

constexpr std::uint32_t permission_bits = 07777;
constexpr std::array types{MeasuredType::file, MeasuredType::directory, MeasuredType::link, MeasuredType::other,
                           MeasuredType::fact};

Digest digest_of(std::string_view text)
{
    Digest digest;
    crypto_hash_sha256(digest.data(), bytes_of(text).data(), text.size());
    return digest;
}

MeasuredType type_of(mode_t mode)
{
    return S_ISREG(mode)   ? MeasuredType::file
           : S_ISDIR(mode) ? MeasuredType::directory
           : S_ISLNK(mode) ? MeasuredType::link
                           : MeasuredType::other;
}

Done hash_file(const std::filesystem::path& path, Reference& reference)
{
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return std::unexpected(system_fault("reading " + path.string(), errno));
    }
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    std::vector<char> buffer(std::size_t{256} << 10U);
    while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || file.gcount() > 0) {
        const auto got = static_cast<std::size_t>(file.gcount());
        crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(buffer.data()), got);
        reference.size += got;
    }
    crypto_hash_sha256_final(&state, reference.digest.data());
    return {};
}

Outcome<Reference> measure(const std::filesystem::path& path)
{
    struct stat facts{};
    if (::lstat(path.c_str(), &facts) != 0) {
        return std::unexpected(system_fault("looking at " + path.string(), errno));
    }
    Reference reference;
    reference.type = type_of(facts.st_mode);
    reference.mode = facts.st_mode & permission_bits;
    if (reference.type == MeasuredType::file) {
        TRY(hash_file(path, reference));
    } else if (reference.type == MeasuredType::link) {
        std::error_code error;
        const auto target = std::filesystem::read_symlink(path, error).string();
        reference.size = target.size();
        reference.digest = digest_of(target);
    }
    return reference;
}

std::filesystem::path below(const std::filesystem::path& root, const std::string& path)
{
    return root / std::filesystem::path(path).relative_path();
}

Done capture_tree(const std::string& tree, const std::filesystem::path& root, References& references)
{
    const auto start = below(root, tree);
    references[tree] = TRY(measure(start));
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator at(start, error), end; at != end; at.increment(error)) {
        const auto name = tree + "/" + at->path().lexically_relative(start).string();
        references[name] = TRY(measure(at->path()));
        if (references.size() > protocol::measurements_max) {
            return fault(Kind::exhausted, tree + ": more than " + std::to_string(protocol::measurements_max) +
                                              " things; a witness measures no more in one policy");
        }
    }
    if (error) {
        return std::unexpected(system_fault("listing " + start.string(), error.value()));
    }
    return {};
}

// As the witness does: the names of the modules, sorted, or that the kernel has none.
Digest modules_digest()
{
    std::ifstream file("/proc/modules");
    if (!file) {
        return digest_of("absent\n");
    }
    std::multiset<std::string> names;
    for (std::string line; std::getline(file, line);) {
        names.insert(line.substr(0, line.find(' ')));
    }
    std::string text = "present\n";
    for (const auto& name : names) {
        text += name + "\n";
    }
    return digest_of(text);
}

Outcome<Reference> capture_fact(const std::string& name)
{
    Reference reference;
    reference.type = MeasuredType::fact;
    if (name == protocol::fact_modules) {
        reference.digest = modules_digest();
        return reference;
    }
    TRY(hash_file("/proc/" + name, reference));
    reference.size = 0;
    return reference;
}

} // namespace

const char* type_name(MeasuredType type) noexcept
{
    switch (type) {
    case MeasuredType::file: return "file";
    case MeasuredType::directory: return "directory";
    case MeasuredType::link: return "link";
    case MeasuredType::other: return "other";
    case MeasuredType::fact: return "fact";
    }
    return "other";
}

Outcome<References> capture_references(const Policy& policy, const std::filesystem::path& root)
{
    References references;
    for (const auto& entry : policy.entries) {
        if (entry.kind == PolicyItemKind::tree) {
            TRY(capture_tree(entry.name, root, references));
        } else if (entry.kind == PolicyItemKind::file) {
            references[entry.name] = TRY(measure(below(root, entry.name)));
        } else {
            references[entry.name] = TRY(capture_fact(entry.name));
        }
    }
    return references;
}

std::string write_references(const References& references)
{
    auto entries = nlohmann::ordered_json::array();
    for (const auto& [path, reference] : references) {
        entries.push_back({{"path", path},
                           {"type", type_name(reference.type)},
                           {"mode", reference.mode},
                           {"size", reference.size},
                           {"sha256", hex(reference.digest)}});
    }
    const nlohmann::ordered_json document{{"version", 1}, {"entries", entries}};
    return document.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Outcome<References> parse_references(const std::string& json, const std::string& where)
{
    try {
        const auto document = nlohmann::json::parse(json);
        if (document.at("version") != 1) {
            return fault(Kind::malformed, where + ": version 1 is expected");
        }
        References references;
        for (const auto& entry : document.at("entries")) {
            Reference reference;
            const auto type = entry.at("type").get<std::string>();
            const auto found = std::find_if(types.begin(), types.end(),
                                            [&type](auto candidate) { return type == type_name(candidate); });
            const auto digest = entry.at("sha256").get<std::string>();
            if (found == types.end() || read_hex(reference.digest, digest).value_or(0) != sizeof(Digest)) {
                return fault(Kind::malformed, where + ": \"" + entry.at("path").get<std::string>() +
                                                  "\" has an unknown type or no SHA-256 of 64 digits");
            }
            reference.type = *found;
            reference.mode = entry.at("mode").get<std::uint32_t>();
            reference.size = entry.at("size").get<std::uint64_t>();
            references[entry.at("path").get<std::string>()] = reference;
        }
        return references;
    } catch (const nlohmann::json::exception& error) {
        return fault(Kind::malformed, where + ": not what \"caisson baseline capture\" writes: " + error.what());
    }
}

} // namespace caisson::services::attestation
