// What a joined node keeps on disk: HOME/agent/{identity.sealed, tls.key, tls.pem, ca.pem, join.json}, each 0600.
#pragma once

#include "host/fault.hpp"
#include "host/net/tls_client.hpp"
#include "protocol/measurement.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace caisson::services::agent {

// A join file, as `caisson server invite` wrote it: JSON with "version" 1, "server" (HOST:PORT), "ca_pem",
// "server_signing_key", "server_box_key" and "token" (hexadecimal), and the "name" the node is invited under.
struct Invitation {
    std::string server;
    std::string ca_pem;
    protocol::VerifyingKey server_signing_key;
    protocol::BoxKey server_box_key;
    ByteArray<32> token{}; // good once
    std::string name;      // empty: the node chooses
};

// Fails: missing, malformed (which field, and what was expected).
[[nodiscard]] host::Outcome<Invitation> load_invitation(const std::filesystem::path& file);

struct Joined {
    std::string server;
    std::string name;
    protocol::VerifyingKey server_signing_key;
    host::net::TlsCredentials credentials;
    std::vector<std::uint8_t> sealed_identity;
    // Where the witness runs: its identity opens nowhere else, and no weaker one is ever taken instead.
    protocol::sgx::Platform platform = protocol::sgx::Platform::process;
};

// "process" and "sgx"; nothing else can be joined on.
[[nodiscard]] const char* platform_text(protocol::sgx::Platform platform) noexcept;
[[nodiscard]] std::optional<protocol::sgx::Platform> platform_of(std::string_view text) noexcept;

[[nodiscard]] std::filesystem::path agent_folder(const std::filesystem::path& home);

// Fails: conflict (this home has joined a server already).
[[nodiscard]] host::Done expect_not_joined(const std::filesystem::path& home);

// join.json last: the node has joined when that is there. Fails: what the disk says.
[[nodiscard]] host::Done store_joined(const std::filesystem::path& home, const Joined& joined,
                                      const protocol::WitnessKey& witness_key);

// Fails: missing (this home has joined no server), malformed, forbidden (others may write).
[[nodiscard]] host::Outcome<Joined> load_joined(const std::filesystem::path& home);

// a-z, A-Z, 0-9, '.', '_', '-'; 1 to 64.
[[nodiscard]] bool is_node_name(std::string_view name) noexcept;

} // namespace caisson::services::agent
