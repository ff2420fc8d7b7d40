#include "services/attestation/server_home.hpp"

#include "host/store/durable_file.hpp"
#include "host/text.hpp"
#include "protocol/evidence/certificate_chain.hpp"

#include <nlohmann/json.hpp>
#include <sodium.h>

#include <algorithm>

namespace caisson::services::attestation {
namespace {

using host::Done;
using host::fault;
using host::hex;
using host::Outcome;
using host::store::Existing;

constexpr mode_t private_mode = 0600;
constexpr std::size_t pem_bytes_max = 16384;
constexpr std::uint64_t invitation_ms = 3'600'000;
constexpr std::size_t token_bytes = 32;
constexpr std::size_t authorities_bytes_max = std::size_t{4} << 20U;

std::filesystem::path folder_of(const std::filesystem::path& home)
{
    return home / "server";
}

Outcome<std::string> host_of(const std::string& address)
{
    const auto colon = address.rfind(':');
    const bool digits = colon != std::string::npos && colon + 1 < address.size() &&
                        std::all_of(address.begin() + static_cast<std::ptrdiff_t>(colon) + 1, address.end(),
                                    [](char letter) { return letter >= '0' && letter <= '9'; });
    if (!digits || colon == 0) {
        return fault(Kind::malformed, "the address \"" + address + "\" is not HOST:PORT");
    }
    auto host = address.substr(0, colon);
    if (host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    return host;
}

Outcome<std::string> load_text(const std::filesystem::path& path)
{
    const auto content = host::store::load_file(path, pem_bytes_max);
    if (!content && content.error().kind == Kind::missing) {
        return fault(Kind::missing, path.string() + ": there is no server here; run \"caisson server init\" first");
    }
    const auto bytes = TRY(content);
    return std::string(bytes.begin(), bytes.end());
}

Outcome<std::string> load_tpm_authorities(const std::filesystem::path& home)
{
    const auto content = host::store::load_file(folder_of(home) / "tpm-authorities.pem", authorities_bytes_max);
    if (!content && content.error().kind == Kind::missing) {
        return std::string();
    }
    const auto bytes = TRY(content);
    return std::string(bytes.begin(), bytes.end());
}

Done load_secret(const std::filesystem::path& path, MutableBytes secret)
{
    auto bytes = TRY(host::store::load_file(path, secret.size()));
    if (bytes.size() != secret.size()) {
        return fault(Kind::malformed, path.string() + ": " + std::to_string(secret.size()) +
                                          " bytes are expected; restore it from a backup");
    }
    copy_bytes(secret, bytes);
    wipe(bytes);
    return {};
}

bool is_node_name(const std::string& name)
{
    const auto good = [](char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
               (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' || letter == '-';
    };
    return !name.empty() && name.size() <= protocol::node_name_bytes_max && std::all_of(name.begin(), name.end(), good);
}

} // namespace

std::filesystem::path database_path(const std::filesystem::path& home)
{
    return folder_of(home) / "caisson.db";
}

Done init_server(const std::filesystem::path& home, const std::string& listen)
{
    const auto folder = folder_of(home);
    const auto host = TRY(host_of(listen));
    std::error_code error;
    if (std::filesystem::exists(folder / "server.conf", error)) {
        return fault(Kind::conflict, folder.string() + ": there is a server already; choose another --home");
    }
    TRY(host::store::make_folder(home, 0700));
    TRY(host::store::make_folder(folder, 0700));
    const auto authority = TRY(host::net::make_authority("caisson fabric"));
    const auto tls = TRY(host::net::make_server_certificate(authority, host));
    protocol::SigningKey signing;
    protocol::VerifyingKey signing_public;
    crypto_sign_keypair(signing_public.bytes.data(), signing.expose().data());
    BoxSecretKey box;
    randombytes_buf(box.expose().data(), BoxSecretKey::size);
    const auto store = [&folder](const char* name, Bytes content) {
        return host::store::store_file(folder / name, content, private_mode, Existing::keep);
    };
    TRY(store("ca.key", bytes_of(authority.key_pem)));
    TRY(store("ca.pem", bytes_of(authority.certificate_pem)));
    TRY(store("tls.key", bytes_of(tls.key_pem)));
    TRY(store("tls.pem", bytes_of(tls.certificate_pem)));
    TRY(store("signing.key", signing.expose()));
    TRY(store("box.key", box.expose()));
    TRY(host::store::TrustStore::create(database_path(home)));
    // Last: what says that all the rest is there.
    return store("server.conf", bytes_of(listen + "\n"));
}

Outcome<ServerKeys> load_server(const std::filesystem::path& home)
{
    const auto folder = folder_of(home);
    ServerKeys keys;
    keys.listen = TRY(load_text(folder / "server.conf"));
    keys.listen = keys.listen.substr(0, keys.listen.find('\n'));
    keys.authority = {TRY(load_text(folder / "ca.key")), TRY(load_text(folder / "ca.pem"))};
    keys.tls = {TRY(load_text(folder / "tls.key")), TRY(load_text(folder / "tls.pem"))};
    TRY(load_secret(folder / "signing.key", keys.signing_secret.expose()));
    TRY(load_secret(folder / "box.key", keys.box_secret.expose()));
    copy_bytes(keys.signing_key.bytes, keys.signing_secret.expose().last(protocol::VerifyingKey::size));
    crypto_scalarmult_base(keys.box_key.bytes.data(), keys.box_secret.expose().data());
    keys.tpm_authorities = TRY(load_tpm_authorities(home));
    keys.sgx = TRY(load_all_sgx_trust(home));
    return keys;
}

Done trust_tpm_authority(const std::filesystem::path& home, const std::filesystem::path& file)
{
    TRY(load_text(folder_of(home) / "server.conf")); // there is a server
    const auto content = TRY(host::store::load_file(file, authorities_bytes_max, host::store::Writers::anyone));
    const std::string added(content.begin(), content.end());
    const auto read = protocol::evidence::CertificateAuthorities::from_pem(added, "");
    if (!read) {
        return fault(Kind::malformed, file.string() + ": " + read.error().what +
                                          "; the certificates of a TPM's maker in PEM are expected, a root among them");
    }
    const auto all = TRY(load_tpm_authorities(home)) + added;
    return host::store::store_file(folder_of(home) / "tpm-authorities.pem", bytes_of(all), private_mode,
                                   Existing::replace);
}

Outcome<std::string> invite(const ServerKeys& keys, host::store::TrustStore& store, const std::string& node,
                            std::uint64_t now_ms)
{
    if (!is_node_name(node)) {
        return fault(Kind::malformed,
                     "the node's name \"" + node + "\" is not 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-'");
    }
    ByteArray<token_bytes> token;
    randombytes_buf(token.data(), token.size());
    Digest token_sha256;
    crypto_hash_sha256(token_sha256.data(), token.data(), token.size());
    TRY(store.add_invitation(token_sha256, node, now_ms + invitation_ms));
    const nlohmann::ordered_json join{{"version", 1},
                                      {"server", keys.listen},
                                      {"name", node},
                                      {"ca_pem", keys.authority.certificate_pem},
                                      {"server_signing_key", hex(keys.signing_key.bytes)},
                                      {"server_box_key", hex(keys.box_key.bytes)},
                                      {"token", hex(token)}};
    return join.dump(1) + "\n";
}

} // namespace caisson::services::attestation
