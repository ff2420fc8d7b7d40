// The attestation server's folder, HOME/server: its authority, its keys, its database.
#pragma once

#include "host/fault.hpp"
#include "host/net/certificate.hpp"
#include "host/store/trust_store.hpp"
#include "protocol/measurement.hpp"
#include "services/attestation/node_cpu.hpp"

#include <filesystem>
#include <string>

namespace caisson::services::attestation {

struct BoxSecretTag;
using BoxSecretKey = Secret<32, BoxSecretTag>; // X25519: results are encrypted to its public half

struct ServerKeys {
    protocol::SigningKey signing_secret; // Ed25519: signs policies, results, time
    protocol::VerifyingKey signing_key;
    BoxSecretKey box_secret;
    protocol::BoxKey box_key;
    host::net::CertifiedKey authority;
    host::net::CertifiedKey tls;
    std::string listen;          // HOST:PORT
    std::string tpm_authorities; // PEM: whose EK certificates are believed; empty: nobody's
    std::vector<SgxTrust> sgx;   // by what quotes of SGX are judged; empty: none is believed
};

[[nodiscard]] std::filesystem::path database_path(const std::filesystem::path& home);

// Makes everything. Fails: conflict (there is a server already), malformed (address), and what the disk says.
[[nodiscard]] host::Done init_server(const std::filesystem::path& home, const std::string& listen);

// Adds the certificates in `file` (PEM) to those whose EK certificates are believed. Fails: malformed.
[[nodiscard]] host::Done trust_tpm_authority(const std::filesystem::path& home, const std::filesystem::path& file);

// Fails: missing (run init), malformed.
[[nodiscard]] host::Outcome<ServerKeys> load_server(const std::filesystem::path& home);

// A new one-time token for `node`: the text of its join file. Fails: malformed (the name).
[[nodiscard]] host::Outcome<std::string> invite(const ServerKeys& keys, host::store::TrustStore& store,
                                                const std::string& node, std::uint64_t now_ms);

} // namespace caisson::services::attestation
