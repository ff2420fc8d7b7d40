#include "host/store/access_signer.hpp"

#include "core/text.hpp"
#include "host/store/durable_file.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::host::store {
namespace {

constexpr std::size_t key_digits = 64;
constexpr std::size_t key_file_bytes_max = 256;
constexpr ::mode_t private_mode = 0600;
constexpr ::mode_t public_mode = 0644; // a list holds no secret

} // namespace

Done make_access_signer(const std::filesystem::path& path)
{
    AccessSigner signer;
    crypto_sign_keypair(signer.key.bytes.data(), signer.secret.expose().data());
    const auto folder = path.parent_path();
    if (!folder.empty()) {
        TRY(make_folder(folder, 0700));
    }
    auto done = store_file(path, signer.secret.expose(), private_mode, Existing::keep);
    if (!done && done.error().kind == Kind::conflict) {
        return fault(Kind::conflict, path.string() + ": there is a key already; keys that are pinned to it would know "
                                                     "no other one");
    }
    return done;
}

Outcome<AccessSigner> load_access_signer(const std::filesystem::path& path)
{
    auto content = TRY(load_file(path, protocol::SigningKey::size));
    AccessSigner signer;
    const bool whole = content.size() == protocol::SigningKey::size;
    if (whole) {
        copy_bytes(signer.secret.expose(), content);
        ByteArray<crypto_sign_SEEDBYTES> seed;
        copy_bytes(seed, Bytes(content).first(seed.size()));
        crypto_sign_seed_keypair(signer.key.bytes.data(), signer.secret.expose().data(), seed.data());
        wipe(seed);
    }
    const bool good = whole && same_bytes(Bytes(content).last(protocol::VerifyingKey::size), signer.key.bytes);
    wipe(content);
    if (!good) {
        return fault(Kind::malformed, path.string() + ": not a signing key of caisson; restore it from a backup, or "
                                                      "make one with \"caisson access init\"");
    }
    return signer;
}

Outcome<protocol::VerifyingKey> read_verifying_key(const std::string& given, const std::string& option)
{
    std::string text = given;
    if (given.size() != key_digits || given.find('/') != std::string::npos) {
        const auto content = TRY(load_file(given, key_file_bytes_max));
        text = text_of(content);
        text.erase(text.find_last_not_of(" \r\n\t") + 1);
    }
    protocol::VerifyingKey key;
    const auto size = read_hex(key.bytes, text);
    if (!size || *size != key.bytes.size() || key == protocol::VerifyingKey{}) {
        return fault(Kind::malformed, option + ": neither 64 hexadecimal digits nor a file that holds them");
    }
    return key;
}

Done sign_access_file(const std::filesystem::path& path, const AccessSigner& signer, AccessFacts facts)
{
    std::sort(facts.keys.begin(), facts.keys.end());
    facts.keys.erase(std::unique(facts.keys.begin(), facts.keys.end()), facts.keys.end());
    if (facts.keys.size() > protocol::access_keys_max) {
        return fault(Kind::exhausted,
                     path.string() + ": " + std::to_string(facts.keys.size()) + " keys, and a signed list holds " +
                         std::to_string(protocol::access_keys_max) + "; give several listeners a list each");
    }
    std::vector<std::uint8_t> keys;
    for (const auto& key : facts.keys) {
        keys.insert(keys.end(), key.bytes.begin(), key.bytes.end());
    }
    std::vector<std::uint8_t> document(protocol::access_list_bytes_max);
    const auto size = TRY(
        protocol::write_access_list(document, signer.secret, {facts.serial, facts.issued_ms, facts.expires_ms, keys}));
    return store_file(path, Bytes(document).first(size), public_mode, Existing::replace);
}

Outcome<std::vector<std::uint8_t>> load_access_file(const std::filesystem::path& path)
{
    return load_file(path, protocol::access_list_bytes_max, Writers::anyone); // its signature counts, not its owner
}

Outcome<AccessFacts> read_access_file(const std::filesystem::path& path, const protocol::VerifyingKey& signer)
{
    const auto document = TRY(load_access_file(path));
    const auto list = protocol::verify_access_list(document, signer);
    if (!list) {
        return fault(list.error().kind,
                     path.string() + ": " + list.error().what + "; sign it anew with \"caisson access sign\"");
    }
    AccessFacts facts{list->serial, list->issued_ms, list->expires_ms, {}};
    for (std::size_t index = 0; index < list->key_count(); ++index) {
        facts.keys.push_back(list->key(index));
    }
    return facts;
}

} // namespace caisson::host::store
